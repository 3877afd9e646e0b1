package pace

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// Machine paces one process. Not for use by several goroutines at once.
type Machine struct {
	config      Config
	subjects    map[string]*subject
	order       []*subject // as they came, for a fixed order
	routes      map[provider.Route]*route
	credentials map[tocsin.CredentialID]*credential
	asks        map[Ticket]*ask
	steers      map[tocsin.SendID]*steer
	weights     map[tocsin.ProjectID]int // of those that have not 1
	classes     [tocsin.Synthetic + 1]class
	floor       floor
	road        road
	loads       map[tocsin.Shard][]Load
	process     string // among those that share quotas; empty: alone
	serial      uint64 // of the last write
	pass        uint64
	crowded     bool // the last pass ended for lack of room on the road
	again       bool // another pass may find something
	started     time.Time
	woken       time.Time
	out         []Effect
}

// New starts a machine that knows no quota and no capacity.
func New(config Config) *Machine {
	return &Machine{
		config:      config,
		subjects:    map[string]*subject{},
		routes:      map[provider.Route]*route{},
		credentials: map[tocsin.CredentialID]*credential{},
		asks:        map[Ticket]*ask{},
		steers:      map[tocsin.SendID]*steer{},
		weights:     map[tocsin.ProjectID]int{},
		loads:       map[tocsin.Shard][]Load{},
	}
}

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.out, m.again = nil, false
	switch e := event.(type) {
	case Started:
		m.started, m.process = now, e.Process
	case Stopped:
		m.stop(now)
		return m.out
	case Told:
		m.told(now, e)
	case Ask:
		m.ask(now, e)
	case Drop:
		if a := m.asks[e.Ticket]; a != nil {
			a.steer.rest(now)
			m.dequeue(a)
		}
	case Left:
		m.left(now, e)
	case Finished:
		m.finished(now, e)
	case Capacity:
		r := m.route(now, e.Route)
		m.again = e.N > r.capacity
		r.capacity = e.N
	case Configured:
		m.subject(e.Subject).configure(now, e, m.started)
		m.again = true
	case Replaced:
		*m.credential(e.Credential) = credential{version: e.Version}
		m.again = true
	case Weighed:
		m.weigh(e)
	case Closed:
		m.close(e.Route)
	case Opened:
		if m.loads[e.Shard] = e.Loads; len(e.Loads) == 0 {
			delete(m.loads, e.Shard)
		}
	case Steered:
		m.steered(now, e)
		m.again = true
	case Unsteered:
		m.unsteered(e)
	case Tick:
		m.woken, m.again = time.Time{}, true
		for _, s := range m.order {
			if !s.next.IsZero() && !s.next.After(now) {
				s.rest(now)
			}
		}
	}
	if m.again {
		m.grant(now)
	}
	m.consult(now)
	m.wake(now)
	return m.out
}

func (m *Machine) subject(name string) *subject {
	s := m.subjects[name]
	if s == nil {
		s = &subject{name: name}
		if m.process != "" {
			s.held = &holding{process: m.process, seen: map[string]sight{}, last: 1}
		}
		m.subjects[name] = s
		m.order = append(m.order, s)
	}
	return s
}

func (m *Machine) route(now time.Time, key provider.Route) *route {
	r := m.routes[key]
	if r == nil {
		r = &route{key: key, cred: m.credential(key.Credential), rate: meter{since: now}}
		m.routes[key] = r
	}
	return r
}

func (m *Machine) credential(id tocsin.CredentialID) *credential {
	c := m.credentials[id]
	if c == nil {
		c = &credential{}
		m.credentials[id] = c
	}
	return c
}

// close forgets a route, and its subject and credential with the last one.
func (m *Machine) close(key provider.Route) {
	r := m.routes[key]
	if r == nil {
		return
	}
	delete(m.routes, key)
	m.join(r, nil)
	for _, other := range m.routes {
		if other.cred == r.cred {
			return
		}
	}
	delete(m.credentials, key.Credential)
}

