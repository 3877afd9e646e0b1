package plan

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	project = tocsin.ProjectID{1}
	scope   = record.Scope{Project: project, Environment: tocsin.Development, Class: tocsin.Normal}
)

func sendID(n byte) tocsin.SendID { return tocsin.SendID{15: n} }

// world answers what a machine asks for, and keeps what it wrote.
type world struct {
	t       *testing.T
	now     time.Time
	m       *Machine
	rows    map[store.Place]map[string]store.Row
	slices  map[tocsin.Shard][]*record.Slice
	wake    time.Time
	durable Durable
	ends    []uint64
	fail    bool // appends and saves
	deaf    bool // they are not even answered
	saved   int  // bytes
	starts  uint64
	ledger  uint64
	writer  *record.Writer
	seq     uint64
	term    uint64
}

func begin(t *testing.T, shards int) *world {
	w := &world{t: t, now: noon, rows: map[store.Place]map[string]store.Row{}, slices: map[tocsin.Shard][]*record.Slice{}, ends: make([]uint64, shards),
		writer: record.NewWriter(99)}
	w.start()
	return w
}

// start is a new process on the rows of the old one.
func (w *world) start() {
	w.starts++
	config := Default(len(w.ends))
	if err := config.Validate(); err != nil {
		w.t.Fatal(err)
	}
	w.m = New(config, 0, w.starts)
	if err := w.m.Load(w.now, w.scan(Place(0), "", "~")); err != nil {
		w.t.Fatal(err)
	}
	w.step(Tick{})
}

func (w *world) scan(at store.Place, from, to string) (rows []store.Row) {
	for _, key := range slices.Sorted(maps.Keys(w.rows[at])) {
		if r := w.rows[at][key]; key >= from && key < to && (r.Expires.IsZero() || r.Expires.After(w.now)) {
			rows = append(rows, r)
		}
	}
	return rows
}

func (w *world) step(e Event) {
	w.t.Helper()
	for events := []Event{e}; len(events) > 0; events = events[1:] {
		for _, effect := range w.m.Step(w.now, events[0]) {
			switch e := effect.(type) {
			case Recall:
				events = append(events, Recalled{Minute: e.Minute, Rows: w.scan(e.Place, e.From, e.To), Failed: w.fail})
			case Ends:
				events = append(events, Ended{Ends: w.ends})
			case Append:
				if !w.fail {
					for _, s := range e.Slices {
						back, err := record.Decode(record.Encode(s))
						if err != nil || record.Of(back) != scope {
							w.t.Fatalf("slice of %v: %v", record.Of(back), err)
						}
						w.slices[e.Shard] = append(w.slices[e.Shard], back.GetSlice())
					}
				}
				if !w.deaf {
					events = append(events, Appended{Shard: e.Shard, Failed: w.fail})
				}
			case Save:
				for _, b := range e.Batches {
					if w.rows[b.Place] == nil {
						w.rows[b.Place] = map[string]store.Row{}
					}
					rows := w.rows[b.Place]
					for _, r := range b.Writes {
						if old, ok := rows[r.Key]; w.fail || ok && old.Version >= r.Version {
							continue
						}
						w.saved += len(r.Key) + len(r.Value)
						rows[r.Key] = store.Row{Key: r.Key, Value: r.Value, Version: r.Version, Expires: r.Expires}
						if r.Delete {
							delete(rows, r.Key)
						}
					}
				}
				events = append(events, Saved{Failed: w.fail})
			case Wake:
				w.wake = e.At
			case Durable:
				w.durable = e
			}
		}
	}
}

// pass lets time go by as the shell would.
func (w *world) pass(d time.Duration) {
	for until := w.now.Add(d); ; {
		if w.wake.IsZero() || w.wake.After(until) {
			w.now = until
			return
		}
		w.now, w.wake = later(w.now, w.wake), time.Time{}
		w.step(Tick{})
	}
}

func (w *world) send(position uint64, s *record.Send) {
	w.t.Helper()
	e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Send{Send: s}}, w.now, scope)
	w.step(SendsRead{Records: []Record{{Position: position, Envelope: e}}, Next: position + 1})
}

func (w *world) cancel(position uint64, id tocsin.SendID) {
	e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: id.Bytes()}}}, w.now, scope)
	w.step(SendsRead{Records: []Record{{Position: position, Envelope: e}}, Next: position + 1})
}

