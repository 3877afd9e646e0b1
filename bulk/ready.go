package bulk

import (
	"slices"
	"sync/atomic"
)

// ready is the end of the pushes that may be written now.
func (j *job) ready() int {
	if j.Ready == nil {
		return j.n
	}
	return min(j.n, int(j.Ready.Load()))
}

// waits reports whether the next push of the job is not ready, and notes it for
// Raised. The lock is held.
func (c *conn) waits(j *job) bool {
	if j.next < j.ready() {
		return false
	}
	c.starves = j.Ready
	return true
}

// Raised tells the pool that the Ready of a Work went up.
func (p *Pool) Raised(ready *atomic.Int64) {
	p.mu.Lock()
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		if c.starves == ready {
			c.starves = nil
			c.wake.Signal()
		}
		c.mu.Unlock()
	}
}
