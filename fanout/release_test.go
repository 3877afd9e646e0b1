package fanout

import (
	"slices"
	"testing"

	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// A new owner goes through a page while retries of its end come and go: what
// they let go lies ahead of it, and is not taken twice.
func TestWhatIsReleasedAheadIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	w.config.RangeSize = 8
	id := w.send(1, &record.Slice{}, 32)
	rest := func(a *actor) {
		for a.read(99) || a.readSlices() || a.lookUp() || a.append(99, false) || a.deliver(99) {
		}
	}
	grant := func(a *actor, from int) { // the range that begins there, and lets it end
		t.Helper()
		i := slices.IndexFunc(a.asks, func(ask pace.Ask) bool { return a.m.asked[ask.Ticket.ID].From == from })
		if i < 0 {
			t.Fatalf("%d is not asked for", from)
		}
		a.asks[0], a.asks[i] = a.asks[i], a.asks[0]
		a.grant(99)
		rest(a)
	}
	permit := func(from, to uint32) {
		w.slices.append(w.planner.Next(&record.Envelope{Body: &record.Envelope_Slice{Slice: &record.Slice{
			Send: id.Bytes(), Retry: &record.Retry{Term: 1, Claim: 1, From: from, To: to, Attempt: 2},
		}}}, w.now, record.Scope{}))
	}
	accepted := func(Deliver, int) provider.Result { return provider.Accepted }
	unsent := func(Deliver, int) provider.Result { return provider.Unsent }
	later := func(Deliver, int) provider.Result { return provider.Later }

	a := w.owner()
	rest(a)
	w.answer = unsent
	grant(a, 0)
	w.answer = later
	grant(a, 16)
	w.answer = unsent
	grant(a, 8)
	w.answer = func(d Deliver, i int) provider.Result {
		return []provider.Result{provider.Accepted, provider.Later}[i/4]
	}
	grant(a, 24)
	permit(16, 20)
	w.answer = unsent
	rest(a)
	grant(a, 0)
	grant(a, 16)

	// Not begun: 0 to 16, and 16 to 20 at the second attempt. Later: 20 to 24, 28 to 32.
	a.m = nil
	b := w.owner()
	rest(b)
	permit(20, 24)
	permit(28, 32)
	rest(b)
	w.answer = accepted
	grant(b, 0)
	w.answer = unsent
	grant(b, 20)
	w.answer = accepted
	grant(b, 8)
	w.settle()
	w.want(id, "accepted:32")
}
