package bulk

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// keep is the pool's clock: it opens connections when they are needed, and lets
// them and the queue look at the time.
func (p *Pool) keep() {
	defer close(p.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.look:
		case <-timer.C:
		case <-p.ctx.Done():
			return
		}
		timer.Reset(p.round(time.Now()))
	}
}

// round does what is due and returns the time until the next round.
func (p *Pool) round(now time.Time) time.Duration {
	p.mu.Lock()
	stopped := p.sweep()
	p.measure(now)
	if p.failures > 0 && p.answered.Load() > p.answeredThen && !now.Before(p.notYet) {
		p.failures = 0
	}
	if n := p.wanted(now); n > 0 {
		p.warming = false
		for range n {
			p.dials++
			go p.connect(now)
		}
	}
	p.looked = append(p.looked[:0], p.conns...)
	usable, surplus := p.usable(), p.surplus()
	busy, waiting := p.open > 0, p.notYet.Sub(now)
	p.mu.Unlock()

	p.giveUp(stopped, provider.Unsent, provider.Detail{})
	for _, c := range slices.Backward(p.looked) {
		switch {
		case c.worn.Load() && usable >= max(1, p.cfg.Min): // it has a successor
			c.retire(errWorn)
		case surplus > 0 && !c.worn.Load() && !c.parting.Load():
			surplus--
			c.retire(errIdle)
		}
		c.tick(now)
	}
	shortest := min(p.cfg.PingAfter, p.cfg.PingTimeout, p.cfg.IdleTimeout, 4*time.Second)
	if busy {
		shortest = min(shortest, p.cfg.AnswerTimeout, 400*time.Millisecond)
	}
	next := max(shortest/4, time.Millisecond)
	if waiting > 0 {
		next = min(next, waiting)
	} else if len(p.looked) == 0 && !busy {
		next = time.Hour // until somebody calls
	}
	return next
}

// sweep takes the batches out of the queue that were stopped. The lock is held.
func (p *Pool) sweep() (stopped []*job) {
	epoch := p.epoch.Load()
	return p.queue.takeIf(func(j *job) bool { return j.Batch.Stop.Load() || j.epoch < epoch })
}

// wanted is how many connections to open now. One that is on its way out counts
// no more, but holds its place among twice Max. The lock is held.
func (p *Pool) wanted(now time.Time) int {
	have := p.usable() + p.dials
	switch {
	case p.closed || !p.used || now.Before(p.notYet) || len(p.conns)+p.dials >= 2*p.cfg.Max:
		return 0
	case have < p.cfg.Min:
		if p.failures > 0 {
			return max(0, 1-p.dials)
		}
		return p.cfg.Min - have
	case have == 0 && (p.queue.len() > 0 || p.warming):
		return 1
	}
	return p.growth(now, have)
}

// connect opens one connection and adds it.
func (p *Pool) connect(began time.Time) {
	ctx, cancel := context.WithTimeout(p.ctx, p.cfg.DialTimeout)
	defer cancel()
	c, err := p.shake(ctx)
	p.mu.Lock()
	p.dials--
	if err == nil && p.closed {
		err = errClosed
	}
	if err == nil && !c.dead {
		p.conns = append(p.conns, c)
		c.joined = true
		p.grown(time.Now())
	}
	var given []*job
	if err != nil {
		p.fail(err, began)
		given = p.unreachable()
	}
	p.tell()
	p.mu.Unlock()
	if c != nil {
		if err != nil {
			c.fail(err)
		}
		c.poke()
	}
	p.giveUp(given, provider.Later, provider.Detail{Reason: tocsin.ReasonUnavailable})
	p.wake()
}

// fail notes a failed connection and sets the time of the next attempt. Several
// that began together are one failure. The lock is held.
func (p *Pool) fail(err error, began time.Time) {
	if p.closed {
		return
	}
	p.failed++
	p.lastErr = err
	if began.Before(p.failedAt) {
		return
	}
	now := time.Now()
	p.failures++
	p.failedAt, p.answeredThen = now, p.answered.Load()
	if p.usable() > 0 {
		p.demand.vain = 0
		p.holdBack(now)
	}
	wait := min(p.cfg.BackoffMin<<min(p.failures-1, 20), p.cfg.BackoffMax)
	wait = wait/2 + rand.N(wait/2+1)
	p.notYet = now.Add(wait)
	p.log.Warn("connection failed", "origin", p.origin, "error", err, "failures", p.failures, "retry_in", wait)
}

// unreachable returns what waits for a connection when there is none and none
// is on its way. The lock is held.
func (p *Pool) unreachable() (given []*job) {
	if p.usable() == 0 && p.dials == 0 {
		given = p.queue.takeAll()
	}
	return given
}

// removed takes a connection out that is over. One that ended soon and without
// any answer counts as a failed attempt; from the second in a row on, what is
// queued does not wait for a third.
func (p *Pool) removed(c *conn, err error) {
	p.mu.Lock()
	joined := c.joined
	c.joined, c.dead = false, true
	here := func(x *conn) bool { return x == c }
	p.conns = slices.DeleteFunc(p.conns, here)
	p.idle = slices.DeleteFunc(p.idle, here)
	var given []*job
	ours := errors.Is(err, errIdle) || errors.Is(err, errClosed) || errors.Is(err, errWorn)
	switch {
	case !joined || ours:
	case c.served:
		p.failures, p.notYet = 0, time.Time{}
		p.log.Info("connection ended", "origin", p.origin, "error", err)
	case c.blamed || time.Since(c.since) < p.cfg.DialTimeout:
		if p.fail(err, c.since); p.failures > 1 {
			given = p.unreachable()
		}
	}
	p.tell()
	p.mu.Unlock()
	p.giveUp(given, provider.Later, provider.Detail{Reason: tocsin.ReasonUnavailable})
	p.wake()
}
