package pace

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
)

// class holds the projects that ask in it. The one after the last that was
// served stands at.
type class struct {
	ring []*part
	at   int
}

// part is a project's part of a class. Its queues take turns.
type part struct {
	project tocsin.ProjectID
	weight  int
	queues  []*queue
	at      int
	deficit int // pushes that it may send beyond what it has sent

	looked uint64 // the pass that found:
	first  *queue // that may leave, nil for none, and n of it
	n      int
}

// queue holds the asks of one part on one route, those of each steered send
// apart.
type queue struct {
	part   *part
	route  *route
	steer  *steer // nil for sends that are not steered
	asks   []*ask
	denied uint64 // the pass in which its head may not leave
}

type ask struct {
	Ask
	steer  *steer
	queue  *queue
	waited time.Duration // of the subject and the send when it came
}

// quantum is what a project of weight 1 may send in a round. Small, so that
// projects which began together end in the order in which they would if all
// were served at once.
const quantum = 64

func (m *Machine) enqueue(a *ask) {
	r, steer := m.routes[a.Route], m.steers[a.Send]
	a.steer = steer
	m.asks[a.Ticket] = a
	r.subject.asks[a.Class]++
	r.asks++
	c := &m.classes[a.Class]
	at := slices.IndexFunc(c.ring, func(p *part) bool { return p.project == a.Project })
	if at < 0 {
		at = len(c.ring)
		c.ring = append(c.ring, &part{project: a.Project, weight: max(1, m.weights[a.Project])})
	}
	p := c.ring[at]
	for _, q := range p.queues {
		if q.route == r && q.steer == steer {
			a.queue = q
			q.asks = append(q.asks, a)
			return
		}
	}
	a.queue = &queue{part: p, route: r, steer: steer, asks: []*ask{a}}
	p.queues = append(p.queues, a.queue)
}

// dequeue takes an ask out, wherever it stands, and what is empty without it.
func (m *Machine) dequeue(a *ask) {
	delete(m.asks, a.Ticket)
	q := a.queue
	q.route.subject.unasked(a.Class)
	q.route.asks--
	if q.asks[0] == a {
		q.asks = q.asks[1:]
	} else {
		q.asks = slices.DeleteFunc(q.asks, func(o *ask) bool { return o == a })
	}
	if len(q.asks) > 0 {
		return
	}
	p, c := q.part, &m.classes[a.Class]
	p.at = without(&p.queues, p.at, slices.Index(p.queues, q))
	if len(p.queues) == 0 {
		c.at = without(&c.ring, c.at, slices.Index(c.ring, p))
	}
}

// without takes element i out of a ring and returns where its turn stands then.
func without[T any](ring *[]T, at, i int) int {
	*ring = slices.Delete(*ring, i, i+1)
	if i < at {
		at--
	}
	if at >= len(*ring) {
		return 0
	}
	return at
}

// grant lets leave what may leave now. On a crowded road it waits until there is
// room for some.
func (m *Machine) grant(now time.Time) {
	if limit := m.road.limit(m.config.Ahead); m.crowded && m.road.ahead > limit-limit/16 && now.Before(m.road.look) {
		return
	}
	m.pass++
	for m.room(now) {
		if !m.grantOne(now) {
			m.crowded = false
			return
		}
	}
	m.crowded = true
}

// grantOne serves the classes in order: those first that are owed their floor.
func (m *Machine) grantOne(now time.Time) bool {
	for c := tocsin.Synthetic; c > tocsin.Urgent; c-- {
		if m.floor.due(c, tocsin.PageSize) && m.serve(now, c) {
			return true
		}
	}
	for c := tocsin.Urgent; c <= tocsin.Synthetic; c++ {
		if m.serve(now, c) {
			return true
		}
	}
	return false
}

