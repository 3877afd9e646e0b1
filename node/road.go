package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/store"
)

// folds are the two snapshots of a shard's ledger, that of plan and that of
// receipt, the newer one first. Nothing above the older one is ever trimmed, so
// that either is enough to go on from: when one cannot be read, older is nil,
// and nobody knows how far may be trimmed until it is saved again.
func folds(ctx context.Context, s store.Store, shard tocsin.Shard, log *slog.Logger) (newer, older *ledger.Fold, err error) {
	planned, planErr := fold(ctx, s, shard, plan.StateRows, plan.Snapshot)
	counted, receiptErr := fold(ctx, s, shard, receipt.StateRows, receipt.Snapshot)
	switch failed := errors.Join(planErr, receiptErr); {
	case planErr != nil && receiptErr != nil || ctx.Err() != nil:
		return nil, nil, failed
	case failed != nil:
		log.Error("one of two snapshots of the ledger cannot be read, the other is used", "shard", int(shard), "error", failed)
		if planErr != nil {
			planned = counted
		}
		return planned, nil, nil
	case planned.Next() > counted.Next():
		return planned, counted, nil
	}
	return counted, planned, nil
}

func fold(ctx context.Context, s store.Store, shard tocsin.Shard, rowsOf func(context.Context, store.Store, tocsin.Shard) ([]store.Row, error),
	read func([]store.Row) (*ledger.Fold, error)) (*ledger.Fold, error) {
	rows, err := rowsOf(ctx, s, shard)
	if err != nil {
		return nil, err
	}
	return read(rows)
}

// tellPlans tells plan of every credential that was replaced.
func (n *node) tellPlans() {
	var lock sync.Mutex
	news, wake := map[tocsin.CredentialID]bool{}, make(chan struct{}, 1)
	n.accounts.OnReplace(func(c provider.Credential) { // it must not block
		lock.Lock()
		news[c.ID] = true
		lock.Unlock()
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	})
	n.parts.start("credentials", func(ctx context.Context) error {
		for {
			select {
			case <-wake:
				lock.Lock()
				now := news
				news = map[tocsin.CredentialID]bool{}
				lock.Unlock()
				for id := range now {
					for _, p := range n.local.plans.each() {
						p.Replaced(ctx, id)
					}
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// errElsewhere: the lanes are those of another process.
var errElsewhere = errors.New("node: what providers grant is known where sends leave")

// What the lanes of this process tell. Without any, nothing is known of providers.

func (n *node) refused(id tocsin.CredentialID) (since time.Time, refused bool) {
	if n.lanes == nil {
		return since, false
	}
	return n.lanes.Refused(id)
}

func (n *node) outlook(ctx context.Context, project tocsin.ProjectID, class tocsin.Class, shares []ask.Share, later bool) (ask.Outlook, error) {
	if n.lanes == nil {
		return ask.Outlook{}, errElsewhere
	}
	return n.lanes.Outlook(ctx, project, class, shares, later)
}

func (n *node) crowded(project tocsin.ProjectID, class tocsin.Class) (pace.Refusal, bool) {
	if n.lanes == nil {
		return pace.Refusal{}, false
	}
	return n.lanes.Refuses(project, class)
}
