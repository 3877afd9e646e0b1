package fanout

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
)

// An owner that lost its term while an append hangs waits for the append, and
// does not ask for one Tick after another.
func TestAHangingAppendIsWaitedForQuietly(t *testing.T) {
	m, now := New(Default(), 0, 7), time.Unix(1_800_000_000, 0)
	m.Step(now, Assigned{Fold: ledger.New()})
	m.Step(now, CaughtUp{}) // its take is on its way
	take := record.NewWriter(9).Next(&record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{Incarnation: 9}}}, now, record.Scope{})
	m.Step(now, LedgerRead{Records: []Record{{Position: 1, Envelope: take}}})
	now = now.Add(time.Minute)
	for _, e := range m.Step(now, Tick{}) {
		if w, ok := e.(Wake); ok {
			t.Fatalf("asks for a Tick %v ago", now.Sub(w.At))
		}
	}
	again := false
	for _, e := range m.Step(now, Appended{}) {
		_, catch := e.(CatchUp)
		again = again || catch
	}
	if !again {
		t.Fatal("does not take again after the append")
	}
}
