package node

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/store"
)

// openAudience reads the newest good snapshot of every shard, as many at a time
// as there are processors.
func openAudience(c Config, j journal.Journal, folder *audience.Folder, log *slog.Logger) ([]*audience.Follower, error) {
	followers := make([]*audience.Follower, c.Shards)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range followers {
		group.Go(func() (err error) {
			followers[i], err = audience.Open(c.Audience, tocsin.Shard(i), j, folder, log)
			return err
		})
	}
	return followers, group.Wait()
}

// folds are the two snapshots of a shard's ledger, that of plan and that of
// receipt, the newer one first. Nothing above the older one is ever trimmed, so
// that either is enough to go on from: when one cannot be read, older is nil,
// and nobody knows how far may be trimmed until it is saved again.
func folds(ctx context.Context, s store.Store, shard tocsin.Shard, log *slog.Logger) (newer, older *ledger.Fold, err error) {
	planned, planErr := fold(ctx, s, plan.Place(shard), plan.Snapshot)
	counted, receiptErr := fold(ctx, s, receipt.Place(shard), receipt.Snapshot)
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

func fold(ctx context.Context, s store.Store, place store.Place, read func([]store.Row) (*ledger.Fold, error)) (*ledger.Fold, error) {
	rows, err := store.All(ctx, s, place, "", "")
	if err != nil {
		return nil, err
	}
	return read(rows)
}

// replaced tells the lanes and plan of every credential that was replaced.
func replaced(parts *stages, accounts *account.Service, lanes *fanout.Lanes, plans []*plan.Shell) {
	var lock sync.Mutex
	news, wake := map[tocsin.CredentialID]bool{}, make(chan struct{}, 1)
	accounts.OnReplace(func(c provider.Credential) { // it must not block
		lanes.Replaced(c)
		lock.Lock()
		news[c.ID] = true
		lock.Unlock()
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	})
	parts.start("credentials", func(ctx context.Context) error {
		for {
			select {
			case <-wake:
				lock.Lock()
				now := news
				news = map[tocsin.CredentialID]bool{}
				lock.Unlock()
				for id := range now {
					for _, p := range plans {
						p.Replaced(ctx, id)
					}
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
}

var errCatchingUp = errors.New("the audience is being read")

func caughtUp(followers []*audience.Follower) error {
	for _, f := range followers {
		select {
		case <-f.Ready():
		default:
			return errCatchingUp
		}
	}
	return nil
}
