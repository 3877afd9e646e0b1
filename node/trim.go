package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/store"
)

// trimmer gives log space back. Of the ledger nobody needs what lies below both
// snapshots of its fold; of sends, what is planned and listed; of slices, what an owner
// that starts from the older one does not read. audience trims changes.
type trimmer struct {
	journal   journal.Journal
	store     store.Store
	followers []*audience.Follower
	receipts  []*receipt.Shell
	plans     []*plan.Shell
	listed    func(tocsin.Shard) uint64
	log       *slog.Logger
}

func (t *trimmer) run(ctx context.Context, pause time.Duration) error {
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		for i := range t.plans {
			if err := t.trim(ctx, tocsin.Shard(i)); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (t *trimmer) trim(ctx context.Context, shard tocsin.Shard) error {
	_, older, err := folds(ctx, t.store, shard, t.log)
	if err != nil || older == nil {
		return err
	}
	sends, planned := t.plans[shard].Durable()
	for topic, below := range map[journal.Topic]uint64{
		journal.Sends:  min(sends, t.listed(shard)),
		journal.Ledger: min(planned, t.receipts[shard].Durable()),
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
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
