package fanout

import (
	"fmt"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

var start = time.Unix(1_800_000_000, 0)

// world is one shard's logs, its owners, a plan that permits retries, and a
// provider that counts what it accepted.
type world struct {
	t        testing.TB
	config   Config
	now      time.Time
	ledger   logs
	slices   logs
	quota    time.Duration // what each grant waits for it
	owners   []*actor
	plan     *ledger.Fold
	planned  uint64 // records of the ledger that plan has read
	planner  *record.Writer
	api      *record.Writer
	accepted map[string]int // by send and ordinal
	written  map[string]int
	audience map[uint64][]*record.Lot // by slice
	answer   func(d Deliver, i int) provider.Result
	names    uint64
	window   int    // the most pushes that were ever claimed and unsettled
	changes  uint64 // applied when a slice is evaluated
}

type logs struct{ data [][]byte }

func (l *logs) end() uint64 { return uint64(len(l.data))*2 + 1 }

func (l *logs) append(e *record.Envelope) uint64 {
	l.data = append(l.data, record.Encode(e))
	return l.end() - 2
}

func (l *logs) from(t testing.TB, position uint64, most int) (all []Record) {
	for i := int(position) / 2; i < len(l.data) && len(all) < most; i++ {
		e, err := record.Decode(l.data[i])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Record{Position: uint64(i)*2 + 1, Envelope: e})
	}
	return all
}

// actor is one machine and what its shell would have under way.
type actor struct {
	w         *world
	m         *Machine
	next      uint64 // of the ledger
	following bool
	catching  int64 // end to reach, -1 none
	slices    int64 // position asked for, -1 none
	appending []*record.Envelope
	asks      []pace.Ask
	rates     []pace.Event  // what pace was told of rates
	quota     time.Duration // waited for so far
	delivers  []*delivery
	evaluate  []Evaluate
	fetch     []uint64
	stopped   *Stopped
	halts     int
}

type delivery struct {
	Deliver
	ordinals []uint32
	onDoubt  tocsin.OnDoubt
	results  []provider.Result
	sent     int // written so far
	halted   bool
	dead     bool // its owner is gone: nobody hears the answer
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, config: Default(), now: start, plan: ledger.New(), planner: record.NewWriter(1), api: record.NewWriter(2), names: 10,
		accepted: map[string]int{}, written: map[string]int{}, audience: map[uint64][]*record.Lot{},
		answer: func(Deliver, int) provider.Result { return provider.Accepted },
	}
	w.config.Window, w.config.RangeSize = 64, 16
	return w
}

func (w *world) owner() *actor {
	w.names++
	a := &actor{w: w, m: New(w.config, 3, w.names), catching: -1, slices: -1}
	w.owners = append(w.owners, a)
	a.step(Assigned{Fold: ledger.New()})
	return a
}

func (a *actor) step(e Event) {
	if a.m == nil {
		return
	}
	for _, effect := range a.m.Step(a.w.now, e) {
		switch e := effect.(type) {
		case Follow:
			a.next, a.following = e.From, true
		case CatchUp:
			a.catching = int64(a.w.ledger.end())
		case ReadSlices:
			a.slices = int64(e.From)
		case FetchSlice:
			a.fetch = append(a.fetch, e.Position)
		case Evaluate:
			a.evaluate = append(a.evaluate, e)
		case Append:
			if a.appending != nil {
				a.w.t.Fatal("two appends at once")
			}
			a.appending = e.Records
		case Pace:
			switch p := e.Event.(type) {
			case pace.Steered, pace.Unsteered:
				a.rates = append(a.rates, p)
			case pace.Ask:
				a.asks = append(a.asks, p)
			case pace.Drop:
				for i, ask := range a.asks {
					if ask.Ticket == p.Ticket {
						a.asks = append(a.asks[:i:i], a.asks[i+1:]...)
						break
					}
				}
			}
		case Deliver:
			a.delivers = append(a.delivers, &delivery{
				Deliver: e, ordinals: e.Send.Ordinals(e.Page, nil)[e.Span.From:e.Span.To], onDoubt: e.Send.OnDoubt})
		case Halt:
			a.halts++
			for _, d := range a.delivers {
				if d.Claim == e.Claim {
					d.halted = true
				}
			}
		case Stopped:
			a.stopped = &e
		}
	}
	if a.m.Owning() && a.m.Held() > a.w.config.Window {
		a.w.t.Fatalf("%d pushes held, window %d", a.m.Held(), a.w.config.Window)
	}
	if f := a.m.Fold(); f != nil {
		a.w.window = max(a.w.window, f.Held())
	}
}

// The parts of the road, one step each; they report whether there was anything to do.

