package receipt

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
	// LedgerRead brings the next records; Next is the position to read next.
	LedgerRead struct {
		Records []Record
		Next    uint64
	}
	// Appended answers Append.
	Appended struct{ Failed bool }
	// Saved answers Save.
	Saved struct{ Failed bool }
	// Tick says that time has passed.
	Tick struct{}
)

func (LedgerRead) event() {}
func (Appended) event()   {}
func (Saved) event()      {}
func (Tick) event()       {}

// Effect is what a machine wants done.
type Effect interface{ effect() }

type (
	// Append adds records to changes of the shard; one at a time, repeated as
	// it is after a failure.
	Append struct{ Changes []*record.Envelope }
	// Save writes the batches one after the other and stops at the first
	// error; one at a time.
	Save struct{ Batches []store.Batch }
	// Wake asks for a Tick at an instant; the last one asked counts.
	Wake struct{ At time.Time }
	// Durable tells how far the ledger is no longer needed by this machine.
	Durable struct{ Ledger uint64 }
)

func (Append) effect()  {}
func (Save) effect()    {}
func (Wake) effect()    {}
func (Durable) effect() {}

// Machine projects the ledger of one shard. Not for use by several goroutines
// at once.
type Machine struct {
	config      Config
	shard       tocsin.Shard
	incarnation uint64

	next uint64
	fold *ledger.Fold
	open map[tocsin.SendID]*counting
	dead dead
	rows rows

	woken time.Time
	out   []Effect
}

// New starts a machine without any state. The incarnation names the records it
// writes: random, not 0, never used before.
func New(config Config, shard tocsin.Shard, incarnation uint64) *Machine {
	return &Machine{config: config, shard: shard, incarnation: incarnation, fold: ledger.New(), open: map[tocsin.SendID]*counting{},
		dead: dead{writer: record.NewWriter(incarnation)},
		rows: rows{pending: map[tocsin.SendID][]store.Write{}, ended: map[tocsin.SendID]*record.Counters{}, whole: map[tocsin.SendID]bool{}}}
}

// Cursor is the position to read next.
func (m *Machine) Cursor() uint64 { return m.next }

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.out = nil
	switch e := event.(type) {
	case LedgerRead:
		for _, r := range e.Records {
			m.read(r)
		}
		m.fold.Advance(e.Next)
		m.next = max(m.next, e.Next)
	case Appended:
		m.appended(now, e)
	case Saved:
		m.saved(now, e)
	case Tick:
		m.woken = time.Time{} // the clock may have been set back since
	}
	m.drop(now)
	m.save(now)
	m.wake(now)
	return m.out
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

func (m *Machine) wake(now time.Time) {
	at := m.dead.again
	if s := m.saveDue(); at.IsZero() || !s.IsZero() && s.Before(at) {
		at = s
	}
	if at.IsZero() || at.Equal(m.woken) && at.After(now) {
		return // nothing to wait for, or asked for already
	}
	m.woken = at
	m.emit(Wake{At: at})
}

// read folds one record and takes down what it did.
func (m *Machine) read(r Record) {
	e := r.Envelope
	v := m.fold.Apply(r.Position, e)
	if !v.InForce {
		return
	}
	switch body := e.Body.(type) {
	case *record.Envelope_Take:
		for _, c := range v.Marked {
			m.tracePage(c.Send.ID, c.Page, r)
		}
		for _, s := range m.fold.Sends() { // any may have lost claims to doubt
			m.open[s.ID].position = r.Position
		}
	case *record.Envelope_Open:
		m.keepOpen(r, body.Open)
		if v.Opened {
			m.open[v.Send.ID] = &counting{send: v.Send, opened: e.At}
		}
		if v.Claim != nil {
			m.claimed(r, v.Claim, body.Open.Claim, body.Open.Stamp)
		}
	case *record.Envelope_Claim:
		m.claimed(r, v.Claim, body.Claim, body.Claim.Stamp)
	case *record.Envelope_Settle:
		m.settled(r, v.Claim, body.Settle)
	}
	if v.Send == nil {
		return
	}
	c := m.open[v.Send.ID]
	c.position, c.touched = r.Position, e.At
	if v.Send.Closed {
		m.closed(r, c)
	}
}

func (m *Machine) claimed(r Record, c *ledger.Claim, claim *record.Claim, stamp *record.Stamp) {
	m.open[c.Send.ID].attempts += uint64(c.To - c.From)
	e := r.Envelope
	if e.GetClaim() != nil {
		m.tracePage(c.Send.ID, c.Page, r)
		return
	}
	m.tracePage(c.Send.ID, c.Page, Record{Position: r.Position, Envelope: &record.Envelope{ // without the rest of its open
		Writer: e.Writer, Number: e.Number, At: e.At, Project: e.Project, Environment: e.Environment, Class: e.Class,
		Body: &record.Envelope_Claim{Claim: &record.Claim{Stamp: stamp, Send: claim.Send, Page: claim.Page, From: claim.From, To: claim.To,
			Attempt: claim.Attempt, Changes: claim.Changes}},
	}})
}

func (m *Machine) settled(r Record, c *ledger.Claim, settle *record.Settle) {
	m.open[c.Send.ID].add(c, settle)
	e := r.Envelope
	// Drift is in the counters and addresses in changes: the trace does without.
	m.tracePage(c.Send.ID, c.Page, Record{Position: r.Position, Envelope: &record.Envelope{
		Writer: e.Writer, Number: e.Number, At: e.At, Project: e.Project, Environment: e.Environment, Class: e.Class,
		Body: &record.Envelope_Settle{Settle: &record.Settle{Stamp: settle.Stamp, Send: settle.Send, Claim: settle.Claim, Runs: settle.Runs,
			FirstWrite: settle.FirstWrite, LastWrite: settle.LastWrite, QuotaWait: settle.QuotaWait}},
	}})
	if len(settle.Gone) > 0 {
		m.dead.push(c.Send.Scope, settle.Gone)
	}
}

// closed writes down how every push ended and forgets the send.
func (m *Machine) closed(r Record, c *counting) {
	c.ended = r.Envelope.At
	m.rows.ended[c.send.ID] = c.counters()
	m.keepEnds(r.Position, c.send)
	m.rows.whole[c.send.ID] = !c.spread
	delete(m.open, c.send.ID)
}
