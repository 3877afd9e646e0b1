package ledger

import (
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// story writes records and folds them, each encoded and decoded again.
type story struct {
	t        testing.TB
	fold     *Fold
	position uint64
	writers  map[uint64]*record.Writer
	last     *record.Envelope
}

func tell(t testing.TB) *story {
	return &story{t: t, fold: New(), writers: map[uint64]*record.Writer{}}
}

var start = time.Unix(1_800_000_000, 0)

func (s *story) write(writer uint64, e *record.Envelope) Verdict {
	s.t.Helper()
	w := s.writers[writer]
	if w == nil {
		w = record.NewWriter(writer)
		s.writers[writer] = w
	}
	w.Next(e, start.Add(time.Duration(s.position)*time.Second), record.Scope{})
	return s.apply(e)
}

func (s *story) apply(e *record.Envelope) Verdict {
	s.t.Helper()
	decoded, err := record.Decode(record.Encode(e))
	if err != nil {
		s.t.Fatal(err)
	}
	s.last = decoded
	s.position += 3 // positions are not consecutive
	return s.fold.Apply(s.position, decoded)
}

func (s *story) repeat() Verdict { s.t.Helper(); return s.apply(s.last) }

func (s *story) must(v Verdict) Verdict {
	s.t.Helper()
	if !v.InForce {
		s.t.Fatalf("void: %s", v.Why)
	}
	return v
}

func (s *story) void(v Verdict) {
	s.t.Helper()
	if v.InForce {
		s.t.Fatal("in force, want void")
	}
}

func (s *story) is(send byte, page, push int, state State, mark bool) {
	s.t.Helper()
	p := s.fold.Send(sendID(send)).Page(page).Push(push)
	if p.State() != state || p.Mark() != mark {
		s.t.Fatalf("push %d of page %d is %v (mark %v), want %v (mark %v)", push, page, p.State(), p.Mark(), state, mark)
	}
}

func sendID(n byte) tocsin.SendID { return tocsin.SendID{15: n} }

// owner writes with the stamps it believes in.
type owner struct {
	*story
	writer, term, seq uint64
}

func (s *story) owner(writer uint64) *owner { return &owner{story: s, writer: writer} }

func (o *owner) stamp() *record.Stamp {
	o.seq++
	return &record.Stamp{Term: o.term, Seq: o.seq}
}

func (o *owner) take() Verdict { o.t.Helper(); return o.takeOver(o.fold.Term()) }

func (o *owner) takeOver(supersedes uint64) Verdict {
	o.t.Helper()
	v := o.write(o.writer, &record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{Incarnation: o.writer, Supersedes: supersedes}}})
	if v.InForce {
		o.term, o.seq = o.position, 0
	}
	return v
}

func lot(provider tocsin.Provider, ordinals ...uint32) *record.Lot {
	b := roaring.BitmapOf(ordinals...)
	data, _ := b.ToBytes()
	return &record.Lot{Route: &record.Route{Provider: uint32(provider)}, Ordinals: data, Count: uint32(b.GetCardinality())}
}

func upTo(n uint32) (all []uint32) {
	for i := range n {
		all = append(all, i*2)
	}
	return all
}

func body(send byte, lots ...*record.Lot) *record.Open {
	return &record.Open{
		Send: sendID(send).Bytes(), Slice: uint64(send), Chunks: 1, Lots: lots, OnDoubt: uint32(tocsin.Resend), Attempts: 3,
		Due: start.UnixNano(), Expiry: start.Add(time.Hour).UnixNano(),
	}
}

func (o *owner) open(open *record.Open) Verdict {
	o.t.Helper()
	open.Stamp = o.stamp()
	return o.write(o.writer, &record.Envelope{Body: &record.Envelope_Open{Open: open}})
}

func (o *owner) claim(send byte, page, from, to, attempt uint32) Verdict {
	o.t.Helper()
	return o.write(o.writer, &record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{
		Stamp: o.stamp(), Send: sendID(send).Bytes(), Page: page, From: from, To: to, Attempt: attempt}}})
}

func (o *owner) settle(send byte, claim uint64, runs ...*record.Run) Verdict {
	o.t.Helper()
	return o.write(o.writer, &record.Envelope{Body: &record.Envelope_Settle{Settle: &record.Settle{
		Stamp: o.stamp(), Send: sendID(send).Bytes(), Claim: claim, Runs: runs}}})
}

func (o *owner) close(send byte) Verdict {
	o.t.Helper()
	return o.write(o.writer, &record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Stamp: o.stamp(), Send: sendID(send).Bytes()}}})
}

func (s *story) cancel(send byte) Verdict {
	s.t.Helper()
	return s.write(999, &record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: sendID(send).Bytes()}}})
}

func run1(count uint32, result Result) *record.Run {
	return &record.Run{Count: count, Result: uint32(result)}
}

func later(count uint32, mark bool) *record.Run {
	r := run1(count, Later)
	r.Mark, r.Reason = mark, uint32(tocsin.ReasonUnanswered)
	return r
}

const (
	accepted = Result(tocsin.Accepted)
	gone     = Result(tocsin.Gone)
	expired  = Result(tocsin.Expired)
)