// serve gives one grant to the project of the class that is nearest to its
// next one, by deficit round robin: as many rounds as that takes are added at
// once to all that could leave now.
func (m *Machine) serve(now time.Time, class tocsin.Class) bool {
	c := &m.classes[class]
	for {
		var best *part
		fewest, at := 0, 0
		for i := range c.ring {
			k := (c.at + i) % len(c.ring)
			p := c.ring[k]
			if p.looked != m.pass {
				m.look(now, class, p)
			}
			if p.first == nil {
				continue
			}
			if need := p.rounds(); best == nil || need < fewest {
				best, fewest, at = p, need, k
			}
		}
		if best == nil {
			return false
		}
		// What was found at its look may be used up meanwhile.
		n := best.n
		if m.look(now, class, best); best.first == nil || best.n != n {
			continue
		}
		if fewest > 0 {
			for _, p := range c.ring {
				if p.first != nil {
					p.deficit += fewest * quantum * p.weight
				}
			}
		}
		best.deficit -= n
		c.at = (at + 1) % len(c.ring)
		m.give(now, class, best.first, n)
		return true
	}
}

// rounds is how many more a part needs until it may send what it could.
func (p *part) rounds() int {
	each := quantum * p.weight
	return max(0, (p.n-p.deficit+each-1)/each)
}

// weigh gives a project another weight, also where it asks already.
func (m *Machine) weigh(e Weighed) {
	if e.Weight == max(1, m.weights[e.Project]) {
		return
	}
	if m.weights[e.Project] = e.Weight; e.Weight <= 1 {
		delete(m.weights, e.Project)
	}
	for class := range m.classes {
		for _, p := range m.classes[class].ring {
			if p.project == e.Project {
				p.weight = max(1, e.Weight)
			}
		}
	}
}

// look finds the queue of a part whose head may leave now.
func (m *Machine) look(now time.Time, class tocsin.Class, p *part) {
	p.looked, p.first = m.pass, nil
	for i := range p.queues {
		k := (p.at + i) % len(p.queues)
		q := p.queues[k]
		if q.denied == m.pass {
			continue
		}
		if n := m.may(now, class, q); n > 0 {
			p.first, p.n, p.at = q, n, k
			return
		}
	}
}

// may is how many pushes of a queue's head may leave now. What denies it once
// denies it for the pass, but for a lower class whose floor comes first.
func (m *Machine) may(now time.Time, class tocsin.Class, q *queue) int {
	s, cred := q.route.subject, q.route.cred
	if s.pass != m.pass {
		s.pass = m.pass
		s.rest(now)
	}
	deny := func() int { q.denied = m.pass; return 0 }
	if now.Before(s.governor.paused) {
		s.wait(now, s.governor.paused)
		return deny()
	}
	n := q.steer.most(s.most(now, class, q.asks[0].N))
	if !cred.proven {
		n = 1
		if cred.probing {
			return deny()
		}
		if now.Before(cred.until) {
			s.earliest(cred.until)
			return deny()
		}
	}
	if q.route.blocked == m.pass {
		return deny()
	}
	if q.steer.waits(now, s, n) {
		return deny()
	}
	if n = q.route.room(n, m.config.Ahead); n == 0 {
		q.route.blocked = m.pass
		return deny()
	}
	if m.yields(s, class) {
		return 0
	}
	if n = s.free(m, now, class, n); n == 0 {
		return deny()
	}
	return n
}

// yields reports whether a lower class is owed its floor on the subject and
// lacks nothing else.
func (m *Machine) yields(s *subject, class tocsin.Class) bool {
	for c := class + 1; c <= tocsin.Synthetic; c++ {
		if s.asks[c] == 0 || !s.floor.due(c, int(s.bucket.size)) {
			continue
		}
		for _, p := range m.classes[c].ring {
			for _, q := range p.queues {
				if q.route.subject == s && q.steer == nil && q.route.cred.proven && q.route.room(1, m.config.Ahead) > 0 {
					return true
				}
			}
		}
	}
	return false
}

// give grants n pushes of the head of a queue.
func (m *Machine) give(now time.Time, class tocsin.Class, q *queue, n int) {
	a, s := q.asks[0], q.route.subject
	s.take(now, class, n)
	q.steer.take(now, n)
	m.granted(now, q.route, n)
	m.floor.served(class, n, tocsin.PageSize, func(c tocsin.Class) bool { return len(m.classes[c].ring) > 0 })
	if !q.route.cred.proven {
		q.route.cred.probing = true
	}
	q.part.looked = 0
	q.part.at = (q.part.at + 1) % len(q.part.queues)
	total := s.waited(now) + q.steer.waited(now)
	m.out = append(m.out, Grant{Ticket: a.Ticket, Route: a.Route, Send: a.Send, N: n, Waited: total - a.waited, Total: total})
	m.dequeue(a)
}
