package pace

import (
	"math"
	"time"
)

// bucket spreads grants over time: it fills at a rate up to its size.
type bucket struct {
	perSecond float64 // refill; 0 is no limit
	size      float64
	tokens    float64
	at        time.Time // tokens are of this instant
}

// spread is how much of a second a bucket may give at once.
const spread = 0.02

// steady changes the rate, 0 for none, from now on.
func (b *bucket) steady(now time.Time, perSecond float64) { b.sized(now, perSecond, perSecond*spread) }

func (b *bucket) sized(now time.Time, perSecond, size float64) {
	if perSecond == b.perSecond {
		return
	}
	if b.perSecond > 0 {
		b.refill(now)
	}
	b.perSecond, b.at = perSecond, now
	b.size = max(1, size)
	b.tokens = min(b.tokens, b.size)
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
