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
	// since; 0: it never asked for less than the quota. It grows after hold.
	allowed float64
	since   time.Time
	hold    time.Duration
	safe    float64 // the last rate that was held to the end

	accepted      tally         // since it last asked to slow down
	recent        [2]tally      // of this second or so and the one before, while it did not wait
	usual, latest time.Duration // of an answer
	answered      time.Time
}

const (
	// recently is how long a recent tally is.
	recently = time.Second
	// keep is the part of what was measured that is used: a little less, so
	// that the provider does not have to ask at once again.
	keep = 0.98
	// A rate is held for so many times as long as the provider asked to wait,
	// so that asking for more costs little of what is granted.
	patience            = 10
	holdLeast, holdMost = 5 * time.Second, 15 * time.Minute
	// After it the rate grows by a cube of the seconds: first by little, as most
	// often nothing has changed, then fast.
	growth = 0.0015
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
	factor := 1.0
	if t := now.Sub(g.since) - g.hold; t > 0 {
		s := t.Seconds()
		factor += growth * s * s * s
	}
	switch rate := g.allowed * factor; {
	case quota > 0 && rate >= quota, quota == 0 && factor >= grown:
		g.allowed = 0
		return quota
	default:
		return rate
	}
}

// rest says that nobody wanted it for a time: unused, a rate does not grow.
func (g *governor) rest(d time.Duration) { g.since = g.since.Add(d) }

// heard takes in an answer. It reports whether the subject has to be quiet
// longer than it knew.
func (g *governor) heard(now time.Time, e Finished, quota float64, c Config) (quieter bool) {
	g.count(now, e.Proven)
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

// tally counts what was accepted since an instant.
type tally struct {
	n    int
	from time.Time
}

func (t tally) perSecond(now time.Time) float64 {
	return float64(t.n) / max(every, now.Sub(t.from)).Seconds()
}

func (g *governor) count(now time.Time, accepted int) {
	if g.accepted.from.IsZero() {
		g.accepted.from, g.recent[0].from = now, now
	}
	g.accepted.n += accepted
	if now.Sub(g.recent[0].from) > recently {
		g.recent[1], g.recent[0] = g.recent[0], tally{from: now}
	}
	g.recent[0].n += accepted
}

// less lowers the rate to what was granted: between what was accepted of late,
// part of which may have been saved up while nothing was sent, and what is known
// to be taken for long.
func (g *governor) less(now time.Time, wait time.Duration, quota float64) {
	was := g.rate(now, quota)
	late, before := g.recent[0], 0.0
	if g.recent[1].n > 0 {
		before = g.recent[1].perSecond(late.from)
		late = tally{late.n + g.recent[1].n, g.recent[1].from}
	}
	most := late.perSecond(now)
	if was == 0 { // it had no limit
		was = most
	}
	least := most
	switch {
	case g.allowed == 0:
	case now.Sub(g.since) >= g.hold: // it was held, and grew since
		g.safe = g.allowed
		least = max(g.safe, 0.9*before)
	default: // it is more than is granted: all of that was accepted, but what could not be saved up
		if g.allowed <= g.safe {
			g.safe = 0
		}
		least = max(g.safe, g.accepted.perSecond(now))
	}
	granted := math.Sqrt(least * most)
	g.allowed = max(min(granted, was)*keep, was/2, 1)
	g.since, g.hold = now.Add(wait), min(max(patience*wait, holdLeast), holdMost)
	g.accepted = tally{from: now}
	g.recent = [2]tally{{from: g.since}}
}

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
		g.since, g.hold = now, holdLeast
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
