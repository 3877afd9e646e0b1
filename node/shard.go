package node

import (
	"context"
	"errors"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/receipt"
)

// What lives with a shard is built, run and undone in one function for each role,
// which returns once nothing of it is left: then the shard may go to another process.

// ownShard keeps up the audience of a shard and sends to it: role fanout.
func (n *node) ownShard(ctx context.Context, shard tocsin.Shard) error {
	follower, err := n.openAudience(ctx, shard)
	if err != nil {
		return undone(ctx, err)
	}
	people := follower.Shard()
	people.TellReached(n.reached)
	people.GiveWay(n.courtesy)
	newest := func(ctx context.Context) (*ledger.Fold, error) {
		newer, _, err := folds(ctx, n.store, shard, n.log)
		return newer, err
	}
	return living(ctx, func(parts *stages) {
		parts.start("audience", follower.Run)
		parts.onEnd(n.local.audiences.enter(shard, follower))
		n.sits(parts, ask.AudienceOf(shard))
		parts.start("moves", audience.NewWays(people, n.config.Shards, n.rivals, n.journal, incarnation, n.log).Run)
		parts.start("trim", func(ctx context.Context) error { return n.trims.run(ctx, shard, n.config.Trim) })
		parts.start("fanout", fanout.NewOwner(n.config.Fanout, shard, incarnation(), n.journal, n.store, people, n.lanes, newest, n.log).Run)
	})
}

// openAudience reads the newest good snapshot of a shard, as many at a time as
// there are processors.
func (n *node) openAudience(ctx context.Context, shard tocsin.Shard) (*audience.Follower, error) {
	n.opening <- struct{}{}
	defer func() { <-n.opening }()
	follower, err := audience.Open(ctx, n.config.Audience, shard, n.journal, n.snapshots, n.log)
	if err != nil {
		return nil, err
	}
	read, _, err := folds(ctx, n.store, shard, n.log)
	if err == nil {
		err = reaches(ctx, n.journal, journal.Partition{Topic: journal.Ledger, Shard: shard}, read.Next())
	}
	if err == nil {
		err = reaches(ctx, n.journal, journal.Partition{Topic: journal.Changes, Shard: shard}, follower.Shard().Applied())
	}
	return follower, err
}

// planShard cuts the sends of a shard and issues its retries: role plan.
func (n *node) planShard(ctx context.Context, shard tocsin.Shard) error {
	plans := plan.NewShell(n.config.planning(), shard, incarnation(), n.journal, n.store, n.log)
	return living(ctx, func(parts *stages) {
		parts.start("plan", plans.Run)
		parts.onEnd(n.local.plans.enter(shard, plans))
	})
}

// countShard folds the ledger of a shard into counters and traces: role receipt.
func (n *node) countShard(ctx context.Context, shard tocsin.Shard) error {
	receipts := receipt.NewShell(n.config.Receipt, shard, incarnation(), n.journal, n.store, n.log)
	return living(ctx, func(parts *stages) {
		parts.start("receipt", receipts.Run)
		parts.onEnd(n.local.receipts.enter(shard, receipts))
		n.sits(parts, ask.ReceiptsOf(shard))
	})
}

// living starts parts and undoes them in reverse when ctx ends, which is no error,
// or one of them fails.
func living(ctx context.Context, start func(*stages)) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	parts := &stages{fail: fail}
	defer parts.end()
	start(parts)
	<-ctx.Done()
	return undone(ctx, context.Cause(ctx))
}

// undone is what ended something: nothing when it was told to end.
func undone(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return nil
	}
	return err
}

// reached tells who on a shard got a push of a send.
func (n *node) reached(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error) {
	return n.shards[shard].Reached(ctx, project, send)
}

// rivals asks a shard who has what was registered on another.
func (n *node) rivals(ctx context.Context, shard tocsin.Shard, below uint64, page audience.Page) ([]ask.Rival, error) {
	return n.shards[shard].Rivals(ctx, below, page.Scope.Project, page.Registrations)
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
