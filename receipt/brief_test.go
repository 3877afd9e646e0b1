package receipt

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// small is a send to one subscription, from its open to its answer, as fanout
// writes it.
func (w *world) small(n uint64) tocsin.SendID {
	var entropy [10]byte
	binary.BigEndian.PutUint64(entropy[:], n*0x9e3779b97f4a7c15)
	id := tocsin.MakeID[tocsin.SendID](w.now, entropy)
	data, _ := roaring.BitmapOf(uint32(n)).ToBytes()
	accepted := w.now.UnixNano()
	w.put(&record.Envelope{Body: &record.Envelope_Open{Open: &record.Open{Send: id.Bytes(), Slice: n + 1, Chunks: 1, Generation: 1,
		OnDoubt: uint32(tocsin.Resend), Attempts: 3, Due: accepted, Expiry: accepted + int64(time.Hour), Changes: 12345,
		Lots:  []*record.Lot{{Route: &record.Route{Provider: 1, Credential: make([]byte, 16), Topic: "com.example.bank"}, Ordinals: data, Count: 1}},
		Claim: &record.Claim{Send: id.Bytes(), To: 1, Attempt: 1, Changes: 12345}}}})
	claim := w.seq
	w.now = w.now.Add(30*time.Millisecond + time.Duration(n*7919)%time.Millisecond)
	written := w.now.UnixNano() - 7_654_321
	w.put(&record.Envelope{Body: &record.Envelope_Settle{Settle: &record.Settle{Send: id.Bytes(), Claim: claim,
		Runs: []*record.Run{run(1, tocsin.Accepted, 0)}, FirstWrite: written, LastWrite: written,
		Written: []*record.Bucket{{Micros: (written - accepted) / 1000, Count: 1}}}}})
	return id
}

func (w *world) end(id tocsin.SendID) {
	w.put(&record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Send: id.Bytes()}}})
}

func TestSmallSendsArePacked(t *testing.T) {
	w := begin(t)
	w.take()
	var all []tocsin.SendID
	for n := range uint64(60) {
		id := w.small(n)
		w.end(id)
		all = append(all, id)
	}
	// What a save that broke off has left is older.
	w.rows[SendPlace(0, all[9])] = map[string]store.Row{countersKey: {Key: countersKey, Value: marshal(&record.Counters{Audience: 1, Claimed: 1})}}
	w.fail = true
	w.pass(3 * time.Second)
	w.fail = false
	w.pass(3 * time.Second)
	open := w.small(60)
	w.pass(3 * time.Second) // it is spread: it was not closed in time
	w.end(open)
	w.pass(3 * time.Second)
	want(t, len(w.m.rows.whole), 0)
	w.start()
	for n, id := range append(all, open) {
		rows := w.stored(id)
		c, err := ReadCounters(rows)
		if err != nil || c == nil {
			t.Fatalf("send %d: %v, %v", n, c, err)
		}
		s := Merge(c)
		want(t, []any{s.Audience, s.Outcomes[tocsin.Accepted], s.Closed, s.Decided.Last > 0}, []any{1, 1, 1, true})
		pushes := 0
		if err := ReadOutcomes(rows, func(o Outcome) bool {
			pushes++
			want(t, []any{o.Ordinal, o.Outcome, o.Attempt}, []any{n, tocsin.Accepted, 1})
			return true
		}); err != nil || pushes != 1 {
			t.Fatalf("%d pushes, %v", pushes, err)
		}
		live, err := w.m.Live(id, uint32(n))
		want(t, err, nil)
		want(t, live.find(uint32(n), rows), nil)
		tr, err := live.story(rows)
		want(t, err, nil)
		want(t, []any{tr.State, len(tr.Attempts), tr.Attempts[0].Written.IsZero()}, []any{ledger.Ended(tocsin.Accepted), 1, false})
	}
	want(t, len(w.rows[SendPlace(0, all[0])]), 0)
	want(t, len(w.rows[SendPlace(0, open)]), 5)
}

// 1,250 sends are two seconds of 5,000 a second on one of 8 shards.
func BenchmarkSmallSends(b *testing.B) {
	w := begin(&testing.T{})
	w.take()
	n := uint64(0)
	for b.Loop() {
		for range 1250 {
			w.now = w.now.Add(-29500 * time.Microsecond)
			w.end(w.small(n))
			n++
		}
	}
	w.pass(3 * time.Second)
	bytes, state := 0, 0
	for at, rows := range w.rows {
		for key, r := range rows {
			if at == Place(0) {
				state += len(r.Value)
			} else {
				bytes += len(key) + len(r.Value)
			}
		}
	}
	b.ReportMetric(float64(bytes)/float64(n), "B/send")
	b.ReportMetric(float64(state), "B/state")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/send")
}
