package fanout

import (
	"cmp"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// permit is a retry slice: leave to try a range again, used at once or
// forgotten. Stale or repeated, it finds nothing.
type permit struct {
	send tocsin.SendID
	*record.Retry
}

// usePermits turns permits into ranges to ask for. One that comes before its
// settle was read back waits for it.
func (m *Machine) usePermits() {
	kept := m.permits[:0]
	for _, p := range m.permits {
		if p.Term > m.term || p.Term == m.term && (p.Claim > m.fold.Seq() || m.fold.Claim(p.Claim) != nil) {
			kept = append(kept, p)
			continue
		}
		j := m.jobs[p.send]
		if j == nil || j.stage != open || j.send.Cancelled || int(p.Page) >= j.send.Pages() {
			continue
		}
		f := j.feedOf(int(p.Page))
		size := j.send.Page(int(p.Page)).Size()
		for span, push := range j.send.Page(int(p.Page)).Runs(ledger.Span{From: int(p.From), To: min(int(p.To), size)}) {
			t := todo{page: int(p.Page), Span: span, attempt: int(p.Attempt)}
			if push.State() != ledger.Waiting || push.Claimable() != t.attempt || m.waits(f, t) {
				continue
			}
			f.add(t)
			m.look(j)
		}
	}
	m.permits = kept
}

// release queues what was claimed and let go, but for what next has yet to come
// to by itself: taken twice, a range would be claimed once for both, and the
// rest of the other claim forgotten.
func (f *feed) release(t todo) {
	if f.at < len(f.pages) {
		switch at := f.pages[f.at]; {
		case t.page > at:
			return
		case t.page == at:
			t.To = min(t.To, f.from)
		}
	}
	if t.From < t.To {
		f.add(t)
	}
}

// add queues a range in the order of the page, as one with its neighbours where
// that fits: a claim is one range of one attempt, and each costs two records.
func (f *feed) add(t todo) {
	at, _ := slices.BinarySearchFunc(f.again, t, func(a, b todo) int {
		return cmp.Or(cmp.Compare(a.page, b.page), cmp.Compare(a.From, b.From))
	})
	joins := func(a, b todo) bool { return a.page == b.page && a.attempt == b.attempt && a.To == b.From }
	if at < len(f.again) && joins(t, f.again[at]) {
		t.To = f.again[at].To
		f.again = slices.Delete(f.again, at, at+1)
	}
	if at > 0 && joins(f.again[at-1], t) {
		f.again[at-1].To = t.To
		return
	}
	f.again = slices.Insert(f.again, at, t)
}

func (m *Machine) ticket(id uint64) pace.Ticket { return pace.Ticket{Shard: m.shard, ID: id} }

func (m *Machine) ask(f *feed, t todo) *task {
	m.tickets++
	a := &task{todo: t, id: m.tickets, feed: f}
	f.asked++
	m.asked[a.id] = a
	scope := record.Of(f.job.content)
	m.toPace(pace.Ask{
		Ticket: m.ticket(a.id), Route: f.route, Project: scope.Project, Environment: scope.Environment, Class: scope.Class, Send: f.job.id, N: t.To - t.From,
	})
	return a
}

// giveBack takes a task back that was asked or granted, and not claimed.
func (m *Machine) giveBack(t *task) {
	if m.asked[t.id] != nil {
		delete(m.asked, t.id)
		m.toPace(pace.Drop{Ticket: m.ticket(t.id)})
	}
	m.finishTask(t)
}

func (m *Machine) granted(g pace.Grant) {
	t := m.asked[g.Ticket.ID]
	if t == nil { // dropped before the grant arrived
		m.finish(g.Route, g.Send, g.N)
		return
	}
	delete(m.asked, t.id)
	f := t.feed
	f.asked--
	if !f.paced {
		f.paced, f.began = true, g.Total-g.Waited
	}
	f.total = g.Total
	t.n, t.waited = g.N, f.before+f.total-f.began
	if f.job.stage != open { // its open carries it
		return
	}
	if rest := (todo{t.page, ledger.Span{From: t.From + t.n, To: t.To}, t.attempt}); rest.From < rest.To {
		f.add(rest)
		t.To = rest.From
	}
	m.ready = append(m.ready, t)
	m.look(f.job)
}

// claimReady claims what is granted, in order, while the window has room.
func (m *Machine) claimReady() {
	for len(m.ready) > 0 && !m.leaving {
		t := m.ready[0]
		if m.held+t.n > m.config.Window {
			return
		}
		m.ready = m.ready[1:]
		m.hold(t, m.putClaim(t.feed.job, t.todo))
	}
}

func (m *Machine) putClaim(j *job, t todo) (seq uint64) {
	return m.put(&record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{
		Send: j.id.Bytes(), Page: uint32(t.page), From: uint32(t.From), To: uint32(t.To), Attempt: uint32(t.attempt), Changes: m.applied,
	}}}, j.send.Scope)
}