func (a *actor) read(most int) bool {
	if !a.following || a.m == nil {
		return false
	}
	if records := a.w.ledger.from(a.w.t, a.next, most); len(records) > 0 {
		a.next = records[len(records)-1].Position + 1
		a.step(LedgerRead{Records: records})
		return true
	}
	if a.catching >= 0 && int64(a.next)+1 >= a.catching {
		a.catching = -1
		a.step(CaughtUp{})
		return true
	}
	return false
}

func (a *actor) readSlices() bool {
	if a.slices < 0 {
		return false
	}
	records := a.w.slices.from(a.w.t, uint64(a.slices), 3)
	if len(records) == 0 {
		return false
	}
	a.slices = -1
	a.step(SlicesRead{Records: records, Next: records[len(records)-1].Position + 1})
	return true
}

func (a *actor) lookUp() bool {
	if len(a.fetch) > 0 {
		p := a.fetch[0]
		a.fetch = a.fetch[1:]
		a.step(SliceFetched{Position: p, Envelope: a.w.slices.from(a.w.t, p, 1)[0].Envelope})
		return true
	}
	if len(a.evaluate) > 0 {
		e := a.evaluate[0]
		a.evaluate = a.evaluate[1:]
		a.step(Evaluated{Slice: e.Position, Generation: 1, Changes: a.w.changes, Lots: a.w.audience[e.Position]})
		return true
	}
	return false
}

func (a *actor) append(keep int, fail bool) bool {
	if a.appending == nil {
		return false
	}
	records := a.appending
	a.appending = nil
	for _, e := range records[:min(keep, len(records))] {
		a.w.ledger.append(e)
	}
	if fail {
		a.step(AppendFailed{})
	} else {
		a.step(Appended{})
	}
	return true
}

func (a *actor) grant(n int) bool {
	if len(a.asks) == 0 {
		return false
	}
	ask := a.asks[0]
	a.asks = a.asks[1:]
	a.quota += a.w.quota
	a.step(Granted{Grant: pace.Grant{Ticket: ask.Ticket, Route: ask.Route, Send: ask.Send, N: min(n, ask.N), Waited: a.w.quota, Total: a.quota}})
	return true
}

func (d *delivery) key(i int) string { return fmt.Sprint(d.Content.GetSlice().Send, d.ordinals[i]) }

// write sends up to n more pushes of a delivery.
func (w *world) write(d *delivery, n int) {
	for range n {
		if d.sent == len(d.ordinals) || d.halted {
			return
		}
		i := d.sent
		d.sent++
		w.written[d.key(i)]++
		result := w.answer(d.Deliver, i)
		if result == provider.Accepted || result == provider.Lost {
			w.accepted[d.key(i)]++
		}
		d.results = append(d.results, result)
	}
}

func (a *actor) deliver(n int) bool {
	if len(a.delivers) == 0 {
		return false
	}
	d := a.delivers[0]
	a.w.write(d, n)
	if d.sent < len(d.ordinals) && !d.halted {
		return true
	}
	a.delivers = a.delivers[1:]
	var answers []Answer
	for i := range d.ordinals {
		result := provider.Unsent
		if i < d.sent {
			result = d.results[i]
		}
		if l := len(answers) - 1; l >= 0 && answers[l].Result == result {
			answers[l].Count++
		} else {
			answers = append(answers, Answer{Count: 1, Result: result, Reason: tocsin.ReasonUnavailable})
		}
	}
	a.step(Answered{Claim: d.Claim, Answers: answers})
	return true
}

// permit plays plan: every push in later gets its permission at once, and
// again with every take.
func (w *world) permit(repeat bool) bool {
	records := w.ledger.from(w.t, w.planned, 1)
	if len(records) == 0 {
		return false
	}
	r := records[0]
	w.planned = r.Position + 1
	v := w.plan.Apply(r.Position, r.Envelope)
	if !v.InForce || r.Envelope.GetSettle() == nil && r.Envelope.GetTake() == nil {
		return true
	}
	for _, s := range w.plan.Sends() {
		for n := range s.Pages() {
			all := ledger.Span{To: s.Page(n).Size()}
			claim := r.Envelope.GetSettle().GetClaim()
			if v.Claim != nil {
				if v.Claim.Send != s || v.Claim.Page != n {
					continue
				}
				all = v.Claim.Span
			}
			for span, push := range s.Page(n).Runs(all) {
				if push.State() != ledger.Waiting {
					continue
				}
				e := &record.Envelope{Body: &record.Envelope_Slice{Slice: &record.Slice{Send: s.ID.Bytes(), Retry: &record.Retry{
					Term: w.plan.Term(), Claim: claim, Page: uint32(n), From: uint32(span.From), To: uint32(span.To), Attempt: uint32(push.Claimable()),
				}}}}
				w.slices.append(w.planner.Next(e, w.now, s.Scope))
				if repeat {
					w.slices.append(w.planner.Next(e, w.now, s.Scope))
				}
			}
		}
	}
	return true
}

