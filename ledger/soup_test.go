package ledger

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// soup draws records that mostly fit, with repeats, gaps, older terms, wrong
// ranges, cancels and steers among them.
func soup(t *rapid.T) []*record.Envelope {
	probe := New() // tells the writers what would fit
	var all []*record.Envelope
	writers := map[uint64]*record.Writer{}
	terms := []uint64{0}
	put := func(writer uint64, e *record.Envelope) {
		if writers[writer] == nil {
			writers[writer] = record.NewWriter(writer)
		}
		writers[writer].Next(e, start.Add(time.Duration(len(all))*time.Second), record.Scope{Class: tocsin.Normal})
		all = append(all, e)
		if v := probe.Apply(uint64(len(all)), e); v.InForce && e.GetTake() != nil {
			terms = append(terms, uint64(len(all)))
		}
	}
	small := func(name string, from, to int) uint32 { return uint32(rapid.IntRange(from, to).Draw(t, name)) }
	lots := func() (all []*record.Lot) {
		from := uint32(0)
		for range small("lots", 0, 2) {
			n := small("ordinals", 1, 12)
			var ordinals []uint32
			for i := range n {
				ordinals = append(ordinals, from+i)
			}
			from += n
			all = append(all, lot(tocsin.FCM, ordinals...))
		}
		return all
	}
	for range rapid.IntRange(20, 120).Draw(t, "records") {
		stamp := &record.Stamp{Term: probe.Term(), Seq: probe.Seq() + 1}
		switch small("stamp", 0, 19) {
		case 0:
			stamp.Seq += uint64(small("gap", 1, 3))
		case 1:
			stamp.Term = rapid.SampledFrom(terms).Draw(t, "term")
		}
		send := byte(small("send", 1, 4))
		switch small("kind", 0, 13) {
		case 0:
			put(uint64(small("taker", 1, 3)), &record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{
				Incarnation: 7, Supersedes: rapid.SampledFrom(append(terms, probe.Term(), probe.Term())).Draw(t, "supersedes")}}})
		case 1, 2:
			o := body(send, lots()...)
			o.Slice, o.Stamp = probe.Slice()+1, stamp
			o.OnDoubt, o.Attempts = small("on doubt", 1, 2), small("attempts", 1, 3)
			if small("torn", 0, 3) == 0 {
				o.Chunks, o.Chunk = 2, small("chunk", 0, 1)
			}
			if small("origin", 0, 1) == 0 {
				o.Origin = &record.Origin{Shard: small("shard of sends", 0, 1), Position: uint64(small("position", 1, 40))}
			}
			if small("both", 0, 3) == 0 {
				o.Claim = &record.Claim{To: small("to", 1, 12), Attempt: 1}
			}
			put(1, &record.Envelope{Body: &record.Envelope_Open{Open: o}})
		case 3, 4, 5, 6:
			c := &record.Claim{Stamp: stamp, Send: sendID(send).Bytes(), Page: small("page", 0, 1), From: small("from", 0, 6), To: small("to", 1, 12), Attempt: 1}
			if s := probe.Send(sendID(send)); s != nil && int(c.Page) < s.Pages() && small("fit", 0, 5) > 0 {
				p := s.Page(int(c.Page))
				c.To = min(c.To, uint32(p.Size()))
				c.From = min(c.From, c.To-1)
				c.Attempt = uint32(p.Push(int(c.From)).Claimable())
			}
			put(1, &record.Envelope{Body: &record.Envelope_Claim{Claim: c}})
		case 7, 8, 9, 10:
			claims := probe.Claims()
			if len(claims) == 0 {
				continue
			}
			c := rapid.SampledFrom(claims).Draw(t, "claim")
			s := &record.Settle{Stamp: stamp, Send: c.Send.ID.Bytes(), Claim: c.Seq}
			for left := uint32(c.To - c.From); left > 0; {
				r := &record.Run{Count: small("count", 1, int(left)), Result: rapid.SampledFrom([]uint32{1, 1, 2, 3, 4, 5, 6, 7, 16, 16, 17}).Draw(t, "result")}
				r.Mark = r.Result == uint32(Later) && small("mark", 0, 2) == 0
				r.Reason = rapid.SampledFrom([]uint32{0, uint32(tocsin.ReasonCredential), uint32(tocsin.ReasonThrottled)}).Draw(t, "reason")
				left -= r.Count
				s.Runs = append(s.Runs, r)
			}
			put(1, &record.Envelope{Body: &record.Envelope_Settle{Settle: s}})
		case 11:
			put(9, &record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: sendID(send).Bytes()}}})
		case 13:
			put(8, steered(send, uint64(small("version", 1, 9)), small("rate", 0, 2), small("paused", 0, 1) == 1))
		case 12:
			put(1, &record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Stamp: stamp, Send: sendID(send).Bytes()}}})
		}
		if len(all) > 0 && small("repeat", 0, 9) == 0 {
			old := rapid.SampledFrom(all).Draw(t, "repeated")
			all = append(all, old)
			probe.Apply(uint64(len(all)), old)
		}
	}
	return all
}

// balance checks law L1 and the counts of a send against its pushes, one by one.
func balance(s *Send) error {
	var counted [states]int
	var doubtful [tocsin.InDoubt + 1]int
	sum := 0
	for n := range s.Pages() {
		p := s.Page(n)
		open := 0
		for i := range p.Size() {
			push := p.Push(i)
			counted[push.State()]++
			sum++
			switch o := push.Outcome(); {
			case o == 0:
				open++
			case push.Mark():
				doubtful[o]++
				if o == tocsin.Cancelled || o == tocsin.Expired || o == tocsin.Suppressed {
					return fmt.Errorf("a marked push ended %v", o)
				}
			case o == tocsin.InDoubt:
				return fmt.Errorf("in doubt without a mark")
			}
		}
		if open != p.Open() {
			return fmt.Errorf("page %d says %d open, has %d", n, p.Open(), open)
		}
	}
	if sum != s.Audience || counted != s.states || doubtful != s.doubtful {
		return fmt.Errorf("audience %d of %d, states %v of %v, doubtful %v of %v", sum, s.Audience, s.states, counted, s.doubtful, doubtful)
	}
	return nil
}

func TestSoupBalancesAndSnapshotsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := soup(t)
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		whole, resumed := New(), New()
		for i, e := range all {
			if i == cut {
				data := resumed.Marshal()
				again, err := Unmarshal(data)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(again.Marshal(), data) {
					t.Fatal("a snapshot read and written again differs")
				}
				resumed = again
			}
			a, b := whole.Apply(uint64(i+1), e), resumed.Apply(uint64(i+1), e)
			if a.InForce != b.InForce || a.Why != b.Why || a.Opened != b.Opened || len(a.Marked) != len(b.Marked) {
				t.Fatalf("record %d: %+v from the start, %+v from a snapshot", i, a, b)
			}
			if a.Send != nil && a.Send.Closed && a.Send.Open() != 0 {
				t.Fatal("closed with open pushes")
			}
			held := 0
			for _, c := range whole.Claims() {
				held += c.To - c.From
			}
			if held != whole.Held() {
				t.Fatalf("held %d, counted %d", held, whole.Held())
			}
			claimed := 0
			for _, s := range whole.Sends() {
				if err := balance(s); err != nil {
					t.Fatalf("record %d: %v", i, err)
				}
				claimed += s.Standing(Claimed)
			}
			if claimed != held {
				t.Fatalf("%d pushes claimed by %d of claims", claimed, held)
			}
		}
		if !bytes.Equal(whole.Marshal(), resumed.Marshal()) {
			t.Fatal("folding from a snapshot ends elsewhere")
		}
	})
}

// One simulated history folds some 500 small records with three readers.
func BenchmarkSmallRecords(b *testing.B) {
	s := tell(b)
	var all []*record.Envelope
	o := s.owner(1)
	keep := func(Verdict) { all = append(all, s.last) }
	keep(o.take())
	for send := byte(1); send <= 5; send++ {
		keep(o.open(body(send, lot(tocsin.APNs, upTo(200)...))))
		for from := uint32(0); from < 192; from += 16 {
			keep(o.claim(send, 0, from, from+16, 1))
			claim := o.seq
			keep(o.settle(send, claim, run1(10, accepted), run1(6, Later)))
			for i := from + 10; i < from+16; i += 3 {
				keep(o.claim(send, 0, i, i+3, 2))
				claim := o.seq
				keep(o.settle(send, claim, run1(3, accepted)))
			}
		}
	}
	b.ReportMetric(float64(len(all)), "records")
	b.ReportAllocs()
	for b.Loop() {
		f := New()
		for i, e := range all {
			f.Apply(uint64(i*3+3), e)
		}
	}
}

func BenchmarkMillion(b *testing.B) {
	open := body(1, lot(tocsin.APNs, upTo(1_000_000)...))
	b.ReportAllocs()
	for b.Loop() {
		f := New()
		n, position := uint64(0), uint64(0)
		put := func(e *record.Envelope) Verdict {
			n++
			position++
			e.Writer, e.Number = 1, n
			v := f.Apply(position, e)
			if !v.InForce {
				b.Fatal(v.Why)
			}
			return v
		}
		put(&record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{}}})
		open.Stamp = &record.Stamp{Term: 1, Seq: 1}
		s := put(&record.Envelope{Body: &record.Envelope_Open{Open: open}}).Send
		for page := range s.Pages() {
			size := uint32(s.Page(page).Size())
			put(&record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{
				Stamp: &record.Stamp{Term: 1, Seq: f.Seq() + 1}, Send: open.Send, Page: uint32(page), To: size, Attempt: 1}}})
			runs := []*record.Run{run1(100, accepted), run1(1, gone), run1(300, accepted), run1(1, gone), run1(size-402, accepted)}
			put(&record.Envelope{Body: &record.Envelope_Settle{Settle: &record.Settle{
				Stamp: &record.Stamp{Term: 1, Seq: f.Seq() + 1}, Send: open.Send, Claim: f.Seq(), Runs: runs}}})
		}
		if s.Open() != 0 {
			b.Fatal("not ended")
		}
	}
}

// What a snapshot costs after a million closed sends: with their origins, and
// remembered one by one, as scheduled ones are.
func BenchmarkSnapshotAfterAMillionSends(b *testing.B) {
	for _, name := range []string{"by origin", "one by one"} {
		b.Run(name, func(b *testing.B) {
			f := New()
			position := uint64(0)
			put := func(e *record.Envelope) {
				position++
				e.Writer, e.Number, e.At = 1, position, start.UnixNano()+int64(position)
				if v := f.Apply(position, e); !v.InForce {
					b.Fatal(v.Why)
				}
			}
			put(&record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{}}})
			stamp := func() *record.Stamp { return &record.Stamp{Term: 1, Seq: f.Seq() + 1} }
			for n := range uint64(1_000_000) {
				id := tocsin.MakeID[tocsin.SendID](start, [10]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Bytes()
				open := &record.Open{Stamp: stamp(), Send: id, Slice: n + 1, Chunks: 1}
				if name == "by origin" {
					open.Origin = &record.Origin{Position: n + 1}
				}
				put(&record.Envelope{Body: &record.Envelope_Open{Open: open}})
				put(&record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Stamp: stamp(), Send: id}}})
			}
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(f.Marshal())
			}
			b.ReportMetric(float64(size), "B")
		})
	}
}
