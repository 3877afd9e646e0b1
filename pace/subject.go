package pace

import (
	"time"

	"github.com/tocsin-push/tocsin"
)

// subject is whom a provider counts: a quota, and what is known of it.
type subject struct {
	name      string
	quota     int      // pushes a minute; 0 none
	held      *holding // our part of it; nil: all is ours
	bucket    bucket
	window    window
	governor  governor
	demand    demand
	ramp      ramp
	routes    int
	underway  int // granted and not finished
	asks      [tocsin.Synthetic + 1]int
	floor     floor
	next      time.Time // when time alone makes something possible; zero: nothing
	pass      uint64    // the last that came by
	exhausted uint64    // the pass in which somebody waits for the quota: others must not overtake

	// Time during which asks waited for the quota or a pause, for the account
	// of drift.
	waiting   bool
	waitedAt  time.Time
	waitedFor time.Duration
}

func (s *subject) configure(now time.Time, e Configured, started time.Time) {
	if s.quota == 0 && e.Quota > 0 { // nobody knows what left before: nothing is given in the first instant
		s.bucket = bucket{at: now}
	}
	s.quota = e.Quota
	s.window.configure(e.Quota, started)
	s.ramp.over = e.Ramp
	if s.held != nil {
		s.held.quota = e.Quota
		s.limit()
	}
}

// perSecond is the quota that all processes share.
func (s *subject) perSecond() float64 {
	if s.held != nil {
		return float64(s.held.quota) / 60
	}
	return float64(s.quota) / 60
}

func (s *subject) waited(now time.Time) time.Duration {
	if s.waiting {
		return s.waitedFor + now.Sub(s.waitedAt)
	}
	return s.waitedFor
}

// rest ends a wait; whoever waits still begins another.
func (s *subject) rest(now time.Time) {
	if s.waiting {
		s.waitedFor, s.waiting = s.waited(now), false
	}
	s.next = time.Time{}
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

// most is the greatest grant at once.
func (s *subject) most(now time.Time, class tocsin.Class, n int) int {
	_, idle := s.demand.seen(now)
	s.governor.rest(idle)
	if s.held != nil && s.quota > 0 && (s.window.most == 0 || !s.held.holds(now)) {
		return n // nothing is free
	}
	rate := s.governor.rate(now, s.perSecond()) * s.fraction()
	s.bucket.steady(now, rate)
	n = s.bucket.most(n)
	if s.ramps(class) && rate > 0 {
		s.ramp.climb(now, rate)
		n = s.ramp.most(n)
	}
	return n
}

func (s *subject) ramps(class tocsin.Class) bool { return s.ramp.over > 0 && class >= tocsin.Normal }

// free is how many of n pushes the subject lets leave now. Who finds less than
// is needed waits, and nobody overtakes there in the same pass.
func (s *subject) free(m *Machine, now time.Time, class tocsin.Class, n int) int {
	if s.bucket.perSecond == 0 && !s.window.limited {
		return n
	}
	if s.exhausted == m.pass {
		return 0
	}
	if s.held != nil && s.quota > 0 && (s.window.most == 0 || !s.held.holds(now)) {
		s.exhausted = m.pass
		s.wait(now, time.Time{})
		return 0
	}
	if s.ramps(class) {
		if ready := s.ramp.ready(now, n); ready.After(now) {
			s.wait(now, ready)
			return 0
		}
	}
	if n = s.window.free(now, n); n == 0 {
		s.exhausted = m.pass
		s.wait(now, s.window.ready())
		return 0
	}
	if ready := s.bucket.ready(now, n); ready.After(now) {
		s.exhausted = m.pass
		s.wait(now, ready)
		return 0
	}
	return n
}

// unasked takes an ask out of the count.
func (s *subject) unasked(class tocsin.Class) {
	s.asks[class]--
	late := s.asks[tocsin.Normal] + s.asks[tocsin.Synthetic]
	s.ramp.wanted = s.ramp.wanted && late > 0
	s.demand.wanted = s.demand.wanted && late+s.asks[tocsin.Urgent]+s.asks[tocsin.Transactional] > 0
}

func (s *subject) take(now time.Time, class tocsin.Class, n int) {
	if s.held != nil {
		s.held.note(now, class, n)
	}
	s.bucket.take(n)
	s.window.grant(n)
	s.underway += n
	if s.ramps(class) {
		s.ramp.take(n)
	}
	if s.bucket.perSecond > 0 {
		s.floor.served(class, n, int(s.bucket.size), func(c tocsin.Class) bool { return s.asks[c] > 0 })
	}
}

// floor is what classes are owed for what higher ones got while they waited.
type floor [tocsin.Synthetic + 1]int

// share is one in how many pushes a class that waits is owed.
const share = 50

// served counts n pushes of a class. A debt stays below that of two grants.
func (f *floor) served(class tocsin.Class, n, grant int, waits func(tocsin.Class) bool) {
	grant = min(grant, tocsin.PageSize) * share
	for c := class; c <= tocsin.Synthetic; c++ {
		switch {
		case c == class:
			f[c] = max(0, f[c]-n*share)
		case waits(c):
			f[c] = min(f[c]+n, 2*grant)
		default:
			f[c] = 0
		}
	}
}

// due reports whether a class is owed a whole grant.
func (f *floor) due(c tocsin.Class, grant int) bool {
	return f[c] >= max(1, min(grant, tocsin.PageSize))*share
}