// send puts a slice into the log, whose audience has lots of these sizes.
func (w *world) send(n byte, slice *record.Slice, sizes ...int) tocsin.SendID {
	id := tocsin.SendID{15: n}
	slice.Send, slice.Due = id.Bytes(), w.now.UnixNano()
	e := &record.Envelope{Body: &record.Envelope_Slice{Slice: slice}}
	position := w.slices.append(w.planner.Next(e, w.now, record.Scope{Project: tocsin.ProjectID{n}, Class: tocsin.Normal}))
	ordinal := uint32(0)
	for i, size := range sizes {
		b := roaring.New()
		for range size {
			b.Add(ordinal)
			ordinal++
		}
		data, _ := b.ToBytes()
		w.audience[position] = append(w.audience[position], &record.Lot{
			Route: &record.Route{Provider: uint32(tocsin.FCM), Credential: []byte{15: byte(i % 2)}}, Ordinals: data, Count: uint32(size)})
	}
	return id
}

func (w *world) cancel(id tocsin.SendID) {
	w.ledger.append(w.api.Next(&record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: id.Bytes()}}}, w.now, record.Scope{}))
}

func (w *world) steer(id tocsin.SendID, version uint64, rate uint32, paused bool) {
	w.ledger.append(w.api.Next(&record.Envelope{Body: &record.Envelope_Steer{Steer: &record.Steer{
		Send: id.Bytes(), Version: version, Rate: rate, Paused: paused}}}, w.now, record.Scope{}))
}

// settle runs everything that waits, without faults, until nothing does.
func (w *world) settle() {
	w.t.Helper()
	for round := 0; ; round++ {
		if round > 10_000 {
			w.t.Fatal("does not come to rest")
		}
		again := w.permit(false)
		for _, a := range w.owners {
			for _, did := range []bool{a.read(5), a.readSlices(), a.lookUp(), a.append(1<<20, false), a.grant(1 << 20), a.deliver(1 << 20)} {
				again = again || did
			}
		}
		if !again {
			return
		}
	}
}

// fold reads the whole ledger anew.
func (w *world) fold() *ledger.Fold {
	f := ledger.New()
	for _, r := range w.ledger.from(w.t, 0, 1<<30) {
		f.Apply(r.Position, r.Envelope)
	}
	return f
}

// closed counts a closed send's pushes by outcome and mark, and holds the
// provider's count against them (law L3).
func (w *world) closed(id tocsin.SendID) (outcomes map[string]int) {
	w.t.Helper()
	f := ledger.New()
	var s *ledger.Send
	for _, r := range w.ledger.from(w.t, 0, 1<<30) {
		if v := f.Apply(r.Position, r.Envelope); v.InForce && v.Opened && v.Send.ID == id {
			s = v.Send
		}
	}
	if s == nil || !s.Closed {
		w.t.Fatalf("send %v is not closed", id)
	}
	outcomes = map[string]int{}
	for n := range s.Pages() {
		ordinals := s.Ordinals(n, nil)
		for i := range s.Page(n).Size() {
			push, times := s.Page(n).Push(i), w.accepted[fmt.Sprint(id.Bytes(), ordinals[i])]
			name := push.Outcome().String()
			if push.Mark() {
				name += "?"
			}
			outcomes[name]++
			switch {
			case push.Outcome() == 0:
				w.t.Fatal("closed without an outcome")
			case push.Mark() && s.OnDoubt == tocsin.Skip && times > 1:
				w.t.Fatalf("accepted %d times with skip", times)
			case !push.Mark() && (push.Outcome() == tocsin.Accepted) != (times == 1), !push.Mark() && times > 1:
				w.t.Fatalf("push %d of page %d ended %s, accepted %d times", i, n, name, times)
			}
		}
	}
	return outcomes
}

func (w *world) want(id tocsin.SendID, want string) {
	w.t.Helper()
	if have := fmt.Sprint(w.closed(id)); have != "map["+want+"]" {
		w.t.Fatalf("send %v ended %s, want %s", id, have, want)
	}
}

func (w *world) key(id tocsin.SendID, ordinal uint32) string { return fmt.Sprint(id.Bytes(), ordinal) }

// trimmed loses the part of the ledger that was not read, and goes on from
// plan's fold as a snapshot.
func (a *actor) trimmed() {
	a.w.t.Helper()
	a.following, a.catching = false, -1
	a.step(Trimmed{})
	fold, err := ledger.Unmarshal(a.w.plan.Marshal())
	if err != nil {
		a.w.t.Fatal(err)
	}
	a.step(Assigned{Fold: fold})
}
