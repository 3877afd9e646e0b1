package fanout

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// phase is how far the machine is with owning its shard.
type phase uint8

const (
	idle      phase = iota // not assigned, or trimmed: no fold to go on with
	following              // reads to the end of the ledger, to take what it saw there
	taking                 // its take was appended, and not read back yet
	owning                 // its take is in force
	stopped
)

// Machine owns one shard. Not for use by several goroutines at once.
//
// The order of a push: its slice is read, evaluated when the shard has applied
// the mark, opened in the order of slices; its range is asked of pace, granted,
// claimed, read back in force, delivered, answered, settled, read back; when
// every push of the send has an outcome, closed.
type Machine struct {
	config      Config
	shard       tocsin.Shard
	incarnation uint64
	writer      *record.Writer
	now         time.Time
	out         []Effect

	phase    phase
	leaving  bool
	fold     *ledger.Fold
	term     uint64    // ours, while owning
	seq      uint64    // last number put into the outbox in our term
	take     uint64    // number of our last take, by the writer's count
	retake   time.Time // no take before it
	catching bool      // CatchUp is under way

	outbox    []*record.Envelope // to append, in order
	appending bool
	held      int // pushes of claims put into the outbox and not settled there

	applied   uint64 // changes
	slices    sliceReader
	opening   []*job // in slice order; those whose open was put into the outbox first
	jobs      map[tocsin.SendID]*job
	dirty     []*job // jobs to look at before the step ends
	blocked   []*job // jobs that end as soon as there is room
	permits   []permit
	expiry    time.Time // the earliest of the jobs; zero none
	tickets   uint64
	asked     map[uint64]*task // by ticket, until granted or dropped
	ready     []*task          // granted, waiting for room in the window
	claims    map[uint64]*task // by number: put into the outbox, not read back
	underway  map[ClaimRef]*task
	quiet     map[provider.Route]time.Time // nothing leaves before it
	woken     time.Time
	refreshed bool            // the earliest expiry must be looked for again
	rated     []tocsin.SendID // whose rate pace was told
}

type sliceReader struct {
	next  uint64
	asked bool
}

// New starts a machine without a shard's state: it waits for Assigned. The
// incarnation names the records it writes: random, not 0, never used before.
func New(config Config, shard tocsin.Shard, incarnation uint64) *Machine {
	config.RangeSize = min(config.RangeSize, config.Window)
	return &Machine{
		config: config, shard: shard, incarnation: incarnation, writer: record.NewWriter(incarnation),
		jobs: map[tocsin.SendID]*job{}, asked: map[uint64]*task{}, claims: map[uint64]*task{}, underway: map[ClaimRef]*task{},
		quiet: map[provider.Route]time.Time{},
	}
}

// Fold is the ledger as the machine has read it, nil before Assigned. The
// caller must not keep it over Step.
func (m *Machine) Fold() *ledger.Fold { return m.fold }

// Owning reports whether the machine's take is in force, as far as it has read.
func (m *Machine) Owning() bool { return m.phase == owning }

// Held is the number of pushes claimed and not settled by records appended.
func (m *Machine) Held() int { return m.held }

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.now, m.out = now, nil
	if m.phase == stopped {
		m.afterStop(event)
		return m.out
	}
	switch e := event.(type) {
	case Assigned:
		m.fold, m.phase, m.catching = e.Fold, following, false
		m.emit(Follow{From: e.Fold.Next()})
	case Trimmed:
		m.lose()
		m.phase = idle
	case Leave:
		m.leave()
	case Revoked:
		m.lose()
		m.stop(false)
	case LedgerRead:
		for _, r := range e.Records {
			m.readLedger(r)
		}
	case CaughtUp:
		m.catching = false
		m.takeOver()
	case SlicesRead:
		m.readSlices(e)
	case SliceFetched:
		m.fetched(e)
	case Applied:
		m.readChanges(e.Changes)
	case Evaluated:
		m.evaluated(e)
	case Appended:
		m.appending = false
	case AppendFailed:
		m.appending = false
		if m.phase >= taking {
			m.lose()
		}
	case Granted:
		m.granted(e.Grant)
	case Quiet:
		m.hush(e)
	case Answered:
		m.answered(e)
	case Tick:
		m.woken = time.Time{} // the clock may have been set back since
	}
	m.work()
	return m.out
}

