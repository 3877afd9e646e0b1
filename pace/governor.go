package pace

import (
	"math"
	"time"
)

// governor finds out what a provider grants a subject, where that is less than
// what was configured.
type governor struct {
	paused time.Time // the provider asked for quiet until then
	slowed int       // pauses in a row without a word of how long

	// allowed is what the provider is held to grant, in pushes a second, at
	// since; 0: it never asked for less than the quota. More is tried after hold.
	allowed float64
	since   time.Time
	wait    time.Duration // that the provider asked for last, by which all is timed
	hold    float64       // waits

	// What was learnt when it last asked to slow down: a rate that it granted at
	// least, one that it refused, and one that it took while more was tried, if
	// it did. 0 unknown.
	least, refused, taken float64

	accepted      tally         // since it last asked to slow down
	recent        [2]tally      // of this second or so and the one before, while it did not wait
	usual, latest time.Duration // of an answer
	answered      time.Time
}

const (
	// recently is how long a recent tally is.
	recently = time.Second
	// keep is the part of a guess that is used: a little less, so that the
	// provider does not have to ask at once again.
	keep = 0.98
	// alike is how far apart two measures of the same may be.
	alike = 1.07

	// Only a refusal tells that no more is granted than before, and each costs a
	// wait: a rate is tried again so many waits after it was tried in vain. First
	// a little more is tried for as long as it takes to use up what a provider
	// saves in one wait; where that was not refused it grows ever faster, and all
	// that was configured is tried at the end.
	patience            = 17.0
	little              = 1.08
	trial               = 14.0
	leap                = 5.0
	firstHold           = patience - 13.0
	waitLeast, waitMost = 500 * time.Millisecond, time.Minute

	// tardy is how much later than three times as late as usual answers come
	// before a rate stays.
	tardy = 100 * time.Millisecond
	// grown is the growth after which a subject without a quota is free again.
	grown = 8
)

// rate is what may leave in a second, 0 without a limit.
func (g *governor) rate(now time.Time, quota float64) float64 {
	if g.allowed == 0 {
		return quota
	}
	factor, tried := 1.0, g.tried(now)
	switch {
	case tried > trial:
		factor = little / max(1e-3, 1-(tried-trial)/leap)
	case tried > 0:
		factor = little
	}
	switch {
	case quota > 0 && tried > trial+leap+patience, quota == 0 && factor >= grown:
		g.allowed = 0
		return quota
	case quota > 0:
		return min(g.allowed*factor, quota)
	default:
		return g.allowed * factor
	}
}

// tried is for how many waits more is tried; not above 0: it is not.
func (g *governor) tried(now time.Time) float64 {
	return float64(now.Sub(g.since))/float64(g.wait) - g.hold
}

// rest says that nobody wanted it for a time: unused, a rate does not grow.
func (g *governor) rest(d time.Duration) { g.since = g.since.Add(d) }

// heard takes in an answer, in a process that holds a part of the quota; all
// that is learnt is of the whole. It reports whether the subject has to be quiet
// longer than it knew.
func (g *governor) heard(now time.Time, e Finished, quota, part float64, c Config) (quieter bool) {
	g.count(now, float64(e.Proven)/part)
	if e.Took > 0 {
		g.heardAfter(now, e.Took, quota)
	}
	if e.Throttled == 0 {
		if e.Proven > 0 && !now.Before(g.paused) {
			g.slowed = 0
		}
		return false
	}
	wait := e.RetryAfter
	if wait <= 0 {
		wait = double(c.Slow, c.SlowMost, g.slowed)
	}
	// What left before the pause was over says nothing that is not known.
	if left := now.Add(-e.Took); !left.Before(g.paused) {
		g.slowed++
		g.less(now, wait, quota)
	}
	until := now.Add(wait)
	quieter = until.After(g.paused)
	if quieter {
		g.paused = until
	}
	return quieter
}

// heed takes over what another process found out.
func (g *governor) heed(now, until time.Time, slow Slow, quota bool) {
	g.paused = until
	if !quota || slow.Allowed == 0 {
		return
	}
	g.allowed, g.least, g.refused, g.taken = slow.Allowed, 0, 0, 0
	g.since, g.hold, g.wait = until, firstHold, min(max(slow.Wait, waitLeast), waitMost)
	g.accepted = tally{from: now}
	g.recent = [2]tally{{from: until}}
}

// tally counts what was accepted since an instant.
type tally struct {
	n    float64
	from time.Time
}

func (t tally) perSecond(now time.Time) float64 {
	return t.n / max(every, now.Sub(t.from)).Seconds()
}

