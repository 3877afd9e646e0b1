package plan

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Record is one decoded record of a log and where it stands.
type Record = journal.Entry

// Event is what happened to a machine.
type Event interface{ event() }

type (
	// SendsRead brings the next records of sends; Next is the position to read next.
	SendsRead struct {
		Records []Record
		Next    uint64
	}
	// LedgerRead brings the next records of the ledger.
	LedgerRead struct {
		Records []Record
		Next    uint64
	}
	// Ended answers Ends: the end of changes, by shard, asked twice, one time after
	// the other; nil when the question failed.
	Ended struct{ Before, Ends []uint64 }
	// Appended answers Append.
	Appended struct {
		Shard  tocsin.Shard
		Failed bool
	}
	// Recalled answers Recall.
	Recalled struct {
		Minute int64
		Rows   []store.Row
		Failed bool
	}
	// Saved answers Save.
	Saved struct{ Failed bool }
	// Replaced says that a credential works again as far as anybody knows.
	Replaced struct{ Credential tocsin.CredentialID }
	// Tick says that time has passed.
	Tick struct{}
)

func (SendsRead) event()  {}
func (LedgerRead) event() {}
func (Ended) event()      {}
func (Appended) event()   {}
func (Recalled) event()   {}
func (Saved) event()      {}
func (Replaced) event()   {}
func (Tick) event()       {}

// Effect is what a machine wants done.
type Effect interface{ effect() }

type (
	// Ends asks for the end of changes of every shard; asked once at a time.
	Ends struct{}
	// Append adds slices to a shard; one a shard at a time, repeated as it is
	// after a failure.
	Append struct {
		Shard  tocsin.Shard
		Slices []*record.Envelope
	}
	// Recall reads the rows of a place between two keys; one at a time.
	Recall struct {
		Minute   int64
		Place    store.Place
		From, To string
	}
	// Save writes the batches one after the other and stops at the first
	// error; one at a time.
	Save struct{ Batches []store.Batch }
	// Wake asks for a Tick at an instant; the last one asked counts.
	Wake struct{ At time.Time }
	// Durable tells how far each log is no longer needed by this machine.
	Durable struct{ Sends, Ledger uint64 }
)

func (Ends) effect()    {}
func (Append) effect()  {}
func (Recall) effect()  {}
func (Save) effect()    {}
func (Wake) effect()    {}
func (Durable) effect() {}

// Machine plans for one shard number. Not for use by several goroutines at once.
type Machine struct {
	config      Config
	shard       tocsin.Shard
	incarnation uint64

	sends   sends
	retries retries
	queues  []queue
	saver   saver

	asking bool      // Ends is under way
	askAt  time.Time // not before it, after a question that failed
	woken  time.Time // the last Wake
	out    []Effect
}

// New starts a machine without any state. The incarnation names the records it
// writes: random, not 0, never used before.
func New(config Config, shard tocsin.Shard, incarnation uint64) *Machine {
	m := &Machine{config: config, shard: shard, incarnation: incarnation, queues: make([]queue, config.Shards)}
	for i := range m.queues {
		m.queues[i].writer = record.NewWriter(incarnation)
	}
	m.sends.waiting, m.sends.planned.minutes = map[tocsin.SendID]*waiting{}, map[int64]*minute{}
	m.retries.fold = ledger.New()
	m.retries.bySend = map[tocsin.SendID]pages{}
	return m
}

// Cursors are the positions to read next in sends and in the ledger.
func (m *Machine) Cursors() (sends, ledger uint64) { return m.sends.next, m.retries.next }

// Waiting is how many sends and how many retries wait for their time.
func (m *Machine) Waiting() (sends, retries int) {
	for _, list := range m.retries.bySend {
		retries += len(list.all())
	}
	return len(m.sends.waiting), retries
}

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.out = nil
	if again := &m.sends.planned.again; !again.After(now) {
		*again = time.Time{}
	}
	switch e := event.(type) {
	case SendsRead:
		m.sends.held = append(m.sends.held, e.Records...)
		m.sends.next = max(m.sends.next, e.Next)
	case LedgerRead:
		for _, r := range e.Records {
			m.readLedger(r)
		}
		m.retries.fold.Advance(e.Next)
		m.retries.next = max(m.retries.next, e.Next)
	case Ended:
		m.marked(now, e)
	case Appended:
		m.appended(now, e)
	case Recalled:
		m.recalled(now, e)
	case Saved:
		m.saved(now, e)
	case Replaced:
		m.replaced(now, e.Credential)
	case Tick:
		m.woken = time.Time{} // the clock may have been set back since
	}
	m.readHeld(now)
	m.issueDue(now)
	m.cutDue(now)
	m.flush(now)
	m.save(now)
	m.wake(now)
	return m.out
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// wake asks for the earliest instant at which something becomes possible.
func (m *Machine) wake(now time.Time) {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	// A send that is due and whose minute is not known waits for Recalled.
	if w := m.sends.firstDue(); w != nil && !m.asking && (w.due.After(now) || m.sends.planned.minute(w.id).known) {
		earlier(later(w.due, m.askAt))
	}
	earlier(m.sends.planned.again)
	earlier(m.retries.nextDue())
	for i := range m.queues {
		earlier(m.queues[i].again)
	}
	earlier(m.saver.nextDue(m))
	if at.IsZero() || at.Equal(m.woken) && at.After(now) {
		return // nothing to wait for, or asked for already
	}
	m.woken = at
	m.emit(Wake{At: at})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