// hold counts a claim that was put into the outbox.
func (m *Machine) hold(t *task, seq uint64) {
	t.To = t.From + t.n
	t.ref = ClaimRef{m.term, seq}
	m.claims[seq] = t
	m.held += t.n
}

// readClaim is called for a claim of ours that was read back. In force, it is
// granted: now and only now bytes may leave.
func (m *Machine) readClaim(seq uint64, v ledger.Verdict) {
	t := m.claims[seq]
	if t == nil {
		return // a repeat
	}
	delete(m.claims, seq)
	if t.settled {
		return
	}
	j := t.feed.job
	if !v.InForce {
		m.held -= t.n
		m.finishTask(t)
		m.look(j)
		return
	}
	expired := !m.now.Before(j.send.Expiry)
	if m.leaving || expired || m.now.Before(m.quiet[t.feed.route]) {
		result := ledger.Released
		if expired && !m.leaving {
			result = ledger.Result(tocsin.Expired)
		}
		m.finishTask(t)
		m.settle(t, &record.Settle{Runs: []*record.Run{{Count: uint32(t.n), Result: uint32(result)}}})
		return
	}
	m.underway[t.ref] = t
	m.emit(Deliver{
		Claim: t.ref, Send: j.send, Slice: j.position, Content: j.content, Route: t.feed.route,
		Page: t.page, Span: t.Span, Attempt: t.attempt, Last: j.send.OnDoubt == tocsin.Skip || j.send.Page(t.page).Push(t.From).Last(j.send.Attempts),
	})
}

// hush stops what is on its way on a route. What is claimed there is released
// when its turn comes, and what is asked for waits at pace.
func (m *Machine) hush(e Quiet) {
	for r, until := range m.quiet {
		if !m.now.Before(until) {
			delete(m.quiet, r)
		}
	}
	m.quiet[e.Route] = e.Until
	m.haltRoute(e.Route)
}

func (m *Machine) haltRoute(r provider.Route) {
	for _, t := range m.onTheirWay() {
		if t.feed.route == r {
			m.emit(Halt{Claim: t.ref})
		}
	}
}

// readCancel stops what has not left of a cancelled send.
func (m *Machine) readCancel(s *ledger.Send) {
	j := m.jobs[s.ID]
	if j == nil || m.phase != owning {
		return
	}
	m.halt(j)
	m.withdraw(j)
	m.look(j)
}

// halt stops what a job has on its way.
func (m *Machine) halt(j *job) {
	for _, t := range m.onTheirWay() {
		if t.feed.job == j && t.ref.Term == m.term {
			m.emit(Halt{Claim: t.ref})
		}
	}
}

// withdraw takes back what a job has asked for or was granted and not claimed.
// The ranges go back to their feeds.
func (m *Machine) withdraw(j *job) {
	for _, t := range sorted(m.asked) {
		if t.feed.job == j {
			m.giveBack(t)
			t.feed.asked--
			t.feed.add(t.todo)
		}
	}
	kept := m.ready[:0:0]
	for _, t := range m.ready {
		if t.feed.job != j {
			kept = append(kept, t)
			continue
		}
		m.giveBack(t)
		t.feed.add(t.todo)
	}
	m.ready = kept
}

// expire ends the sends whose time to live has run out.
func (m *Machine) expire() {
	if !m.refreshed && (m.expiry.IsZero() || m.now.Before(m.expiry)) {
		return
	}
	m.refreshed, m.expiry = false, time.Time{}
	for _, s := range m.fold.Sends() {
		j := m.jobs[s.ID]
		if s.Expiry.IsZero() || j == nil || j.outcome == tocsin.Expired {
			continue
		}
		if m.now.Before(s.Expiry) {
			if m.expiry.IsZero() || s.Expiry.Before(m.expiry) {
				m.expiry = s.Expiry
			}
			continue
		}
		j.outcome, j.reason = tocsin.Expired, 0
		m.halt(j)
		m.withdraw(j)
		m.look(j)
	}
}

// endRest settles what was not begun of a send with the outcome that is left for it:
// claim and settle go together, no byte leaves.
func (m *Machine) endRest(j *job) {
	for _, f := range j.feeds {
		for {
			if len(m.outbox) > appendRecords || m.held >= m.config.Window {
				m.blocked = append(m.blocked, j) // goes on with the next event that made room
				return
			}
			t, ok := f.next(min(m.config.RangeSize, m.config.Window-m.held))
			if !ok {
				break
			}
			n := t.To - t.From
			end := &task{todo: t, n: n, feed: f, settled: true}
			m.hold(end, m.putClaim(j, t))
			m.settle(end, &record.Settle{Runs: []*record.Run{
				{Count: uint32(n), Result: uint32(j.outcome), Reason: uint32(j.reason)},
			}})
		}
	}
}
