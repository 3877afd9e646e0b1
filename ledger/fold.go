package ledger

import (
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Remembered is how long a cancel or a steer that came before its open, and a
// closed send without an origin, is remembered. It counts the time in which the
// ledger was awake: a pause between two records counts as at most Silence, so
// that nothing is forgotten because everybody stood still.
const (
	Remembered = 48 * time.Hour
	Silence    = time.Minute
)

// Claim is a claim in force that no settle has ended yet.
type Claim struct {
	Term, Seq uint64
	Position  uint64
	At        int64 // Unix nanoseconds, of the record
	Send      *Send
	Page      int
	Span
	Attempt int
	Changes uint64 // eligibility was looked at below this position of changes
}

// Verdict says what a record did.
type Verdict struct {
	InForce bool
	Why     string   // it is void
	Send    *Send    // of open (its last chunk), claim, settle, close, cancel and steer in force
	Opened  bool     // the send was opened by this record
	Claim   *Claim   // made by a claim (or an open with one), ended by a settle
	Marked  []*Claim // claims that a take ended in doubt
}

// Fold is the state of one shard's ledger after the records applied so far.
// Not for use by several goroutines at once.
type Fold struct {
	next        uint64
	clock       int64 // highest time of a record
	awake       int64 // nanoseconds in which the ledger was
	term        uint64
	seq         uint64
	incarnation uint64
	slice       uint64
	held        int // pushes of claims

	opened  map[uint32]uint64 // by shard of sends: the highest origin opened
	sends   []*Send           // in the order opened
	byID    map[tocsin.SendID]*Send
	claims  map[uint64]*Claim
	partial *partial
	tombs   tombs
	seen    record.Seen
}

// partial is an open whose last chunk has not come.
type partial struct {
	send   *Send
	chunk  uint32 // the next one
	chunks uint32
}

// New returns the fold of an empty ledger.
func New() *Fold {
	return &Fold{
		opened: map[uint32]uint64{},
		byID:   map[tocsin.SendID]*Send{},
		claims: map[uint64]*Claim{},
		tombs:  tombs{byID: map[tocsin.SendID]*tomb{}},
		seen:   record.Seen{},
	}
}

// Next is the position to read next: one above the last record applied, or what
// Advance told.
func (f *Fold) Next() uint64 { return f.next }

// Advance says that the ledger holds no record below next that was not applied:
// positions have gaps, and a trim may end in one.
func (f *Fold) Advance(next uint64) { f.next = max(f.next, next) }

// Term is the position of the take in force, 0 before the first.
func (f *Fold) Term() uint64 { return f.term }

// Seq is the last number used in the term.
func (f *Fold) Seq() uint64 { return f.seq }

// Incarnation is that of the take in force.
func (f *Fold) Incarnation() uint64 { return f.incarnation }

// Slice is the highest position of a slice that was opened. Slices open in
// order: those at or below it have been.
func (f *Fold) Slice() uint64 { return f.slice }

// KeepSlices is the lowest position of slices that an owner may still have to
// read: slices below it may be trimmed.
func (f *Fold) KeepSlices() uint64 {
	keep := f.slice + 1
	for _, s := range f.sends {
		keep = min(keep, s.Slice)
	}
	return keep
}

// Claim returns a claim of the current term without a settle, or nil.
func (f *Fold) Claim(seq uint64) *Claim { return f.claims[seq] }

// Held is the number of pushes of claims in force without a settle.
func (f *Fold) Held() int { return f.held }

// Sends are the sends opened and not closed, in the order opened. The caller
// must not change the slice nor keep it over Apply.
func (f *Fold) Sends() []*Send { return f.sends }

// Send returns an open send, or nil.
func (f *Fold) Send(id tocsin.SendID) *Send { return f.byID[id] }

// Cancelled reports whether the send is known to be cancelled, opened or not.
func (f *Fold) Cancelled(id tocsin.SendID) bool {
	if s := f.byID[id]; s != nil {
		return s.Cancelled
	}
	t := f.tombs.byID[id]
	return t != nil && t.cancelled
}

// Finished reports whether a send of this identifier and origin (nil when it has
// none) may not be opened any more: it was closed, or passed over. Sends that
// have an origin open in its order, so one number for each shard of sends
// remembers all of them for ever.
func (f *Fold) Finished(id tocsin.SendID, origin *record.Origin) bool {
	if origin != nil {
		return origin.Position <= f.opened[origin.Shard] && f.byID[id] == nil
	}
	return f.closed(id)
}

// closed reports whether the send is remembered as closed.
func (f *Fold) closed(id tocsin.SendID) bool {
	t := f.tombs.byID[id]
	return t != nil && t.closed
}

// Claims are the claims without a settle, by number.
func (f *Fold) Claims() []*Claim {
	all := make([]*Claim, 0, len(f.claims))
	for _, seq := range slices.Sorted(maps.Keys(f.claims)) {
		all = append(all, f.claims[seq])
	}
	return all
}

func void(why string) Verdict { return Verdict{Why: why} }

// Apply takes the record at a position. Records must be applied in order of
// position; one at or below the last is a fault of the reader and panics.
func (f *Fold) Apply(position uint64, e *record.Envelope) Verdict {
	if position < f.next {
		panic("ledger: records applied out of order")
	}
	f.next = position + 1
	if e.At > f.clock {
		f.awake += min(e.At-f.clock, int64(Silence))
		f.clock = e.At
		f.tombs.forget(f.awake)
	}
	if !f.seen.First(e) {
		return void("a repeat")
	}
	switch body := e.Body.(type) {
	case *record.Envelope_Take:
		return f.take(position, body.Take)
	case *record.Envelope_Cancel:
		return f.cancel(tocsin.SendID(fixed(body.Cancel.Send)))
	case *record.Envelope_Steer:
		return f.steer(e.At, body.Steer)
	case *record.Envelope_Open:
		if why := f.stamp(body.Open.Stamp); why != "" {
			return void(why)
		}
		return f.open(position, e, body.Open)
	case *record.Envelope_Claim:
		if why := f.stamp(body.Claim.Stamp); why != "" {
			return void(why)
		}
		return f.claim(position, e.At, body.Claim)
	case *record.Envelope_Settle:
		if why := f.stamp(body.Settle.Stamp); why != "" {
			return void(why)
		}
		return f.settle(body.Settle)
	case *record.Envelope_Close:
		if why := f.stamp(body.Close.Stamp); why != "" {
			return void(why)
		}
		return f.close(tocsin.SendID(fixed(body.Close.Send)))
	}
	return void("not a record of the ledger")
}

func fixed(b []byte) (id [16]byte) {
	copy(id[:], b)
	return id
}

// stamp checks term and number, and uses the number up.
func (f *Fold) stamp(s *record.Stamp) (why string) {
	switch {
	case s.GetTerm() != f.term || f.term == 0:
		return "another term"
	case s.Seq != f.seq+1:
		return "a gap or a repeat in the sequence"
	}
	f.seq++
	return ""
}

func (f *Fold) take(position uint64, t *record.Take) Verdict {
	if t.Supersedes != f.term {
		return void("supersedes a term that is not the current one")
	}
	f.term, f.seq, f.incarnation, f.partial = position, 0, t.Incarnation, nil
	v := Verdict{InForce: true, Marked: f.Claims()}
	for _, c := range v.Marked {
		skip := c.Send.OnDoubt == tocsin.Skip || c.Send.Cancelled
		c.Send.change(c.Send.pages[c.Page], c.Span, func(p Push) Push { return p.doubt(skip) })
	}
	clear(f.claims)
	f.held = 0
	return v
}

func (f *Fold) open(position uint64, e *record.Envelope, o *record.Open) Verdict {
	id := tocsin.SendID(fixed(o.Send))
	part := f.partial
	f.partial = nil
	if o.Chunk == 0 {
		part = &partial{chunks: o.Chunks, send: &Send{
			ID: id, Scope: record.Of(e), Slice: o.Slice, Generation: o.Generation, Changes: o.Changes, Due: instant(o.Due), Expiry: instant(o.Expiry),
			OnDoubt: tocsin.OnDoubt(o.OnDoubt), Attempts: int(o.Attempts), Unknown: o.Unknown, Steering: SteeringOf(o.Steer), pausedAt: e.At, origin: o.Origin,
		}}
	}
	switch {
	case part == nil || part.send.ID != id || part.send.Slice != o.Slice || part.chunk != o.Chunk || part.chunks != o.Chunks || o.Chunk >= o.Chunks:
		return void("not the next chunk of an open")
	case f.byID[id] != nil || f.Finished(id, o.Origin):
		return void("the send was opened before")
	case o.Slice <= f.slice:
		return void("a later slice was opened before")
	case o.Claim != nil && (o.Chunks != 1 || f.Cancelled(id)):
		return void("its claim is not possible")
	}
	for _, r := range o.Lots {
		lot, err := readLot(r)
		if err != nil {
			return void(err.Error())
		}
		part.send.lots = append(part.send.lots, lot)
	}
	if part.chunk++; part.chunk < part.chunks {
		f.partial = part
		return Verdict{InForce: true}
	}
	s := part.send
	s.cut()
	v := Verdict{InForce: true, Send: s, Opened: true}
	if o.Claim != nil {
		if why := f.check(s, o.Claim); why != "" {
			return void(why)
		}
		v.Claim = f.hold(position, e.At, s, o.Claim)
	}
	s.Opened, s.Term, f.slice = position, f.term, s.Slice
	if s.origin != nil {
		f.opened[s.origin.Shard] = s.origin.Position
	}
	f.sends = append(f.sends, s)
	f.byID[id] = s
	if t := f.tombs.byID[id]; t != nil {
		if t.steering.Version > s.Steering.Version {
			s.steer(e.At, t.steering)
		}
		if t.cancelled {
			s.cancel()
		}
		f.tombs.drop(id)
	}
	return v
}

func instant(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// check says why a claim on an open send cannot be in force.
func (f *Fold) check(s *Send, c *record.Claim) (why string) {
	switch {
	case s == nil:
		return "its send is not open"
	case s.Cancelled:
		return "its send is cancelled"
	case int(c.Page) >= len(s.pages) || c.From >= c.To || int(c.To) > s.pages[c.Page].size || c.Attempt == 0 || c.Attempt > MaxAttempt:
		return "no such range"
	}
	for _, p := range s.pages[c.Page].Runs(Span{int(c.From), int(c.To)}) {
		if p.Claimable() != int(c.Attempt) {
			return "a push of it may not be claimed for this attempt"
		}
	}
	return ""
}

func (f *Fold) hold(position uint64, at int64, s *Send, r *record.Claim) *Claim {
	c := &Claim{
		Term: f.term, Seq: f.seq, Position: position, At: at, Send: s, Page: int(r.Page), Span: Span{int(r.From), int(r.To)},
		Attempt: int(r.Attempt), Changes: r.Changes,
	}
	s.change(s.pages[c.Page], c.Span, Push.claim)
	f.claims[c.Seq] = c
	f.held += c.To - c.From
	return c
}

func (f *Fold) claim(position uint64, at int64, r *record.Claim) Verdict {
	s := f.byID[tocsin.SendID(fixed(r.Send))]
	if why := f.check(s, r); why != "" {
		return void(why)
	}
	return Verdict{InForce: true, Send: s, Claim: f.hold(position, at, s, r)}
}

func (f *Fold) settle(r *record.Settle) Verdict {
	c := f.claims[r.Claim]
	if c == nil {
		return void("no such claim, or it was settled")
	}
	if c.Send.ID != tocsin.SendID(fixed(r.Send)) {
		return void("the claim is of another send")
	}
	left := uint64(c.To - c.From)
	for _, run := range r.Runs {
		result := Result(run.Result)
		if run.Result > uint32(Released) || (result.Outcome() == 0 && result != Later && result != Released) ||
			run.Reason > 31 || run.Mark && result == Released {
			return void("no such result")
		}
		if uint64(run.Count) > left || run.Count == 0 {
			return void("its runs do not cover the claim")
		}
		left -= uint64(run.Count)
	}
	if left > 0 {
		return void("its runs do not cover the claim")
	}
	at := c.From
	for _, run := range r.Runs {
		to := at + int(run.Count)
		c.Send.change(c.Send.pages[c.Page], Span{at, to}, func(p Push) Push {
			return p.settle(c.Send, Result(run.Result), tocsin.Reason(run.Reason), run.Mark)
		})
		at = to
	}
	delete(f.claims, r.Claim)
	f.held -= c.To - c.From
	return Verdict{InForce: true, Send: c.Send, Claim: c}
}

func (f *Fold) close(id tocsin.SendID) Verdict {
	s := f.byID[id]
	if s == nil {
		return void("its send is not open")
	}
	if s.open > 0 {
		return void("a push has no outcome")
	}
	s.Closed = true
	delete(f.byID, id)
	f.sends = slices.DeleteFunc(f.sends, func(o *Send) bool { return o == s })
	if s.origin == nil {
		f.tombs.add(&tomb{id: id, at: f.awake, closed: true, cancelled: s.Cancelled})
	}
	return Verdict{InForce: true, Send: s}
}

func (f *Fold) cancel(id tocsin.SendID) Verdict {
	s := f.byID[id]
	switch {
	case f.Cancelled(id):
		return void("cancelled before")
	case s != nil:
		s.cancel()
	case f.closed(id):
		return void("the send is closed")
	default: // to be opened yet, or closed long ago: then it does no harm
		f.tombs.add(&tomb{id: id, at: f.awake, cancelled: true})
	}
	return Verdict{InForce: true, Send: s}
}
