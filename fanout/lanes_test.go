package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
)

// Of many routes only so many have a lane at a time: an idle one gives way to
// the next, and when none is idle the next waits.
func TestLanesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &town{version: 1}
		config := DefaultLanes()
		config.Most = 2
		lanes, err := NewLanes(config, map[tocsin.Provider]provider.Provider{tocsin.APNs: &edge{}}, Accounts{w.credentials, nil, w.weighed}, nil,
			prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- lanes.Run(ctx) }()
		box, n := newMailbox[message](), 0
		route := func(n int) provider.Route {
			return provider.Route{Provider: tocsin.APNs, Credential: credential, Topic: fmt.Sprint("app ", n)}
		}
		ask := func() int {
			n++
			lanes.box.post(requests{box, 0, []pace.Event{pace.Ask{Ticket: pace.Ticket{ID: uint64(n)}, Route: route(n), Project: project, N: 1}}})
			return n
		}
		finish := func(n int) {
			lanes.box.post(requests{box, 0, []pace.Event{
				pace.Left{Route: route(n), N: 1, Written: 1}, pace.Finished{Route: route(n), N: 1, Proven: 1, Version: 1, Took: time.Millisecond},
			}})
		}
		granted := func(want ...int) {
			t.Helper()
			<-time.After(time.Second)
			synctest.Wait()
			var got []int
			for _, m := range box.take(nil) {
				got = append(got, int(m.event.(Granted).Grant.Ticket.ID))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("granted %v, want %v", got, want)
			}
			lanes.mu.RLock()
			defer lanes.mu.RUnlock()
			if len(lanes.open) > config.Most {
				t.Errorf("%d lanes are open", len(lanes.open))
			}
		}
		for range 5 { // one after the other, each closes an idle one
			k := ask()
			granted(k)
			finish(k)
		}
		a := ask()
		granted(a)
		b := ask()
		granted(b)
		waits := ask() // both are in use
		granted()
		finish(a)
		granted(waits)
		dropped := ask()
		lanes.box.post(requests{box, 0, []pace.Event{pace.Drop{Ticket: pace.Ticket{ID: uint64(dropped)}}}})
		finish(b)
		finish(waits)
		granted()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
