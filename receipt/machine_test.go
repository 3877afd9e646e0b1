package receipt

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	scope = record.Scope{Project: tocsin.ProjectID{1}, Environment: tocsin.Development, Class: tocsin.Normal}
	one   = tocsin.SendID{15: 1}
)

// world is a ledger with a machine that reads it, and what the machine wrote.
type world struct {
	t       *testing.T
	now     time.Time
	m       *Machine
	log     []Record
	rows    map[store.Place]map[string]store.Row
	changes []*record.Address
	durable uint64
	fail    bool
	starts  uint64
	writer  *record.Writer
	term    uint64
	seq     uint64
}

func begin(t *testing.T) *world {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: noon, rows: map[store.Place]map[string]store.Row{}, writer: record.NewWriter(99)}
	w.start()
	return w
}

func (w *world) place(at store.Place) (rows []store.Row) {
	for _, r := range w.rows[at] {
		rows = append(rows, r)
	}
	return rows
}

// start is a new process: it loads the rows and reads the ledger on from there.
func (w *world) start() {
	w.starts++
	w.m = New(Default(), 0, w.starts)
	if err := w.m.Load(w.place(Place(0))); err != nil {
		w.t.Fatal(err)
	}
	w.step(Tick{})
	for _, r := range w.log {
		if r.Position >= w.m.Cursor() {
			w.step(LedgerRead{[]Record{r}, r.Position + 1})
		}
	}
}

func (w *world) step(e Event) {
	for events := []Event{e}; len(events) > 0; events = events[1:] {
		for _, effect := range w.m.Step(w.now, events[0]) {
			switch e := effect.(type) {
			case Append:
				for _, r := range e.Changes {
					for _, c := range r.GetChanges().Changes {
						if !w.fail {
							w.changes = append(w.changes, c.GetGone())
						}
					}
				}
				events = append(events, Appended{Failed: w.fail})
			case Save:
				for _, b := range e.Batches {
					if w.rows[b.Place] == nil {
						w.rows[b.Place] = map[string]store.Row{}
					}
					for _, r := range b.Writes {
						if old, ok := w.rows[b.Place][r.Key]; !w.fail && (!ok || old.Version < r.Version) {
							w.rows[b.Place][r.Key] = store.Row{Key: r.Key, Value: r.Value, Version: r.Version, Expires: r.Expires}
						}
					}
				}
				events = append(events, Saved{Failed: w.fail})
			case Durable:
				w.durable = e.Ledger
			}
		}
	}
}

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.step(Tick{})
	w.step(Tick{})
}

// put appends a record of the owner in force and has it read.
func (w *world) put(e *record.Envelope) {
	position := uint64(10 * (len(w.log) + 1))
	stamp := &record.Stamp{Term: w.term, Seq: w.seq + 1}
	switch b := e.Body.(type) {
	case *record.Envelope_Take:
		b.Take.Supersedes, b.Take.Incarnation = w.term, position
		w.term, stamp.Seq = position, 0
	case *record.Envelope_Open:
		b.Open.Stamp = stamp
	case *record.Envelope_Claim:
		b.Claim.Stamp = stamp
	case *record.Envelope_Settle:
		b.Settle.Stamp = stamp
	case *record.Envelope_Close:
		b.Close.Stamp = stamp
	}
	w.seq = stamp.Seq
	w.now = w.now.Add(time.Millisecond)
	r := Record{Position: position, Envelope: w.writer.Next(e, w.now, scope)}
	w.log = append(w.log, r)
	w.step(LedgerRead{[]Record{r}, position + 1})
}

func (w *world) take() { w.put(&record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{}}}) }

func (w *world) open(ordinals ...uint32) {
	data, _ := roaring.BitmapOf(ordinals...).ToBytes()
	w.put(&record.Envelope{Body: &record.Envelope_Open{Open: &record.Open{Send: one.Bytes(), Slice: 1, Chunks: 1, Unknown: 2,
		OnDoubt: uint32(tocsin.Resend), Attempts: 3, Due: noon.UnixNano(),
		Lots: []*record.Lot{{Route: &record.Route{Provider: 1}, Ordinals: data, Count: uint32(len(ordinals))}}}}})
}

func (w *world) claim(from, to, attempt uint32) uint64 {
	w.put(&record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{Send: one.Bytes(), From: from, To: to, Attempt: attempt}}})
	return w.seq
}