// put appends to the ledger and has it read.
func (w *world) put(e *record.Envelope) {
	w.t.Helper()
	w.ledger += 10
	stamp := &record.Stamp{Term: w.term, Seq: w.seq + 1}
	switch b := e.Body.(type) {
	case *record.Envelope_Take:
		b.Take.Supersedes, b.Take.Incarnation = w.term, w.ledger
		w.term, w.seq, stamp.Seq = w.ledger, 0, 0
	case *record.Envelope_Open:
		b.Open.Stamp = stamp
	case *record.Envelope_Claim:
		b.Claim.Stamp = stamp
	case *record.Envelope_Settle:
		b.Settle.Stamp = stamp
	case *record.Envelope_Cancel:
		stamp.Seq = w.seq
	}
	w.seq = stamp.Seq
	w.step(LedgerRead{Records: []Record{{Position: w.ledger, Envelope: w.writer.Next(e, w.now, scope)}}, Next: w.ledger + 1})
}

func (w *world) take() { w.put(&record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{}}}) }

func (w *world) open(id tocsin.SendID, pushes uint64, expiry time.Time) {
	bits := roaring.New()
	bits.AddRange(0, pushes)
	data, _ := bits.ToBytes()
	o := &record.Open{Send: id.Bytes(), Slice: w.ledger + 1, Chunks: 1, OnDoubt: uint32(tocsin.Resend), Attempts: 5,
		Lots: []*record.Lot{{Route: &record.Route{Provider: 1, Credential: tocsin.CredentialID{7}.Bytes()}, Ordinals: data, Count: uint32(pushes)}}}
	if !expiry.IsZero() {
		o.Expiry = expiry.UnixNano()
	}
	w.put(&record.Envelope{Body: &record.Envelope_Open{Open: o}})
}

func (w *world) claim(id tocsin.SendID, from, to, attempt uint32) uint64 {
	w.put(&record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{Send: id.Bytes(), From: from, To: to, Attempt: attempt}}})
	return w.seq
}

func (w *world) settle(id tocsin.SendID, claim uint64, runs ...*record.Run) {
	w.put(&record.Envelope{Body: &record.Envelope_Settle{Settle: &record.Settle{Send: id.Bytes(), Claim: claim, Runs: runs}}})
}

func (w *world) wait(count uint32, d time.Duration, reason tocsin.Reason) *record.Run {
	return &record.Run{Count: count, Result: uint32(ledger.Later), Reason: uint32(reason), NotBefore: w.now.Add(d).UnixNano()}
}

// retries are the permissions appended so far, "from-to/attempt".
func (w *world) retries() string {
	var all []string
	for _, s := range w.slices[0] {
		if r := s.Retry; r != nil {
			all = append(all, fmt.Sprintf("%d-%d/%d", r.From, r.To, r.Attempt))
		}
	}
	return fmt.Sprint(all)
}

func (w *world) want(have, want any) {
	w.t.Helper()
	if fmt.Sprint(have) != fmt.Sprint(want) {
		w.t.Fatalf("have %v, want %v", have, want)
	}
}

func query(n byte, mark ...uint64) *record.Send {
	return &record.Send{Send: sendID(n).Bytes(), Due: noon.UnixNano(), Mark: mark, Query: []byte(`{}`)}
}

func TestAQueryGoesToEveryShardWithItsMark(t *testing.T) {
	w := begin(t, 3)
	w.send(4, query(1, 10, 20, 30))
	for shard := range 3 {
		w.want(len(w.slices[tocsin.Shard(shard)]), 1)
		w.want(w.slices[tocsin.Shard(shard)][0].Mark, 10*(shard+1))
	}
	w.send(9, query(1, 10, 20, 30))
	w.want(len(w.slices[2]), 1) // a repeat is dropped
}

func TestExplicitRecipientsAreRouted(t *testing.T) {
	w := begin(t, 4)
	s := &record.Send{Send: sendID(1).Bytes(), Due: noon.UnixNano(), Mark: make([]uint64, 4)}
	for i := range 5 {
		s.Recipients = append(s.Recipients, &record.Recipient{Profile: fmt.Sprintf("u:%d", i)})
	}
	w.send(4, s)
	found := 0
	for shard, slices := range w.slices {
		for _, r := range slices[0].Recipients {
			w.want(tocsin.ShardOf(project, r.Profile, 4), shard)
			found++
		}
	}
	w.want(found, 5)
	if len(w.slices) == 4 {
		t.Fatal("this test wants a shard without a recipient")
	}
}

// A send whose recipients stand in the store goes to the shards that have some,
// also when it was scheduled and the node started again in between.
func TestStoredRecipientsAreRouted(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Hour} {
		w := begin(t, 4)
		stored := &record.Stored{Id: []byte{7}, Counts: []uint32{0, 3, 0, 9}}
		w.send(4, &record.Send{Send: sendID(1).Bytes(), Due: noon.Add(delay).UnixNano(), Scheduled: delay > 0, Mark: make([]uint64, 4), Stored: stored})
		if delay > 0 {
			w.pass(delay / 2)
			w.start()
		}
		w.pass(delay)
		w.want(len(w.slices), 2)
		for _, shard := range []tocsin.Shard{1, 3} {
			if len(w.slices[shard]) != 1 || !proto.Equal(w.slices[shard][0].Stored, stored) {
				t.Fatalf("after %v shard %d has %v", delay, shard, w.slices[shard])
			}
		}
	}
}

