package pace

import "time"

// road is what is granted and has not left yet, over all routes. Bounded, so
// that whoever comes with a higher class waits for little.
type road struct {
	ahead int
	rate  meter     // at which pushes leave
	look  time.Time // before it no route is to be found stuck
}

const (
	// leastAhead is worth granting ahead at any rate: with less the rate of one
	// that begins would never grow.
	leastAhead = 16_384

	// stall is how long nothing leaves from a route before what waits there is
	// held to wait for its provider, and not for us.
	stall = 250 * time.Millisecond
)

func (r *road) limit(ahead time.Duration) int { return max(leastAhead, r.rate.over(ahead)) }

// room reports whether more may be granted. Routes from which nothing leaves
// are left out of the count: a dead provider takes nothing from the others.
func (m *Machine) room(now time.Time) bool {
	limit := m.road.limit(m.config.Ahead)
	if m.road.ahead < limit || now.Before(m.road.look) {
		return m.road.ahead < limit
	}
	m.road.look = now.Add(stall)
	for _, r := range m.routes {
		switch until := r.moved.Add(stall); {
		case r.stuck || r.ahead == 0:
		case now.Before(until):
			if until.Before(m.road.look) {
				m.road.look = until
			}
		default:
			r.stuck = true
			m.road.ahead -= r.ahead
		}
	}
	return m.road.ahead < limit
}

// granted counts pushes of a route in.
func (m *Machine) granted(now time.Time, r *route, n int) {
	if r.ahead == 0 {
		r.moved = now
	}
	r.underway += n
	if r.ahead += n; !r.stuck {
		m.road.ahead += n
	}
}

// gone counts pushes out that left, or never will.
func (m *Machine) gone(now time.Time, r *route, n int) {
	if r.stuck {
		r.stuck = false
		m.road.ahead += r.ahead
	}
	n = min(n, r.ahead)
	r.ahead -= n
	r.moved = now
	m.road.ahead -= n
	m.road.rate.add(now, n)
}
