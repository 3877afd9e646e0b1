package fanout

import (
	"cmp"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/record"
)

// takeOver appends a take that names the term it saw at the end of the ledger.
func (m *Machine) takeOver() {
	if m.phase != following || m.leaving || m.appending {
		return
	}
	m.phase = taking
	e := &record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{Incarnation: m.incarnation, Supersedes: m.fold.Term()}}}
	m.outbox = append(m.outbox, m.writer.Next(e, m.now, record.Scope{}))
	m.take = e.Number
}

// readLedger folds one record. Only what was read back is in force: bytes leave
// after this and never before.
func (m *Machine) readLedger(r Record) {
	e := r.Envelope
	v := m.fold.Apply(r.Position, e)
	ours := e.Writer == m.incarnation
	switch body := e.Body.(type) {
	case *record.Envelope_Take:
		m.readTake(e, body.Take, v, ours)
	case *record.Envelope_Open:
		if m.inTurn(body.Open.Stamp, v, ours) {
			m.readOpen(body.Open, v)
		}
	case *record.Envelope_Claim:
		if m.inTurn(body.Claim.Stamp, v, ours) {
			m.readClaim(body.Claim.Stamp.Seq, v)
		}
	case *record.Envelope_Settle:
		if m.inTurn(body.Settle.Stamp, v, ours) && v.InForce {
			m.readSettle(v.Claim)
		}
	case *record.Envelope_Close:
		m.inTurn(body.Close.Stamp, v, ours)
		if v.InForce {
			m.readClose(v.Send)
		}
	case *record.Envelope_Cancel:
		if v.InForce && v.Send != nil {
			m.readCancel(v.Send)
		}
	case *record.Envelope_Steer:
		if v.InForce && v.Send != nil {
			m.readSteer(v.Send)
		}
	}
}

// inTurn reports whether a record is ours, of our term, and used its number up:
// in force, or void by its content. After a gap nothing of ours can be in force
// any more, and we take again.
func (m *Machine) inTurn(stamp *record.Stamp, v ledger.Verdict, ours bool) bool {
	if !ours || m.phase != owning || stamp.GetTerm() != m.term {
		return false
	}
	if stamp.Seq > m.fold.Seq() {
		m.lose()
		return false
	}
	return v.InForce || stamp.Seq == m.fold.Seq()
}

func (m *Machine) readTake(e *record.Envelope, t *record.Take, v ledger.Verdict, ours bool) {
	switch {
	case v.InForce && ours && t.Incarnation == m.incarnation:
		if m.phase == owning { // an append that failed came late
			m.lose()
		}
		m.begin()
	case v.InForce && (m.phase == owning || m.phase == taking):
		m.lose()
	case !v.InForce && ours && m.phase == taking && e.Number == m.take:
		m.lose()
	}
}

// begin starts our term: every open send is gone through anew.
func (m *Machine) begin() {
	first := m.slices.next == 0
	m.phase, m.term, m.seq = owning, m.fold.Term(), 0
	if first {
		m.slices.next = m.fold.Slice() + 1
	}
	kept := m.opening[:0:0]
	for _, j := range m.opening {
		switch {
		case m.fold.Send(j.id) != nil:
			m.jobs[j.id] = j
		case j.position > m.fold.Slice() && !m.fold.Finished(j.id, j.slice().GetOrigin()):
			kept = append(kept, j)
		}
	}
	m.opening = kept
	old := m.jobs
	m.jobs = make(map[tocsin.SendID]*job, len(old))
	for _, s := range m.fold.Sends() {
		j := old[s.ID]
		if j == nil {
			j = &job{id: s.ID, position: s.Slice}
			m.emit(FetchSlice{Position: s.Slice})
		}
		m.jobs[s.ID] = j
		m.opened(j, s)
	}
	m.forgetRates(false)
}

// lose drops our claims: in the ledger they are in doubt with the next take.
// Tickets go back to pace, what is on its way is stopped, and unless the shard
// is taken away a new take follows.
func (m *Machine) lose() {
	for _, t := range m.onTheirWay() {
		if t.ref.Term == m.term {
			m.emit(Halt{Claim: t.ref})
		}
	}
	for _, t := range sorted(m.asked) {
		m.toPace(pace.Drop{Ticket: m.ticket(t.id)})
	}
	for _, t := range m.ready {
		m.finishTask(t)
	}
	for _, t := range sorted(m.claims) {
		if !t.settled {
			m.finishTask(t)
		}
	}
	clear(m.asked)
	clear(m.claims)
	m.ready, m.outbox, m.dirty, m.blocked, m.held = nil, nil, nil, nil, 0
	for _, j := range m.jobs {
		j.dirty, j.feeds, j.byRoute = false, nil, nil
	}
	for _, j := range m.opening {
		if t := j.first; t != nil && t.n > 0 {
			m.finishTask(t)
		}
		j.stage, j.first, j.dirty, j.deadline = waiting, nil, false, time.Time{}
	}
	m.phase = following
	m.retake = m.now.Add(m.config.Retake)
}

// onTheirWay are the ranges delivered and not answered, in order.
func (m *Machine) onTheirWay() []*task {
	all := make([]*task, 0, len(m.underway))
	for _, t := range m.underway {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *task) int {
		return cmp.Or(cmp.Compare(a.ref.Term, b.ref.Term), cmp.Compare(a.ref.Seq, b.ref.Seq))
	})
	return all
}

func sorted(tasks map[uint64]*task) []*task {
	keys := make([]uint64, 0, len(tasks))
	for k := range tasks {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	all := make([]*task, len(keys))
	for i, k := range keys {
		all[i] = tasks[k]
	}
	return all
}

// leave begins a clean end.
func (m *Machine) leave() {
	m.leaving = true
	if m.phase != owning {
		clean := m.phase == idle || m.phase == following && m.term == 0
		m.lose()
		m.stop(clean)
		return
	}
	for _, t := range m.onTheirWay() {
		if t.ref.Term == m.term {
			m.emit(Halt{Claim: t.ref})
		}
	}
	for _, t := range sorted(m.asked) {
		m.toPace(pace.Drop{Ticket: m.ticket(t.id)})
	}
	clear(m.asked)
	for _, t := range m.ready {
		m.finishTask(t)
	}
	m.ready = nil
	for _, j := range m.opening {
		if t := j.first; t != nil && t.n > 0 && j.stage != sent {
			m.finishTask(t)
			j.first = nil
		}
	}
}

// left stops once all that was written is read back and nothing is claimed, or
// when the shard was lost meanwhile.
func (m *Machine) left() {
	if m.leaving && m.phase < owning {
		m.stop(false)
	}
	if m.leaving && m.phase == owning && !m.appending && len(m.outbox) == 0 && m.fold.Seq() == m.seq && m.fold.Held() == 0 {
		m.stop(true)
	}
}

func (m *Machine) stop(clean bool) {
	m.phase = stopped
	m.forgetRates(true)
	m.emit(Stopped{Clean: clean})
}

// afterStop only gives back to pace what still comes.
func (m *Machine) afterStop(event Event) {
	switch e := event.(type) {
	case Granted:
		m.finish(e.Grant.Route, e.Grant.Send, e.Grant.N)
	case Answered:
		if t := m.underway[e.Claim]; t != nil {
			delete(m.underway, e.Claim)
			m.toPace(report(t, e, m.now))
		}
	}
}