func (w *world) settle(s *record.Settle) {
	s.Send = one.Bytes()
	w.put(&record.Envelope{Body: &record.Envelope_Settle{Settle: s}})
}

func (w *world) close() {
	w.put(&record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Send: one.Bytes()}}})
}

func (w *world) status() Status {
	c := w.m.Status(one)
	if c == nil {
		var err error
		if c, err = ReadCounters(w.stored(one)); c == nil {
			w.t.Fatal(err)
		}
	}
	return Merge(c)
}

// stored are the rows of a send, packed or in its own place.
func (w *world) stored(id tocsin.SendID) []store.Row {
	at, from, to := BriefRange(0, id)
	rows, err := FindBrief(slices.DeleteFunc(w.place(at), func(r store.Row) bool { return r.Key < from || r.Key >= to }), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if rows != nil {
		return rows
	}
	return w.place(SendPlace(0, id))
}

func (w *world) trace(ordinal uint32) (Trace, error) {
	live, err := w.m.Live(one, ordinal)
	if err != nil {
		return Trace{}, err
	}
	rows := w.stored(one)
	if err := live.find(ordinal, rows); err != nil {
		return Trace{}, err
	}
	return live.story(rows)
}

func want(t *testing.T, have, want any) {
	t.Helper()
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Fatalf("have %v, want %v", have, want)
	}
}

func run(count uint32, result tocsin.Outcome, reason tocsin.Reason) *record.Run {
	return &record.Run{Count: count, Result: uint32(result), Reason: uint32(reason)}
}

func laterRun() *record.Run {
	return &record.Run{Count: 1, Result: uint32(ledger.Later), Reason: uint32(tocsin.ReasonThrottled)}
}

// story is a send with a retry, a takeover and a dead address.
func (w *world) story() {
	w.take()
	w.open(10, 11, 12, 13)
	first := w.claim(0, 2, 1)
	w.claim(2, 4, 1)
	w.settle(&record.Settle{Claim: first, Runs: []*record.Run{run(1, tocsin.Accepted, 0), {Count: 1, Result: uint32(ledger.Later),
		Reason: uint32(tocsin.ReasonThrottled), NotBefore: noon.UnixNano()}}, LastWrite: noon.Add(time.Second).UnixNano(),
		Written: []*record.Bucket{{Micros: 1000, Count: 2}}, Decided: []*record.Bucket{{Micros: 1000, Count: 1}}, QuotaWait: 400_000})
	w.take() // the second claim is in doubt
	again := w.claim(2, 4, 1)
	w.settle(&record.Settle{Claim: again, Runs: []*record.Run{run(1, tocsin.Accepted, 0), run(1, tocsin.Gone, 0)},
		Gone:    []*record.Address{{Subscription: []byte("who"), Version: 7}},
		Written: []*record.Bucket{{Micros: 900_000, Count: 2}}, LastWrite: noon.Add(2 * time.Second).UnixNano()})
	w.settle(&record.Settle{Claim: again, Runs: []*record.Run{run(2, tocsin.Accepted, 0)}}) // void
	retry := w.claim(1, 2, 2)
	w.settle(&record.Settle{Claim: retry, Runs: []*record.Run{run(1, tocsin.Refused, tocsin.ReasonTopic)},
		Written: []*record.Bucket{{Micros: 5_000_000, Count: 1}}, LastWrite: noon.Add(5 * time.Second).UnixNano()})
	w.close()
}