func TestAScheduledSendTakesItsMarkWhenDue(t *testing.T) {
	w := begin(t, 1)
	s := query(1, 5)
	s.Scheduled, s.Due = true, noon.Add(time.Hour).UnixNano()
	w.ends[0] = 5
	w.send(4, s)
	w.pass(30 * time.Minute)
	w.start() // the row, not the log, holds it by now
	sends, _ := w.m.Cursors()
	w.want(sends, 5)
	w.pass(30*time.Minute - 1)
	w.want(len(w.slices[0]), 0)
	w.ends[0] = 77
	w.pass(1)
	w.want(len(w.slices[0]), 1)
	w.want(w.slices[0][0].Mark, 77)
	w.pass(time.Minute)
	w.start()
	w.send(4, s)
	w.pass(time.Minute)
	w.want(len(w.slices[0]), 1)
}

func TestACancelBeforePlanningForgetsTheSend(t *testing.T) {
	w := begin(t, 1)
	s := query(1)
	s.Scheduled, s.Due = true, noon.Add(time.Hour).UnixNano()
	w.send(4, s)
	w.cancel(5, sendID(1))
	w.send(6, s)
	w.cancel(7, sendID(2)) // never seen: a late record of it must not start
	w.send(8, query(2))
	w.pass(2 * time.Hour)
	w.start()
	w.pass(time.Hour)
	w.want(len(w.slices[0]), 0)
}

func TestAScheduledSendIsSteeredBeforeItIsDue(t *testing.T) {
	w := begin(t, 1)
	steer := func(position, version uint64, rate uint32, paused bool) {
		e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Steer{Steer: &record.Steer{
			Send: sendID(1).Bytes(), Version: version, Rate: rate, Paused: paused}}}, w.now, scope)
		w.step(SendsRead{Records: []Record{{Position: position, Envelope: e}}, Next: position + 1})
	}
	s := query(1)
	s.Due, s.Scheduled, s.Steer = noon.Add(time.Hour).UnixNano(), true, &record.Steer{Rate: 600}
	w.send(4, s)
	w.pass(time.Minute) // its row is written
	steer(6, 2, 600, true)
	steer(8, 1, 30, false) // older
	steer(6, 2, 600, true) // read again
	w.pass(time.Minute)
	w.start()
	w.pass(time.Hour)
	w.want(len(w.slices[0]), 1)
	w.want(ledger.SteeringOf(w.slices[0][0].Steer), ledger.Steering{Version: 2, PerMinute: 600, Paused: true})
	w.pass(time.Minute)
	w.start()
	sends, _ := w.m.Waiting()
	w.want(sends, 0)
}

func TestTheCursorWaitsForDurableSlices(t *testing.T) {
	w := begin(t, 1)
	w.fail = true
	w.send(4, query(1, 3))
	w.pass(time.Minute)
	w.start()
	sends, _ := w.m.Cursors()
	w.want(sends, 0)
	w.fail = false
	w.send(4, query(1, 3))
	w.pass(time.Minute)
	w.want(len(w.slices[0]), 1)
	w.want(w.durable.Sends, 5)
}

func TestRetriesAreIssuedWhenDue(t *testing.T) {
	w := begin(t, 1)
	id := sendID(1)
	w.take()
	w.open(id, 8, noon.Add(time.Hour))
	c := w.claim(id, 0, 8, 1)
	w.settle(id, c, w.wait(2, time.Second, tocsin.ReasonThrottled), &record.Run{Count: 1, Result: uint32(tocsin.Accepted)},
		w.wait(5, 2*time.Hour, tocsin.ReasonUnavailable))
	w.pass(time.Second - 1)
	w.want(w.retries(), "[]")
	w.pass(1)
	w.want(w.retries(), "[0-2/2]")
	w.pass(time.Hour) // at its expiry, to be settled as expired
	w.want(w.retries(), "[0-2/2 3-8/2]")
}

func TestPermissionsAreIssuedAgainAfterATake(t *testing.T) {
	w := begin(t, 1)
	id := sendID(1)
	w.take()
	w.open(id, 8, time.Time{})
	c := w.claim(id, 0, 8, 1)
	w.settle(id, c, w.wait(8, time.Second, tocsin.ReasonThrottled))
	w.pass(time.Second)
	w.claim(id, 2, 4, 2)
	w.take()
	w.want(w.retries(), "[0-8/2 0-2/2 4-8/2]")
	w.put(&record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: id.Bytes()}}})
	w.take()
	w.want(w.retries(), "[0-8/2 0-2/2 4-8/2]")
}