func (g *governor) count(now time.Time, accepted float64) {
	if g.accepted.from.IsZero() {
		g.accepted.from, g.recent[0].from = now, now
	}
	g.accepted.n += accepted
	if now.Sub(g.recent[0].from) > recently {
		g.recent[1], g.recent[0] = g.recent[0], tally{from: now}
	}
	g.recent[0].n += accepted
}

// less lowers the rate to what was granted. From one time that the provider asks
// to slow down to the next it granted no less than what it accepted, and just
// that if it saved up all that it granted while nothing was sent; and no more
// than what it accepted of late, when it was sent too much. Where both are
// close, or it granted the same while something else was sent, that is it; else
// it is looked for in between.
func (g *governor) less(now time.Time, wait time.Duration, quota float64) {
	was, most := g.rate(now, quota), g.lately(now)
	if was == 0 { // it had no limit
		was = most
	}
	granted, least, taken, hold := keep*min(was, most), 0.0, 0.0, float64(firstHold)
	switch tried := g.tried(now); {
	case g.allowed == 0:
	case tried > trial:
		taken = g.allowed * little
		granted = between(taken, most)
	default:
		least, hold = g.accepted.perSecond(now), g.hold
		if tried > 0 {
			hold = max(0, patience-tried)
		}
		granted = between(max(least, g.taken), most)
		if most <= little*alike*least || near(least, g.least) && !near(most, g.refused) {
			granted = min(least, most)
		}
	}
	g.allowed = max(min(granted, was), was/2, 1)
	g.least, g.refused, g.taken = least, most, taken
	g.since, g.hold, g.wait = now.Add(wait), hold, min(max(wait, waitLeast), waitMost)
	g.accepted = tally{from: now}
	g.recent = [2]tally{{from: g.since}}
}

// lately is what was accepted in a second, of late.
func (g *governor) lately(now time.Time) float64 {
	late, before := g.recent[0], g.recent[1]
	if before.n > 0 {
		late.n, late.from = late.n+before.n, before.from
	}
	return late.perSecond(now)
}

func between(least, most float64) float64 { return keep * math.Sqrt(least*most) }

func near(a, b float64) bool { return a < alike*b && b < alike*a }

// heardAfter notes how long an answer took. While they come late the rate
// stays. What is usual rises by a hundredth in a second at most: late answers
// are usual after minutes.
func (g *governor) heardAfter(now time.Time, took time.Duration, quota float64) {
	g.latest += (took - g.latest) / 4
	drift := time.Duration(float64(g.usual) * min(1, now.Sub(g.answered).Seconds()) / 100)
	if g.usual += drift; g.answered.IsZero() || took < g.usual {
		g.usual = took
	}
	g.answered = now
	if g.allowed > 0 && g.latest > 3*g.usual+tardy && now.After(g.since) {
		g.allowed = g.rate(now, quota)
		g.since, g.hold = now, firstHold
	}
}

// ramp lets the rate of sends that are not urgent rise from nothing, as FCM asks
// for: in a minute at least. It falls as fast while there are none.
type ramp struct {
	over  time.Duration // from nothing to all of the quota; 0: at once
	level float64       // part of the quota, 0 to 1
	demand
	bucket
}

// firstStep is where the ramp begins: the first of the steps that FCM names.
const firstStep = 0.01

// climb moves the ramp to now; full is the rate at its end.
func (r *ramp) climb(now time.Time, full float64) {
	passed, idle := r.seen(now)
	if r.level == 0 {
		r.tokens = max(1, full*firstStep) // they need not wait
	}
	r.level += (passed - idle - idle).Seconds() / r.over.Seconds()
	r.level = min(max(r.level, firstStep), 1)
	r.sized(now, full*r.level, full*firstStep)
}

// written is the level that the other processes are told.
func (r *ramp) written(now time.Time) float64 {
	if r.level == 0 {
		return 0
	}
	return r.now(now)
}

// now is the level that the next climb would begin with.
func (r *ramp) now(now time.Time) float64 {
	level := r.level
	if idle := now.Sub(r.demand.at); !r.wanted && !r.demand.at.IsZero() && idle > busy {
		level -= idle.Seconds() / r.over.Seconds()
	}
	return max(level, firstStep)
}

// demand tells times in which something is wanted from those in which not.
type demand struct {
	at     time.Time // seen last
	wanted bool      // since then
}

// busy is how long a pause between two grants is none.
const busy = time.Second

// seen says that something is wanted now, and returns the time since the last
// one, and of that what nothing was wanted in.
func (d *demand) seen(now time.Time) (passed, idle time.Duration) {
	if !d.at.IsZero() {
		passed = max(0, now.Sub(d.at))
	}
	if !d.wanted && passed > busy {
		idle = passed
	}
	d.at, d.wanted = now, true
	return passed, idle
}
