package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// follower writes the rows of one partition of sends: those of sends, and how
// they were steered.
type follower struct {
	listing  listing
	steering steering
	journal  journal.Journal
	shard    tocsin.Shard
	shards   int
	log      *slog.Logger
	listed   atomic.Uint64 // everything below is in rows
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) error {
	partition := journal.Partition{Topic: journal.Sends, Shard: f.shard}
	place, key := store.Place{Table: sendTable, Partition: "cursor"}, fmt.Sprintf("%04d", f.shard)
	cursor, err := f.listing.store.Get(ctx, place, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return ended(ctx, err)
	}
	for next := journal.Position(cursor.Version); ; {
		f.listed.Store(uint64(next))
		if err := f.journal.Wait(ctx, partition, next); err != nil {
			return ended(ctx, err)
		}
		records, after, err := f.journal.Read(ctx, partition, next, 1<<20)
		if err != nil {
			return ended(ctx, err)
		}
		for _, r := range records {
			e, err := record.Decode(r.Data)
			if err != nil {
				return fmt.Errorf("%s at %d: %w", partition, r.Position, err)
			}
			if !f.insist(ctx, func() error { return f.take(ctx, e) }) {
				return nil
			}
		}
		if next = after; len(records) == 0 {
			continue
		}
		if !f.insist(ctx, func() error {
			return f.listing.store.Write(ctx, place, store.Write{Key: key, Value: []byte{1}, Version: uint64(next)})
		}) {
			return nil
		}
	}
}

// ended is what a follower that cannot go on returns: nothing when it was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *follower) take(ctx context.Context, e *record.Envelope) error {
	if e.GetSend() != nil {
		project, row := rowOf(e, f.shards)
		return f.listing.put(ctx, project, row)
	}
	steer := e.GetSteer()
	if steer == nil {
		return nil
	}
	project := record.Of(e).Project
	row, err := f.listing.get(ctx, project, tocsin.SendID(steer.Send))
	var missing failure
	switch {
	case errors.As(err, &missing) && missing.Status == http.StatusNotFound:
		return nil // it was due so long ago that it is not listed any more
	case err != nil:
		return err
	}
	return f.steering.settle(ctx, project, row, steered{Version: steer.Version, Rate: int(steer.Rate), Paused: steer.Paused, At: e.At})
}

// insist repeats a write until it succeeds, or ctx ends: a store that takes
// nothing now, nearly full for one, must not end the node.
func (f *follower) insist(ctx context.Context, write func() error) (done bool) {
	const again = 100 * time.Millisecond
	for {
		err := write()
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		f.log.Warn("listing a send failed, repeated", "error", err)
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}