func TestARestartKeepsWhatWaits(t *testing.T) {
	w := begin(t, 1)
	id := sendID(1)
	w.take()
	w.open(id, 8, time.Time{})
	c := w.claim(id, 0, 8, 1)
	w.settle(id, c, w.wait(8, time.Hour, tocsin.ReasonThrottled))
	w.pass(time.Minute)
	w.want(w.durable.Ledger, w.ledger+1)
	w.start()
	_, next := w.m.Cursors()
	w.want(next, w.ledger+1)
	w.pass(59*time.Minute - 1)
	w.want(w.retries(), "[]")
	w.pass(1)
	w.want(w.retries(), "[0-8/2]")
	w.pass(time.Minute)
	w.start() // nobody knows whether the permission was used
	w.want(w.retries(), "[0-8/2 0-8/2]")
}

func TestAReplacedCredentialFreesWhatWaitsForIt(t *testing.T) {
	w := begin(t, 1)
	id := sendID(1)
	w.take()
	w.open(id, 8, time.Time{})
	c := w.claim(id, 0, 8, 1)
	w.settle(id, c, w.wait(4, 24*time.Hour, tocsin.ReasonCredential), w.wait(4, time.Hour, tocsin.ReasonThrottled))
	w.step(Replaced{Credential: tocsin.CredentialID{8}})
	w.want(w.retries(), "[]")
	w.step(Replaced{Credential: tocsin.CredentialID{7}})
	w.want(w.retries(), "[0-4/2]")
}

func TestAFailedAppendIsRepeatedUnchanged(t *testing.T) {
	w := begin(t, 1)
	w.fail = true
	w.send(4, query(1))
	w.want(len(w.slices[0]), 0)
	w.fail = false
	w.pass(time.Second)
	w.want(len(w.slices[0]), 1)
	w.want(w.m.queues[0].writer.Next(&record.Envelope{}, w.now, scope).Number, 2)
}

// A person that is erased is taken out of whatever still waits, in the rows too.
func TestAnErasedPersonIsInNoSendThatWaits(t *testing.T) {
	w := begin(t, 1)
	anna, ben, device := "u:anna", "u:ben", tocsin.SubscriptionID{9}
	to := func(n byte, delay time.Duration, recipients ...*record.Recipient) {
		w.send(uint64(n), &record.Send{Send: sendID(n).Bytes(), Due: noon.Add(delay).UnixNano(), Scheduled: true, Recipients: recipients})
	}
	erase := func(position uint64, project tocsin.ProjectID) {
		s := scope
		s.Project = project
		e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Erase{Erase: &record.Erase{Profile: anna, Subscriptions: [][]byte{device.Bytes()}}}}, w.now, s)
		w.step(SendsRead{Records: []Record{{Position: position, Envelope: e}}, Next: position + 1})
	}
	to(1, time.Hour, &record.Recipient{Profile: anna, Values: map[string]string{"name": "Anna"}}, &record.Recipient{Profile: ben})
	to(2, time.Hour, &record.Recipient{Profile: ben}, &record.Recipient{Profile: "s:9", Subscription: device.Bytes()})
	to(3, time.Hour, &record.Recipient{Profile: anna})
	erase(4, tocsin.ProjectID{2})
	if got := w.m.sends.waiting[sendID(1)].envelope.GetSend().Recipients; len(got) != 2 {
		t.Fatalf("another project's person was erased: %v", got)
	}
	erase(5, project)
	to(6, time.Hour, &record.Recipient{Profile: anna}) // asked for after it
	w.pass(time.Minute)
	w.start()
	for key, r := range w.rows[Place(0)] {
		if strings.HasPrefix(key, waitingKey) && key != waitingKey+sendID(6).String() && bytes.Contains(r.Value, []byte(anna)) {
			t.Errorf("row %s still names her", key)
		}
	}
	w.pass(time.Hour)
	sent := map[string]int{}
	for _, s := range w.slices[0] {
		for _, r := range s.Recipients {
			sent[fmt.Sprintf("%d %s", s.Send[15], r.Profile)]++
		}
	}
	if want := map[string]int{"1 u:ben": 1, "2 u:ben": 1, "6 u:anna": 1}; !maps.Equal(sent, want) {
		t.Errorf("sent to %v, want %v", sent, want)
	}
	if sends, _ := w.m.Waiting(); sends != 0 {
		t.Errorf("%d sends wait for ever", sends)
	}
}
