package fanout

import (
	"math/rand/v2"
	"testing"

	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// Retries that come one by one, in any order, are claimed in as few ranges as
// the page allows: a claim is one run of one attempt.
func TestRetriesOfAPageAreClaimedTogether(t *testing.T) {
	w := newWorld(t)
	w.config.Window, w.config.RangeSize = 1024, 1024
	var later []int
	w.answer = func(d Deliver, i int) provider.Result {
		if at := d.Span.From + i; d.Attempt == 1 && (at >= 100 && at < 200 || at == 300 || at == 302) {
			later = append(later, at)
			return provider.Later
		}
		return provider.Accepted
	}
	id := w.send(1, &record.Slice{}, 1024)
	a := w.owner()
	for a.read(99) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(1024) || a.deliver(1024) {
	}
	if len(later) != 102 {
		t.Fatalf("%d are to be tried again", len(later))
	}
	claim := uint32(0)
	for _, r := range w.ledger.from(t, 0, 999) {
		if c := r.Envelope.GetClaim(); c != nil {
			claim = uint32(c.Stamp.Seq)
		}
	}
	rand.Shuffle(len(later), func(i, j int) { later[i], later[j] = later[j], later[i] })
	for _, at := range later {
		w.slices.append(w.planner.Next(&record.Envelope{Body: &record.Envelope_Slice{Slice: &record.Slice{
			Send: id.Bytes(), Retry: &record.Retry{Term: a.m.term, Claim: uint64(claim), From: uint32(at), To: uint32(at + 1), Attempt: 2},
		}}}, w.now, record.Scope{}))
	}
	before := len(w.ledger.data)
	for a.readSlices() { // all of them come before the first is granted
	}
	w.planned = w.ledger.end() - 2 // plan has done its part
	for a.grant(1024) || a.append(99, false) || a.read(99) || a.deliver(1024) {
	}
	claims := 0
	for _, r := range w.ledger.from(t, uint64(before)*2+1, 999) {
		if r.Envelope.GetClaim() != nil {
			claims++
		}
	}
	// Two asks were made with the first permits and cut the runs; the rest waits behind them.
	if claims < 3 || claims > 8 {
		t.Errorf("%d claims for three runs", claims)
	}
	w.want(id, "accepted:1024")
}
