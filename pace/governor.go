package pace

import "time"

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

	// Between two answers that ask to slow down all of what is granted was
	// accepted, as both found nothing left.
	accepted int
	from     time.Time

	usual, latest time.Duration // of an answer
}

const (
	// keep is the part of what was measured that is used: a little less, so
	// that the provider does not have to ask at once again.
	keep = 0.98
	// A rate is held for so many times as long as the provider asked to wait,
	// so that asking for more costs little of what is granted.
	patience            = 12
	holdLeast, holdMost = 5 * time.Second, 15 * time.Minute
	// After it the rate grows by a cube of the seconds: first by little, as most
	// often nothing has changed, then fast.
	growth = 0.001
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
	if g.from.IsZero() {
		g.from = now
	}
	g.accepted += e.Proven
	if e.Took > 0 {
		g.answered(now, e.Took, quota)
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

// less lowers the rate to what was granted since the last time.
func (g *governor) less(now time.Time, wait time.Duration, quota float64) {
	was := g.rate(now, quota)
	granted := float64(g.accepted) / max(every, now.Sub(g.from)).Seconds()
	if was == 0 { // it had no limit
		was = granted
	}
	g.allowed = max(min(granted, was)*keep, was/2, 1)
	g.since, g.hold = now.Add(wait), min(max(patience*wait, holdLeast), holdMost)
	g.accepted, g.from = 0, now
}

// answered notes how long an answer took. While they come late the rate stays.
func (g *governor) answered(now time.Time, took time.Duration, quota float64) {
	g.latest += (took - g.latest) / 4
	if g.usual == 0 || took < g.usual {
		g.usual = took
	}
	g.usual += (took - g.usual) / 256
	if g.allowed > 0 && took > 2*g.usual+every && now.After(g.since) {
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
		r.tokens = full * firstStep // they need not wait
	}
	r.level += (passed - idle - idle).Seconds() / r.over.Seconds()
	r.level = min(max(r.level, firstStep), 1)
	r.steady(now, full*r.level)
	r.size = max(1, full*firstStep)
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
