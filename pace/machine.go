package pace

import (
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
	passes      uint64
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
	}
}

// route is one way out and its room.
type route struct {
	capacity int
	underway int // granted and not finished
	rate     float64
	done     int // finished since
	since    time.Time
	blocked  uint64 // the pass in which somebody found no room: others must not overtake
}

// limit is how many pushes may be granted and not finished: what the route
// holds, and as much again or Ahead's worth of work on its way there.
func (r *route) limit(ahead time.Duration) int {
	return r.capacity + max(r.capacity, int(r.rate*ahead.Seconds()))
}

// room is how many of n pushes may be granted: all, or a part worth a claim.
func (r *route) room(n int, ahead time.Duration) int {
	if r.capacity == 0 {
		return 0
	}
	limit := r.limit(ahead)
	free := min(n, limit-r.underway)
	if free == n || free >= max(1, limit/4) {
		return free
	}
	return 0
}

func (r *route) finish(now time.Time, n int) {
	r.underway = max(0, r.underway-n)
	r.done += n
	if d := now.Sub(r.since); d >= 100*time.Millisecond {
		now := float64(r.done) / d.Seconds()
		r.rate = (r.rate + now) / 2
		r.done, r.since = 0, r.since.Add(d)
	}
}

// credential is one key to a provider, and whether it is known to work.
type credential struct {
	proven  bool
	probing bool
	faults  int
	until   time.Time // no probe before it
}

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.out = nil
	switch e := event.(type) {
	case Started:
		m.started = now
	case Ask:
		m.ask(now, e)
		m.subject(e.Subject).grant(m, now)
	case Drop:
		m.drop(now, e.Ticket)
	case Left:
		m.subject(e.Subject).window.leave(now, e.N)
		m.left(now, e.Send, e.N)
	case Finished:
		m.subject(e.Subject).window.unused(e.Unused)
		m.left(now, e.Send, e.Unused)
		if m.finished(now, e) {
			m.grantAll(now)
		} else {
			m.subject(e.Subject).grant(m, now)
		}
	case Capacity:
		m.route(now, e.Route).capacity = e.N
		m.grantAll(now)
	case Configured:
		s := m.subject(e.Subject)
		s.quota.configure(now, e.Quota)
		s.window.configure(e.Quota, m.started)
		s.grant(m, now)
	case Replaced:
		*m.credential(e.Credential) = credential{}
		m.grantAll(now)
	case Steered:
		m.steered(now, e)
		m.grantAll(now)
	case Unsteered:
		m.unsteered(e)
	case Tick:
		m.woken = time.Time{}
		m.grantAll(now)
	}
	m.wake()
	return m.out
}

func (m *Machine) subject(name string) *subject {
	s := m.subjects[name]
	if s == nil {
		s = &subject{}
		m.subjects[name] = s
		m.order = append(m.order, s)
	}
	return s
}

func (m *Machine) route(now time.Time, key provider.Route) *route {
	r := m.routes[key]
	if r == nil {
		r = &route{since: now}
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

func (m *Machine) grantAll(now time.Time) {
	for _, s := range m.order {
		s.grant(m, now)
	}
}

// finished reports whether a credential changed, which concerns every subject.
func (m *Machine) finished(now time.Time, e Finished) (credentialChanged bool) {
	m.route(now, e.Route).finish(now, e.N)
	s, c := m.subject(e.Subject), m.credential(e.Route.Credential)
	was := *c
	switch {
	case e.Faulted > 0:
		if was.proven || was.probing { // else it left before the refusal was known
			c.until = now.Add(double(m.config.Probe, m.config.ProbeMost, c.faults))
			c.faults++
		}
		c.proven, c.probing = false, false
	case e.Proven > 0 && (was.probing || was.proven):
		*c = credential{proven: true}
	case was.probing:
		// It was never asked. The next probe waits a moment, as after a failed connection.
		c.probing, c.until = false, now.Add(m.config.Slow)
	}
	if e.Throttled > 0 {
		wait := e.RetryAfter
		if wait <= 0 {
			wait = double(m.config.Slow, m.config.SlowMost, s.slowed)
		}
		if !now.Before(s.paused) {
			s.slowed++
		}
		if until := now.Add(wait); until.After(s.paused) {
			s.paused = until
		}
	} else if e.Proven > 0 && !now.Before(s.paused) {
		s.slowed = 0
	}
	return *c != was
}

// double is first, doubled times times, up to most.
func double(first, most time.Duration, times int) time.Duration {
	for range times {
		if first >= most/2 {
			return most
		}
		first *= 2
	}
	return first
}

// wake asks for the earliest instant at which something becomes possible.
func (m *Machine) wake() {
	var at time.Time
	for _, s := range m.order {
		if !s.next.IsZero() && (at.IsZero() || s.next.Before(at)) {
			at = s.next
		}
	}
	if at.IsZero() || at.Equal(m.woken) {
		return
	}
	m.woken = at
	m.out = append(m.out, Wake{At: at})
}
