package pace

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// subject is whom a provider counts: a quota, and the asks that share it.
type subject struct {
	quota   bucket
	window  window
	paused  time.Time // the provider asked for quiet until then
	slowed  int       // pauses in a row without a word of how long
	next    time.Time // when time alone makes something possible; zero: nothing
	classes [tocsin.Synthetic + 1][]*queue

	// Time during which asks waited for the quota or a pause, for the account
	// of drift.
	waiting   bool
	waitedAt  time.Time
	waitedFor time.Duration
}

// queue holds the asks of one project in one class on one route, those of each
// steered send apart. The queue whose turn it is stands first.
type queue struct {
	project tocsin.ProjectID
	key     provider.Route
	route   *route
	cred    *credential
	steer   *steer // nil for sends that are not steered
	asks    []*ask
}

type ask struct {
	Ask
	steer  *steer
	waited time.Duration // of the subject and the send when it came
}

func (m *Machine) ask(now time.Time, e Ask) {
	s := m.subject(e.Subject)
	if e.Class == 0 || e.Class > tocsin.Synthetic {
		e.Class = tocsin.Normal // of a newer build, or none: neither first nor starved
	}
	m.enqueue(now, s, &ask{Ask: e, waited: s.waited(now) + m.steers[e.Send].waited(now)})
}

func (m *Machine) enqueue(now time.Time, s *subject, a *ask) {
	a.steer = m.steers[a.Send]
	m.asks[a.Ticket] = a
	for _, q := range s.classes[a.Class] {
		if q.project == a.Project && q.key == a.Route && q.steer == a.steer {
			q.asks = append(q.asks, a)
			return
		}
	}
	s.classes[a.Class] = append(s.classes[a.Class], &queue{
		project: a.Project, key: a.Route, route: m.route(now, a.Route), cred: m.credential(a.Route.Credential), steer: a.steer, asks: []*ask{a},
	})
}

func (m *Machine) drop(now time.Time, t Ticket) {
	a := m.asks[t]
	if a == nil {
		return
	}
	a.steer.rest(now)
	delete(m.asks, t)
	list := m.subject(a.Subject).classes[a.Class]
	for i, q := range list {
		if q.project == a.Project && q.key == a.Route && q.steer == a.steer {
			q.asks = slices.DeleteFunc(q.asks, func(o *ask) bool { return o == a })
			if len(q.asks) == 0 {
				m.subject(a.Subject).classes[a.Class] = slices.Delete(list, i, i+1)
			}
			return
		}
	}
}

func (s *subject) waited(now time.Time) time.Duration {
	if s.waiting {
		return s.waitedFor + now.Sub(s.waitedAt)
	}
	return s.waitedFor
}

// wait is until an instant; zero: until something is finished.
func (s *subject) wait(now time.Time, until time.Time) {
	if !s.waiting {
		s.waiting, s.waitedAt = true, now
	}
	if !until.IsZero() {
		s.earliest(until)
	}
}

func (s *subject) earliest(t time.Time) {
	if s.next.IsZero() || t.Before(s.next) {
		s.next = t
	}
}

// grant lets leave what may leave now. Classes are strict: while one waits for
// the quota no lower one gets it. Inside a class each queue in turn gets one
// grant. Somebody who waits for room on a route is not overtaken there.
func (s *subject) grant(m *Machine, now time.Time) {
	if s.waiting {
		s.waitedFor, s.waiting = s.waited(now), false
	}
	s.next = time.Time{}
	m.passes++
	for class := range s.classes {
		if !s.grantClass(m, now, class) {
			return
		}
	}
}

// grantClass reports whether lower classes may go on.
func (s *subject) grantClass(m *Machine, now time.Time, class int) bool {
	for idle := 0; idle < len(s.classes[class]); {
		list := s.classes[class]
		q := list[0]
		if now.Before(s.paused) {
			s.wait(now, s.paused)
			return false
		}
		a := q.asks[0]
		n := q.steer.most(s.quota.most(a.N))
		probe := !q.cred.proven
		if probe {
			n = 1
		}
		switch {
		case probe && q.cred.probing:
			n = 0
		case probe && now.Before(q.cred.until):
			s.earliest(q.cred.until)
			n = 0
		case q.route.blocked == m.passes:
			n = 0
		case q.steer.waits(now, s, n):
			n = 0
		default:
			if n = q.route.room(n, m.config.Ahead); n == 0 {
				q.route.blocked = m.passes
			}
		}
		if n == 0 { // its turn stays; the others have a look
			idle++
			copy(list, list[1:])
			list[len(list)-1] = q
			continue
		}
		if n = s.window.free(now, n); n == 0 {
			s.wait(now, s.window.ready())
			return false
		}
		if ready := s.quota.ready(now, n); ready.After(now) {
			s.wait(now, ready)
			return false
		}
		s.quota.take(n)
		s.window.grant(n)
		q.steer.take(now, n)
		q.route.underway += n
		if probe {
			q.cred.probing = true
		}
		total := s.waited(now) + q.steer.waited(now)
		m.out = append(m.out, Grant{Ticket: a.Ticket, Route: a.Route, Send: a.Send, N: n, Waited: total - a.waited, Total: total})
		delete(m.asks, a.Ticket)
		q.asks = q.asks[1:]
		idle = 0
		if len(q.asks) == 0 {
			s.classes[class] = slices.Delete(list, 0, 1)
			continue
		}
		copy(list, list[1:])
		list[len(list)-1] = q
	}
	return true
}
