package fanout

import (
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// underway brings a send of 200 to where two ranges have left, two are granted
// and not claimed, and two wait for pace.
func underway(t *testing.T) (*world, *actor, tocsin.SendID) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 200)
	for len(a.delivers) < 2 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || len(a.delivers)+len(a.m.claims) < 2 && a.grant(99) || a.append(99, false)
	}
	w.config.Window = 32 // nothing more is claimed before these are settled
	a.m.config.Window = 32
	a.grant(99)
	a.grant(99)
	if len(a.m.ready) != 2 || len(a.asks) != 2 || len(a.delivers) != 2 {
		t.Fatalf("%d ready, %d asked, %d on their way", len(a.m.ready), len(a.asks), len(a.delivers))
	}
	return w, a, id
}

func TestAPausedSendStandsStill(t *testing.T) {
	w, a, id := underway(t)
	w.write(a.delivers[0], 5)
	w.steer(id, 1, 0, true)
	a.read(99)
	if len(a.asks) != 0 || len(a.m.ready) != 0 || !a.delivers[0].halted || !a.delivers[1].halted {
		t.Fatalf("%d asked, %d ready; %v", len(a.asks), len(a.m.ready), a.delivers)
	}
	w.settle()
	if n := len(w.accepted); n != 5 || a.m.Held() != 0 {
		t.Fatalf("%d left, %d are held", n, a.m.Held())
	}
	w.steer(id, 2, 0, false)
	w.settle()
	w.want(id, "accepted:200")
}

// Pausing is kept by the ledger: a new owner obeys it, too.
func TestATakeoverKeepsAPause(t *testing.T) {
	w, a, id := underway(t)
	w.steer(id, 1, 600, true)
	a.m = nil
	next := w.owner()
	for _, d := range a.delivers { // bytes that were out of its hands
		w.write(d, 99)
	}
	a.delivers = nil
	w.settle()
	if n := len(w.accepted); n != 32 {
		t.Fatalf("%d left", n)
	}
	if len(next.rates) == 0 || next.rates[0] != (pace.Steered{Send: id, Shard: 3, Version: 1, PerMinute: 600}) {
		t.Fatalf("pace was told %v", next.rates)
	}
	w.steer(id, 2, 600, false)
	w.settle()
	w.want(id, "accepted:168 accepted?:32")
	if last := next.rates[len(next.rates)-1]; last != (pace.Unsteered{Send: id, Shard: 3}) {
		t.Fatalf("pace was told %v at last", last)
	}
}

func TestAPausedSendEndsAtItsTimeToLiveAndByCancel(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	one := w.send(1, &record.Slice{Options: &record.Options{Ttl: int64(time.Second)}, Steer: &record.Steer{Version: 1, Paused: true}}, 30)
	two := w.send(2, &record.Slice{Recipients: []*record.Recipient{{}}, Steer: &record.Steer{Version: 1, Paused: true}}, 7)
	w.settle()
	w.cancel(two)
	w.settle()
	w.now = w.now.Add(time.Second)
	a.step(Tick{})
	w.settle()
	w.want(one, "expired:30")
	w.want(two, "cancelled:7")
}

// What waits to be tried again while its send is paused goes on with it.
func TestARetryWaitsForItsPausedSend(t *testing.T) {
	w, a, id := underway(t)
	w.write(a.delivers[0], 1)
	answer := w.answer
	w.answer = func(Deliver, int) (r provider.Result) { return provider.Later }
	w.write(a.delivers[0], 15)
	w.answer = answer
	w.steer(id, 1, 0, true)
	w.settle()
	if s := a.m.fold.Send(id); s.Standing(ledger.Waiting) != 15 {
		t.Fatalf("%d wait for a retry", s.Standing(ledger.Waiting))
	}
	w.steer(id, 2, 0, false)
	w.settle()
	w.want(id, "accepted:200")
}

// A rate is told to pace when it is read, when the send is opened with one, and
// by a newer slice; what the client wanted is no drift of ours.
func TestSteeringIsTold(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{Steer: &record.Steer{Rate: 90}}, 20)
	w.steer(id, 1, 120, true)
	w.settle()
	w.now = w.now.Add(time.Minute)
	w.steer(id, 2, 0, false)
	w.settle()
	w.want(id, "accepted:20")
	want := []pace.Event{pace.Steered{Send: id, Shard: 3, Version: 1, PerMinute: 120}, pace.Steered{Send: id, Shard: 3, Version: 2}, pace.Unsteered{Send: id, Shard: 3}}
	if !slices.Equal(a.rates, want) {
		t.Fatalf("pace was told %v", a.rates)
	}
	for _, r := range w.ledger.from(t, 0, 999) {
		if s := r.Envelope.GetSettle(); s != nil && time.Duration(s.QuotaWait) != time.Minute {
			t.Errorf("a range waited %v", time.Duration(s.QuotaWait))
		}
	}
}