// join gives a route to a subject: at its first Ask, and when a credential was
// replaced by one whom the provider counts elsewhere.
func (m *Machine) join(r *route, s *subject) {
	was := r.subject
	if was == s {
		return
	}
	r.subject = s
	move := func(to *subject, by int) {
		if to == nil {
			return
		}
		to.routes += by
		to.underway += by * r.underway
		if to.window.limited {
			to.window.pending = max(0, to.window.pending+by*r.ahead)
		}
		for class := range m.classes {
			for _, p := range m.classes[class].ring {
				for _, q := range p.queues {
					if q.route == r {
						to.asks[class] += by * len(q.asks)
					}
				}
			}
		}
	}
	move(was, -1)
	move(s, 1)
	m.again = m.again || was != nil // what waits there may not have to
	if was != nil && was.routes == 0 {
		delete(m.subjects, was.name)
		m.order = slices.DeleteFunc(m.order, func(o *subject) bool { return o == was })
	}
}

// Known is the class as which one of a newer build, or none, is treated:
// neither first nor starved.
func Known(c tocsin.Class) tocsin.Class {
	if c == 0 || c > tocsin.Synthetic {
		return tocsin.Normal
	}
	return c
}

// Idle reports whether nothing of a route is asked for or under way.
func (m *Machine) Idle(key provider.Route) bool {
	r := m.routes[key]
	return r == nil || r.asks == 0 && r.underway == 0
}

func (m *Machine) ask(now time.Time, e Ask) {
	e.Class = Known(e.Class)
	r := m.route(now, e.Route)
	m.join(r, m.subject(e.Subject))
	a := &ask{Ask: e, waited: r.subject.waited(now) + m.steers[e.Send].waited(now)}
	m.enqueue(a)
	if m.crowded = m.crowded || !m.room(now); m.crowded || a.queue.asks[0] != a {
		return
	}
	// Whoever else waits found in the last pass that it cannot leave.
	if n := m.may(now, e.Class, a.queue); n > 0 {
		m.give(now, e.Class, a.queue, n)
	}
}

// left takes down that pushes left, or never will.
func (m *Machine) left(now time.Time, e Left) {
	r := m.route(now, e.Route)
	m.gone(now, r, e.N)
	if s := r.subject; s != nil {
		s.window.leave(now, e.N, e.Written)
		m.again = m.again || s.waiting
	}
	m.leftOf(e.Send, e.N)
	m.again = m.again || m.crowded
}

func (m *Machine) finished(now time.Time, e Finished) {
	r := m.route(now, e.Route)
	if e.Unused > 0 {
		m.left(now, Left{Route: e.Route, Send: e.Send, N: e.Unused})
	}
	r.underway = max(0, r.underway-e.N)
	r.rate.add(now, e.N-e.Unused)
	m.again = m.again || r.blocked == m.pass
	if r.cred.heard(now, e, m.config) {
		m.again = true
	}
	if s := r.subject; s != nil {
		s.underway = max(0, s.underway-e.N)
		if s.governor.heard(now, e, s.perSecond(), s.fraction(), m.config) {
			if s.held != nil {
				s.held.tell, s.held.next = true, now
			}
			m.out = append(m.out, Quiet{Subject: s.name, Until: s.governor.paused})
		}
	}
}

// wake asks for the earliest instant at which something becomes possible.
func (m *Machine) wake(now time.Time) {
	var at time.Time
	if m.crowded {
		at = m.road.look
	}
	for _, s := range m.order {
		for _, next := range [...]time.Time{s.next, s.held.due()} {
			if !next.IsZero() && (at.IsZero() || next.Before(at)) {
				at = next
			}
		}
	}
	if at.IsZero() || at.Equal(m.woken) {
		return
	}
	m.woken = at
	m.out = append(m.out, Wake{At: at})
}
