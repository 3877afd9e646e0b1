package pace

import (
	"math"
	"time"
)

// bucket keeps a quota. In any second it gives at most quota/60 pushes, or one
// where that is less than one (law L7): size and refill of a second together
// stay at or below that. The small size spreads the grants over the second, and
// leaves some room for what leaves a little later than it was granted.
type bucket struct {
	perMinute int
	perSecond float64 // refill; 0 is no quota
	size      float64
	tokens    float64
	at        time.Time // tokens are of this instant
}

func (b *bucket) configure(now time.Time, perMinute int) {
	if perMinute == b.perMinute {
		return
	}
	rate := float64(perMinute) / 60
	b.perMinute = perMinute
	b.size = max(1, math.Floor(rate*0.02))
	b.perSecond = max(min(rate*0.92, rate-b.size), min(rate, 1))
	// Nobody knows what left before: nothing is given in the first instant.
	b.tokens = 0
	b.at = now
	if perMinute <= 0 {
		*b = bucket{}
	}
}

func (b *bucket) refill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.size, b.tokens+b.perSecond*d.Seconds())
		b.at = now
	}
}

// most is the greatest grant that a bucket ever gives at once.
func (b *bucket) most(n int) int {
	if b.perSecond == 0 {
		return n
	}
	return min(n, int(b.size))
}

// ready is when n tokens will be there: now, or later.
func (b *bucket) ready(now time.Time, n int) time.Time {
	b.refill(now)
	missing := float64(n) - b.tokens
	if b.perSecond == 0 || missing <= 0 {
		return now
	}
	return now.Add(time.Duration(math.Ceil(missing/b.perSecond*1e9)) + 1)
}

func (b *bucket) take(n int) {
	if b.perSecond > 0 {
		b.tokens -= float64(n)
	}
}
