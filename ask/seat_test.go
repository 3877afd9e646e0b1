package ask_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/store/mem"
)

// Whoever sat down last is asked; nobody is asked for long who is not there any
// more, and a later one is found however the clocks of the two differ.
func TestSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(time.Now)
		seats := ask.NewSeats(s, time.Now)
		sit := func(p ask.Process, now func() time.Time, all ...ask.Seat) (leave func()) {
			ctx, cancel := context.WithCancel(t.Context())
			var tasks sync.WaitGroup
			tasks.Go(func() { ask.Sit(ctx, s, now, slog.New(slog.DiscardHandler), p, all...) })
			synctest.Wait()
			return func() { cancel(); tasks.Wait() }
		}
		want := func(seat ask.Seat, address string) {
			t.Helper()
			p, ok, err := seats.Again(t.Context(), seat)
			if err != nil || ok != (address != "") || p.Address != address {
				t.Fatalf("%s: %v, %t, %v; want %q", seat, p, ok, err, address)
			}
		}
		fast := func() time.Time { return time.Now().Add(20 * time.Second) }
		shard := ask.AudienceOf(3)
		want(shard, "")
		first := sit(ask.Process{Address: "a:1", Incarnation: 1}, fast, shard, ask.LanesOf("a:1"))
		time.Sleep(time.Second)
		want(shard, "a:1")
		want(ask.ReceiptsOf(3), "")
		time.Sleep(5 * time.Minute)
		want(shard, "a:1")

		first()
		second := sit(ask.Process{Address: "b:1", Incarnation: 2}, time.Now, shard)
		time.Sleep(time.Second)
		want(shard, "b:1")
		second()
		time.Sleep(time.Minute)
		want(shard, "")
		third := sit(ask.Process{Address: "c:1", Incarnation: 3}, time.Now, shard, ask.LanesOf("c:1"))
		defer third()
		time.Sleep(time.Second)
		want(shard, "c:1")
		if lanes, err := seats.Lanes(t.Context()); err != nil || len(lanes) != 1 || lanes[0].Address != "c:1" {
			t.Fatalf("%v, %v", lanes, err)
		}
	})
}
