package ask_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// shard answers once its gate is open.
type shard struct {
	ask.Audience
	gate chan struct{}
}

func (s shard) Spread(context.Context, tocsin.ProjectID, *target.Query, []*record.Recipient, time.Time) ([]ask.Share, error) {
	<-s.gate
	return []ask.Share{{Route: provider.Route{Provider: tocsin.APNs}, Pushes: 30}, {Route: provider.Route{Provider: tocsin.FCM}, Pushes: 10}}, nil
}

// A shard that is late is taken to be like the others.
func TestSpreadIsPartialInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open, late := make(chan struct{}), make(chan struct{})
		close(open)
		all := ask.Shards{{Audience: shard{gate: open}}, {Audience: shard{gate: late}}, {Audience: shard{gate: open}}, {Audience: shard{gate: late}}}
		var tasks sync.WaitGroup
		want := func(ctx context.Context, sum uint64, partial bool) {
			t.Helper()
			shares, is := all.Spread(ctx, &tasks, tocsin.ProjectID{}, ask.Target{Query: new(target.Query)})
			if len(shares) != 2 || shares[0].Pushes+shares[1].Pushes != sum || is != partial {
				t.Fatalf("%v, partial %t", shares, is)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		want(ctx, 160, true)
		close(late)
		want(t.Context(), 160, false)
		tasks.Wait()
	})
}
