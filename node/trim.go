package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/store"
)

// trimmer gives log space back. Of the ledger nobody needs what lies below both
// snapshots of its fold; of sends, what is planned and listed; of slices, what an owner
// that starts from the older one does not read. All of it is asked of the store:
// whoever wrote it may be elsewhere. audience trims changes.
type trimmer struct {
	journal journal.Journal
	store   store.Store
	log     *slog.Logger
}

// run trims the logs of a shard now and then.
func (t *trimmer) run(ctx context.Context, shard tocsin.Shard, every time.Duration) error {
	for {
		if !pause(ctx, every) {
			return nil
		}
		if err := t.trim(ctx, shard); err != nil && ctx.Err() == nil {
			t.log.Warn("trimming the logs failed, repeated", "shard", int(shard), "error", err)
		}
	}
}

func (t *trimmer) trim(ctx context.Context, shard tocsin.Shard) error {
	_, older, err := folds(ctx, t.store, shard, t.log)
	if err != nil || older == nil {
		return err
	}
	planned, err := plan.Planned(ctx, t.store, shard)
	if err != nil {
		return err
	}
	listed, err := api.Listed(ctx, t.store, shard)
	if err != nil {
		return err
	}
	for topic, below := range map[journal.Topic]uint64{
		journal.Sends:  min(planned, listed),
		journal.Ledger: older.Next(),
		journal.Slices: older.KeepSlices(),
	} {
		p := journal.Partition{Topic: topic, Shard: shard}
		if err := t.journal.Trim(ctx, p, journal.Position(below)); err != nil {
			return fmt.Errorf("trimming %s: %w", p, err)
		}
	}
	return nil
}

// look is how often it is looked whether something has come to pass.
const look = 100 * time.Millisecond

// trimmed trims a log until nothing below a position is left.
func (t *trimmer) trimmed(ctx context.Context, p journal.Partition, below journal.Position) error {
	for {
		if err := t.trim(ctx, p.Shard); err != nil {
			return err
		}
		first, err := t.journal.First(ctx, p)
		if err != nil || first >= below {
			return err
		}
		if !pause(ctx, look) {
			return ctx.Err()
		}
	}
}
