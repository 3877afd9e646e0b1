package pace

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// route is one way out and its room.
type route struct {
	key      provider.Route
	subject  *subject
	cred     *credential
	capacity int
	asks     int
	underway int // granted and not finished
	ahead    int // of those, not left
	rate     meter
	blocked  uint64    // the pass in which somebody found no room: others must not overtake
	moved    time.Time // when something left, or began to wait for it
	stuck    bool      // nothing leaves: road does not count it
}

// meter measures a rate.
type meter struct {
	perSecond float64
	n         int
	since     time.Time
}

// every is the least time over which a rate is measured.
const every = 50 * time.Millisecond

// add counts n. A rate that rises is followed at once, one that falls slowly.
func (r *meter) add(now time.Time, n int) {
	r.n += n
	if d := now.Sub(r.since); d >= every {
		latest := float64(r.n) / d.Seconds()
		r.perSecond = max(latest, (r.perSecond+latest)/2)
		r.n, r.since = 0, now
	}
}

// over is how many are to be expected in a time.
func (r *meter) over(d time.Duration) int { return int(r.perSecond * d.Seconds()) }

// limit is how many pushes may be granted and not finished: what the route
// holds, and work on its way there, twice as much as it has shown to take, so
// that it can show more.
func (r *route) limit(ahead time.Duration) int {
	return r.capacity + max(min(r.capacity, tocsin.PageSize), r.rate.over(2*ahead))
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

// credential is one key to a provider, and whether it is known to work.
type credential struct {
	version uint64
	proven  bool
	probing bool
	faults  int
	until   time.Time // no probe before it
}

// heard notes what an answer says of the credential, and reports whether it
// changed, which concerns every subject.
func (c *credential) heard(now time.Time, e Finished, config Config) (changed bool) {
	was := *c
	if e.Version != 0 && e.Version < c.version {
		return false // it speaks of the one before
	}
	switch {
	case e.Faulted > 0:
		if was.proven || was.probing { // else it left before the refusal was known
			c.until = now.Add(double(config.Probe, config.ProbeMost, c.faults))
			c.faults++
		}
		c.proven, c.probing = false, false
	case e.Proven > 0 && (was.probing || was.proven):
		*c = credential{version: c.version, proven: true}
	case was.probing:
		// It was never asked. The next probe waits a moment, as after a failed connection.
		c.probing, c.until = false, now.Add(config.Slow)
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
