package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
)

// Role is a part of the work, which a process takes or leaves to others.
type Role string

const (
	Receipt Role = "receipt" // counters and traces
	Plan    Role = "plan"    // slices and retries
	Fanout  Role = "fanout"  // audiences, and the sends to them
	API     Role = "api"     // the way in
)

// Roles are all, in the order of their start.
var Roles = [...]Role{Receipt, Plan, Fanout, API}

// start begins a role. Each works on the shards that its group hands to this
// process, the way in on all.
func (n *node) start(ctx context.Context, role Role) error {
	switch role {
	case Receipt:
		n.share(role, n.countShard)
		n.local.receipts.await(ctx, n.atOnce)
	case Plan:
		n.share(role, n.planShard)
		n.tellPlans()
	case Fanout:
		return n.startFanout(ctx)
	case API:
		return n.startAPI()
	}
	return nil
}

// share has a function run for every shard that this process owns in the group of
// a role.
func (n *node) share(role Role, run func(ctx context.Context, shard tocsin.Shard) error) {
	n.parts.start(string(role), func(ctx context.Context) error {
		return n.group.Share(ctx, string(role), func(ctx context.Context, shard tocsin.Shard) error {
			for {
				err := run(ctx, shard)
				if err == nil || ctx.Err() != nil {
					return nil
				}
				err = fmt.Errorf("shard %d: %w", shard, err)
				if n.again == 0 {
					return err
				}
				n.log.Error("a shard could not be worked on, repeated", "role", string(role), "shard", int(shard), "error", err)
				if !pause(ctx, n.again) {
					return nil
				}
			}
		})
	})
}

func (n *node) startFanout(ctx context.Context) (err error) {
	if n.snapshots, err = snapshot.New("audience", n.files, n.metrics); err != nil {
		return err
	}
	accounts := fanout.Accounts{Credentials: n.accounts.Credentials, IDs: n.accounts.CredentialIDs, Weight: n.accounts.Weight}
	if n.lanes, err = fanout.NewLanes(n.config.Lanes, n.providers, accounts, n.quotas, n.metrics, n.log); err != nil {
		return err
	}
	n.accounts.OnReplace(n.lanes.Replaced)
	n.parts.start("lanes", n.lanes.Run)
	n.parts.start("webpush", func(ctx context.Context) error { return n.browsers.Prepare(ctx, n.lanes.Busy) })
	n.share(Fanout, n.ownShard)
	n.local.audiences.await(ctx, n.atOnce)
	return nil
}

func (n *node) startAPI() error {
	server, err := api.New(n.config.API, api.Deps{
		Accounts: n.accounts, Journal: n.journal, Store: n.store, Shards: n.config.Shards, Ask: n.shards, Kept: n.config.Receipt.Retention,
		Refused: n.refused, Outlook: n.outlook, Crowded: n.crowded,
		Full: n.full, Forget: n.forget, Purge: n.purge, Damaged: n.damaged,
		Scheduled: func(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, each func(*record.Send)) error {
			return plan.Scheduled(ctx, n.store, shard, project, each)
		},
		Metrics: promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}), Ready: n.ready, Log: n.log, Now: time.Now, Random: rand.Reader,
	})
	if err != nil {
		return err
	}
	n.parts.start("api", server.Run)
	n.handler = server
	return nil
}

// watched is what a process without the API answers.
func (n *node) watched() http.Handler {
	mux := http.NewServeMux()
	api.Watched(mux, promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}), n.ready)
	return mux
}

// ready tells why the process does not do its work yet.
func (n *node) ready(context.Context) error {
	failed := n.damaged()
	for _, f := range n.local.audiences.each() {
		select {
		case <-f.Ready():
		default:
			failed = errors.Join(failed, errCatchingUp)
		}
	}
	return failed
}

var errCatchingUp = errors.New("the audience is being read")