// work does what has become possible, whatever the event was.
func (m *Machine) work() {
	if m.phase == following && !m.catching && !m.appending && !m.now.Before(m.retake) && !m.leaving {
		m.catching = true
		m.emit(CatchUp{})
	}
	if m.phase == owning && !m.leaving {
		m.readOn()
		m.openSlices()
		m.usePermits()
		m.expire()
	}
	if m.phase == owning {
		for _, j := range m.blocked {
			m.look(j)
		}
		m.blocked = m.blocked[:0]
		for len(m.dirty) > 0 {
			j := m.dirty[0]
			m.dirty = m.dirty[1:]
			j.dirty = false
			m.advance(j)
		}
		m.claimReady()
	}
	m.flush()
	m.left()
	m.wake()
}

func (m *Machine) emit(e Effect)       { m.out = append(m.out, e) }
func (m *Machine) toPace(e pace.Event) { m.emit(Pace{Event: e}) }

// finish gives back what was granted and not delivered.
func (m *Machine) finish(r provider.Route, send tocsin.SendID, n int) {
	if n > 0 {
		m.toPace(pace.Finished{Route: r, Send: send, N: n, Unused: n})
	}
}

func (m *Machine) finishTask(t *task) { m.finish(t.feed.route, t.feed.job.id, t.n) }

// readChanges goes on with sends whose people were not known here: after a
// start the audience may be behind the owner before.
func (m *Machine) readChanges(applied uint64) {
	was := m.applied
	m.applied = max(was, applied)
	if m.phase != owning {
		return
	}
	for _, s := range m.fold.Sends() {
		if j := m.jobs[s.ID]; j != nil && s.Changes > was && s.Changes <= applied {
			m.look(j)
		}
	}
}

// look has a job advanced before the step ends.
func (m *Machine) look(j *job) {
	if !j.dirty {
		j.dirty = true
		m.dirty = append(m.dirty, j)
	}
}

// put adds a record of our term to the outbox.
func (m *Machine) put(e *record.Envelope, scope record.Scope) (seq uint64) {
	m.seq++
	stamp := &record.Stamp{Term: m.term, Seq: m.seq}
	switch body := e.Body.(type) {
	case *record.Envelope_Open:
		body.Open.Stamp = stamp
	case *record.Envelope_Claim:
		body.Claim.Stamp = stamp
	case *record.Envelope_Settle:
		body.Settle.Stamp = stamp
	case *record.Envelope_Close:
		body.Close.Stamp = stamp
	}
	m.outbox = append(m.outbox, m.writer.Next(e, m.now, scope))
	return m.seq
}

// Limits of one append, so that its records arrive together.
const (
	appendRecords = 256
	appendBytes   = 512 << 10 // of ordinals
)

func (m *Machine) flush() {
	if m.appending || len(m.outbox) == 0 {
		return
	}
	n, size := 0, 0
	for n < len(m.outbox) && n < appendRecords && size < appendBytes {
		for _, lot := range m.outbox[n].GetOpen().GetLots() {
			size += len(lot.Ordinals)
		}
		n++
	}
	m.emit(Append{Records: slices.Clone(m.outbox[:n])})
	m.outbox = m.outbox[n:]
	m.appending = true
}

// wake asks for the earliest instant at which something becomes possible. What
// also needs an append to end is left out while one is under way: its end is an
// event, and a Wake in the past would come back at once, again and again.
func (m *Machine) wake() {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	switch {
	case m.leaving:
	case m.phase == following && !m.catching && !m.appending:
		earlier(m.retake)
	case m.phase == owning:
		earlier(m.expiry)
		if j := m.nextToOpen(); j != nil && len(m.outbox) <= appendRecords {
			earlier(j.deadline)
		}
	}
	if at.IsZero() || at.Equal(m.woken) && at.After(m.now) {
		return
	}
	m.woken = at
	m.emit(Wake{At: at})
}
