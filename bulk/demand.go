package bulk

import (
	"math"
	"time"
)

// demand is what decides how many connections a pool keeps. By Little's law as
// many pushes are under way as are sent in the time that an answer takes, and
// each connection holds so many streams.
type demand struct {
	at       time.Time // of the last measure
	answered uint64    // then
	rate     float64   // answers a second
	latency  time.Duration

	// The shortest latency in this period of leastOver and in the one before: what
	// an answer takes when it waits for nobody's processor. 0: none was seen.
	least [2]time.Duration
	since time.Time // when the period began

	// Connections that were needed at once, at most, in this period of
	// Config.IdleTimeout and in the one before; and in earlier busy ones, half of
	// which is forgotten with each that needed less.
	needs [2]int
	most  int
	turn  time.Time // when the period began

	// A step of growth is worth another one if answers did not become slower by
	// as much as there are more streams.
	next    time.Time // no step before it
	slowest time.Duration
	hold    time.Duration
	easy    time.Time // since when connections suffice; zero: they do not
	tight   time.Time // since when they do not; zero: they do
	vain    float64   // the rate at which the last step made answers slower; 0: none did
}

// spare is how much more than needed is kept open.
const spare = 1.1

// Waits after a step of growth: to see its effect, and when it had none.
const (
	settleGrowth = 200 * time.Millisecond
	holdGrowth   = time.Second
	holdMost     = time.Minute
)

// leastOver is how long the shortest latency stands for what an answer takes.
const leastOver = 10 * time.Second

// base is the shortest latency of late; 0: unknown.
func (d *demand) base() time.Duration {
	if d.least[0] == 0 || d.least[1] == 0 {
		return max(d.least[0], d.least[1])
	}
	return min(d.least[0], d.least[1])
}

// measure follows the rate and the latency of answers. The lock is held.
func (p *Pool) measure(now time.Time) {
	d := &p.demand
	passed := now.Sub(d.at)
	if passed < 20*time.Millisecond {
		return
	}
	answered := p.answered.Load()
	d.rate += (float64(answered-d.answered)/passed.Seconds() - d.rate) / 2
	d.at, d.answered = now, answered

	if now.Sub(d.since) >= leastOver {
		d.least, d.since = [2]time.Duration{0, d.least[0]}, now
	}
	var slow, n, busy, open int64
	for _, c := range p.conns {
		if least := time.Duration(c.least.Swap(0)); least > 0 && (d.least[0] == 0 || least < d.least[0]) {
			d.least[0] = least
		}
		most := int64(c.open.Load())
		if open += most; c.full.Load() {
			busy += most // its windows may hold less than its streams
		} else {
			busy += int64(c.busy.Load())
		}
		if s := c.slow.Load(); s > 0 {
			slow, n = slow+s, n+1
		}
	}
	if n > 0 {
		d.latency = time.Duration(slow / n)
	}
	if open > 0 {
		needed := int(math.Ceil(spare * float64(busy) * float64(len(p.conns)) / float64(open)))
		d.needs[0] = max(d.needs[0], min(needed, p.usable()))
	}
	if d.turn.IsZero() {
		d.turn = now
	}
	if now.Sub(d.turn) >= p.cfg.IdleTimeout {
		if ended := d.needs[1]; ended > 0 {
			d.most = max(ended, d.most/2)
		}
		d.needs, d.turn = [2]int{0, d.needs[0]}, now
	}
}

// growth is how many connections to open because they do not suffice: as many
// again, or as many as were needed before. Where that only makes answers
// slower, a few are tried, ever less often: more connections make no service
// faster that is at its limit. The lock is held.
func (p *Pool) growth(now time.Time, have int) int {
	d := &p.demand
	quick := have < p.cfg.Quick && p.demand.base() < p.cfg.GrowAfter
	if !p.crowded(quick) {
		d.tight = time.Time{}
		if d.easy.IsZero() {
			d.easy = now
		} else if now.Sub(d.easy) >= holdGrowth {
			d.anew()
		}
		return 0
	}
	d.easy = time.Time{}
	if d.tight.IsZero() {
		d.tight = now
	}
	if d.rate < d.vain/2 && now.Sub(d.tight) >= p.settling() { // what limits it now is not what did then
		d.anew()
	}
	if p.dials > 0 || have >= p.cfg.Max || now.Before(d.next) {
		return 0
	}
	if d.slowest > 0 && d.latency > d.slowest {
		d.slowest, d.vain = 0, d.rate
		p.holdBack(now)
		return 0
	}
	if d.slowest > 0 {
		if d.hold /= 2; d.hold < holdGrowth {
			d.hold = 0
		}
	}
	goal := max(int(math.Ceil(2*spare*float64(have))), d.most)
	switch {
	case quick:
		goal = p.cfg.Quick
	case d.hold > 0:
		goal = have + max(1, have/8) // a trial
	}
	goal = min(goal, p.cfg.Max)
	d.needs[0] = goal
	d.slowest = d.latency + d.latency*time.Duration(3*(goal-have))/time.Duration(4*have)
	return goal - have
}

// anew forgets what earlier steps of growth have shown.
func (d *demand) anew() { d.slowest, d.hold, d.next, d.vain = 0, 0, time.Time{}, 0 }

// holdBack puts growth off. The lock is held.
func (p *Pool) holdBack(now time.Time) {
	d := &p.demand
	d.hold = min(max(2*d.hold, holdGrowth), holdMost)
	d.next = now.Add(d.hold)
}

// grown is told that a connection has joined: from now on its effect shows. The
// lock is held.
func (p *Pool) grown(now time.Time) {
	d := &p.demand
	d.next = now.Add(p.settling())
	d.needs[0] = max(d.needs[0], p.usable()) // it was opened because it is needed
}

// settling is how long a change takes until rate and latency show it. The lock
// is held.
func (p *Pool) settling() time.Duration { return max(settleGrowth, 3*p.demand.latency) }

// crowded reports whether more connections would help: one has more to write
// than it can, no other has streams for it, and answers take their time however
// little is to do, or there are fewer than Quick. Where they were quick a moment
// ago and are slow now, they wait for a processor, ours or theirs, of which
// another connection would only take more. The lock is held.
func (p *Pool) crowded(quick bool) bool {
	if !quick && p.demand.base() < p.cfg.GrowAfter {
		return false
	}
	full := false
	for _, c := range p.conns {
		switch {
		case c.parting.Load() || c.slow.Load() == 0: // leaves, or was never asked
		case c.full.Load():
			full = true
		case worthwhile(int(c.room.Load()), int(c.open.Load())):
			return false
		}
	}
	return full
}

// surplus is how many connections nobody needed for long. The lock is held.
func (p *Pool) surplus() int {
	return max(0, p.usable()-max(p.cfg.Min, p.demand.needs[0], p.demand.needs[1]))
}