func (w *world) checkStory() {
	t := w.t
	t.Helper()
	s := w.status()
	want(t, []any{s.Audience, s.Unknown, s.Open(), s.Shards, s.Closed, s.Attempts}, []any{4, 2, 0, 1, 1, 7})
	want(t, s.Outcomes, [8]uint64{0, 2, 1, 1})
	want(t, s.Doubtful, [8]uint64{0, 1, 1})
	want(t, s.Reasons[Why{tocsin.Refused, tocsin.ReasonTopic}], 1)
	want(t, s.First.Last.Round(10*time.Millisecond), 900*time.Millisecond)
	want(t, s.Decided.Last.Round(100*time.Millisecond), 5*time.Second)
	want(t, s.Decided.P50.Round(10*time.Millisecond), 900*time.Millisecond)
	want(t, s.LastWrite, noon.Add(5*time.Second).Local())
	tr, err := w.trace(11)
	want(t, err, nil)
	want(t, []any{tr.Page, tr.Index, tr.State, tr.Reason, tr.Doubt, len(tr.Attempts)}, []any{0, 1, ledger.Ended(tocsin.Refused), tocsin.ReasonTopic, false, 2})
	want(t, []any{tr.Attempts[0].Result, tr.Attempts[0].Reason, tr.Attempts[1].Number}, []any{ledger.Later, tocsin.ReasonThrottled, 2})
	tr, err = w.trace(13)
	want(t, err, nil)
	want(t, []any{tr.State, tr.Doubt, len(tr.Attempts)}, []any{ledger.Ended(tocsin.Gone), true, 2})
	want(t, []any{tr.Attempts[0].TakenOver.IsZero(), tr.Attempts[0].Doubt, tr.Attempts[1].TakenOver.IsZero()}, []any{false, true, true})
	_, err = w.trace(14)
	want(t, errors.Is(err, ErrNotTargeted), true)
	want(t, len(w.changes) >= 1 && w.changes[0].Version == 7, true)
}

// A release is no attempt, and a later claim of which no byte left is none.
func TestAttemptsThatDidNotLeave(t *testing.T) {
	w := begin(t)
	w.take()
	w.open(10)
	w.settle(&record.Settle{Claim: w.claim(0, 1, 1), Runs: []*record.Run{{Count: 1, Result: uint32(ledger.Released)}}})
	want(t, w.status().Attempts, 0)
	w.settle(&record.Settle{Claim: w.claim(0, 1, 1), Runs: []*record.Run{laterRun()}, LastWrite: noon.UnixNano()})
	w.settle(&record.Settle{Claim: w.claim(0, 1, 2), Runs: []*record.Run{run(1, tocsin.Expired, 0)}})
	want(t, []any{w.status().Attempts, w.status().Outcomes[tocsin.Expired]}, []any{1, 1})
}

func TestTheStoryOfASend(t *testing.T) {
	w := begin(t)
	w.story()
	w.checkStory()
	w.pass(time.Minute)
	want(t, w.durable, w.m.Cursor())
	want(t, w.m.Status(one) == nil, true)
	w.checkStory() // from the rows alone
}

// Whenever the process ends, the next one comes to the same counters: rows are
// absolute, and the fold is saved with them.
func TestARestartAnywhereCountsTheSame(t *testing.T) {
	whole := begin(t)
	whole.story()
	for at := range whole.log {
		for saved := range at + 1 {
			w := begin(t)
			for i, r := range whole.log {
				w.now = w.now.Add(time.Millisecond)
				w.log = append(w.log, r)
				w.step(LedgerRead{[]Record{r}, r.Position + 1})
				if i == saved {
					w.pass(time.Minute)
				}
				if i == at {
					w.start()
				}
			}
			w.pass(time.Minute)
			w.start()
			w.checkStory()
		}
	}
}

func TestDeadAddressesSurviveUntilTheyAreDurable(t *testing.T) {
	w := begin(t)
	w.fail = true
	w.story()
	want(t, len(w.changes), 0)
	// The state is saved before the append works: it still has to come.
	rows := w.m.encode()
	w.fail = false
	parts, _ := store.PutParts(stateKey, w.m.next, rows, store.Parts{})
	w.rows[Place(0)] = map[string]store.Row{}
	for _, p := range slices.Concat(parts...) {
		w.rows[Place(0)][p.Key] = store.Row{Key: p.Key, Value: p.Value, Version: p.Version}
	}
	w.start()
	want(t, len(w.changes), 1)
}

func TestATraceOfAnOpenSend(t *testing.T) {
	w := begin(t)
	w.take()
	w.open(10, 11)
	c := w.claim(0, 1, 1)
	tr, err := w.trace(10)
	want(t, err, nil)
	want(t, []any{tr.State, len(tr.Attempts), tr.Attempts[0].Result}, []any{ledger.Claimed, 1, 0})
	w.settle(&record.Settle{Claim: c, Runs: []*record.Run{laterRun()}})
	w.pass(time.Minute)
	tr, _ = w.trace(10)
	want(t, []any{tr.State, tr.Attempts[0].Result}, []any{ledger.Waiting, ledger.Later})
	tr, _ = w.trace(11)
	want(t, []any{tr.State, len(tr.Attempts)}, []any{ledger.Unclaimed, 0})
}
