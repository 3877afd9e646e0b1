package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// follower writes the rows of one partition of sends: those of sends, how they
// were steered, and that they were cancelled, once every ledger has that too.
type follower struct {
	cancel   func(ctx context.Context, row *sendRow, at time.Time, in record.Scope) error // appends it to the ledgers
	listing  listing
	steering steering
	journal  journal.Journal
	shard    tocsin.Shard
	shards   int
	log      *slog.Logger

	mu     sync.Mutex
	listed journal.Position // everything below is in rows
	moved  chan struct{}    // closed when listed rises; nil while nobody waits
	asked  chan struct{}    // closed when somebody waits; nil while the follower does not gather
}

// gather is how long records are gathered for a write unless somebody waits:
// at 5,000 sends a second it writes hundreds of rows at a time and not each.
const gather = 50 * time.Millisecond

// pause lets records come together.
func (f *follower) pause(ctx context.Context) {
	f.mu.Lock()
	if f.moved != nil {
		f.mu.Unlock()
		return
	}
	asked := make(chan struct{})
	f.asked = asked
	f.mu.Unlock()
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-asked:
	case <-timer.C:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = nil
}

func (f *follower) advance(to journal.Position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed = to
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}

// await returns once everything below a position is in rows.
func (f *follower) await(ctx context.Context, end journal.Position) error {
	for {
		f.mu.Lock()
		if f.listed >= end {
			f.mu.Unlock()
			return nil
		}
		if f.moved == nil {
			f.moved = make(chan struct{})
		}
		if f.asked != nil {
			close(f.asked)
			f.asked = nil
		}
		moved := f.moved
		f.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cursorPlace has a row for each shard, whose version is how far it is listed.
var cursorPlace = store.Place{Table: sendTable, Partition: "cursor"}

func cursorKey(shard tocsin.Shard) string { return fmt.Sprintf("%04d", shard) }

// Listed is the position below which nothing of a shard's log of sends is needed
// any more by any process that lists them.
func Listed(ctx context.Context, s store.Store, shard tocsin.Shard) (uint64, error) {
	row, err := s.Get(ctx, cursorPlace, cursorKey(shard))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return row.Version, err
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) error {
	partition := journal.Partition{Topic: journal.Sends, Shard: f.shard}
	listed, err := Listed(ctx, f.listing.store, f.shard)
	if err != nil {
		return ended(ctx, err)
	}
	next := journal.Position(listed)
	if next == 0 { // a log that was never read: nothing is listed of it, so nothing may be trimmed
		if next, err = f.journal.First(ctx, partition); err != nil {
			return ended(ctx, err)
		}
		if next > 1 {
			return fmt.Errorf("%s: %w", partition, journal.ErrTrimmed)
		}
	}
	for {
		f.advance(next)
		after, err := f.read(ctx, partition, next)
		if errors.Is(err, journal.ErrTrimmed) { // another process listed on, and what it read was trimmed
			if listed, err := Listed(ctx, f.listing.store, f.shard); err == nil && journal.Position(listed) > next {
				next = journal.Position(listed)
				continue
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrTrimmed), errors.Is(err, journal.ErrClosed), errors.Is(err, record.ErrNewer), errors.Is(err, record.ErrDamaged):
			return err
		case err != nil:
			f.log.Warn("reading the log of sends failed, repeated", "log", partition.String(), "error", err)
			sleep(ctx, listAgain)
			continue
		}
		next = after
	}
}

// read lists what comes next, and returns the position behind it.
func (f *follower) read(ctx context.Context, from journal.Partition, at journal.Position) (journal.Position, error) {
	if err := f.journal.Wait(ctx, from, at); err != nil {
		return at, err
	}
	f.pause(ctx)
	records, next, err := f.journal.Read(ctx, from, at, 1<<20)
	if err != nil || len(records) == 0 {
		return next, err
	}
	entries, err := journal.Decode(from, records)
	if err != nil {
		return at, err
	}
	if !f.take(ctx, entries) || !f.insist(ctx, func() error {
		return f.listing.store.Write(ctx, cursorPlace, store.Write{Key: cursorKey(f.shard), Value: []byte{1}, Version: uint64(next)})
	}) {
		return at, ctx.Err()
	}
	return next, nil
}

// ended is what a follower that cannot go on returns: nothing when it was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// take writes the rows of records, in their order: those of the sends in a row
// together. It reports false when ctx has ended.
func (f *follower) take(ctx context.Context, entries []journal.Entry) bool {
	rows := map[store.Place][]store.Write{}
	list := func() error {
		for place, writes := range rows {
			if err := store.Save(ctx, f.listing.store, store.Batches(place, writes)); err != nil {
				return err
			}
			delete(rows, place)
		}
		return nil
	}
	for _, entry := range entries {
		e := entry.Envelope
		switch {
		case e.GetSend() != nil:
			project, row := rowOf(e, f.shards)
			write, err := row.write()
			if err != nil { // of no row that rowOf makes
				f.log.Error("a send cannot be listed", "send", row.ID.String(), "error", err)
				continue
			}
			place := sendPlace(project, row.ID.Time())
			rows[place] = append(rows[place], write)
			if write, ok := aimOf(e.GetSend()); ok {
				place := aimPlace(project, row.ID.Time())
				rows[place] = append(rows[place], write)
			}
		case e.GetSteer() != nil:
			if !f.insist(ctx, list) || !f.insist(ctx, func() error { return f.steer(ctx, e) }) {
				return false
			}
		case e.GetCancel() != nil:
			if !f.insist(ctx, list) || !f.insist(ctx, func() error { return f.cancelled(ctx, e) }) {
				return false
			}
		}
	}
	return f.insist(ctx, list)
}

// cancelled carries a cancel on to the ledgers of its send. Done here, it is
// done also for a process that ended in the middle of it.
func (f *follower) cancelled(ctx context.Context, e *record.Envelope) error {
	in := record.Of(e)
	row, err := f.listing.get(ctx, in.Project, tocsin.SendID(e.GetCancel().Send))
	switch {
	case isNotFound(err) || err == nil && row.Cancelled != 0:
		return nil
	case err != nil:
		return err
	}
	if err := f.cancel(ctx, row, fromNanos(e.At), in); err != nil {
		return err
	}
	row.Cancelled = e.At
	return f.listing.put(ctx, in.Project, row)
}

func (f *follower) steer(ctx context.Context, e *record.Envelope) error {
	project, steer := record.Of(e).Project, e.GetSteer()
	row, err := f.listing.get(ctx, project, tocsin.SendID(steer.Send))
	switch {
	case isNotFound(err):
		return nil // it was due so long ago that it is not listed any more
	case err != nil:
		return err
	}
	return f.steering.settle(ctx, project, row, steered{Version: steer.Version, Rate: int(steer.Rate), Paused: steer.Paused, At: e.At})
}

// insist repeats a write until it succeeds, or ctx ends: a store that takes
// nothing now, nearly full for one, must not end the node.
func (f *follower) insist(ctx context.Context, write func() error) (done bool) {
	for {
		err := write()
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		f.log.Warn("listing a send failed, repeated", "error", err)
		sleep(ctx, listAgain)
	}
}

// listAgain is the pause after what failed.
const listAgain = 100 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
