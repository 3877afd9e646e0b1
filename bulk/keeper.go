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
	if n := p.wanted(now); n > 0 {
		p.warming = false
		for range n {
			p.dials++
			go p.connect()
		}
	}
	conns := slices.Clone(p.conns)
	busy, waiting := p.open > 0, p.notYet.Sub(now)
	p.mu.Unlock()

	p.giveUp(stopped, provider.Unsent, provider.Detail{})
	for i, c := range conns {
		c.tick(now, i >= p.cfg.Min)
	}
	shortest := min(p.cfg.PingAfter, p.cfg.PingTimeout, p.cfg.IdleTimeout, 4*time.Second)
	if busy {
		shortest = min(shortest, p.cfg.AnswerTimeout, 400*time.Millisecond)
	}
	next := max(shortest/4, time.Millisecond)
	if waiting > 0 {
		next = min(next, waiting)
	} else if len(conns) == 0 && !busy {
		next = time.Hour // until somebody calls
	}
	return next
}

// sweep takes the batches out of the queue that were stopped. The lock is held.
func (p *Pool) sweep() (stopped []*job) {
	epoch := p.epoch.Load()
	p.queue = slices.DeleteFunc(p.queue, func(j *job) bool {
		if j.Batch.Stop.Load() || j.epoch < epoch {
			stopped = append(stopped, j)
			return true
		}
		return false
	})
	return stopped
}

// wanted is how many connections to open now. The lock is held.
func (p *Pool) wanted(now time.Time) int {
	have := len(p.conns) + p.dials
	switch {
	case p.closed || !p.used || now.Before(p.notYet):
		return 0
	case have < p.cfg.Min:
		if p.failures > 0 {
			return max(0, 1-p.dials)
		}
		return p.cfg.Min - have
	case have == 0 && (len(p.queue) > 0 || p.warming):
		return 1
	case len(p.queue) > 0 && p.dials == 0 && have < p.cfg.Max && p.crowded():
		return 1
	}
	return 0
}

// crowded reports whether more streams would help: all are in use and answers
// take their time.
func (p *Pool) crowded() bool {
	for _, c := range p.conns {
		if c.room.Load() > 0 || time.Duration(c.slow.Load()) < p.cfg.GrowAfter {
			return false
		}
	}
	return true
}

// connect opens one connection and adds it.
func (p *Pool) connect() {
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
	}
	var given []*job
	if err != nil {
		p.failed(err)
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

// failed notes a failed connection and sets the time of the next attempt. The
// lock is held.
func (p *Pool) failed(err error) {
	if p.closed {
		return
	}
	p.failures++
	p.lastErr = err
	wait := min(p.cfg.BackoffMin<<min(p.failures-1, 20), p.cfg.BackoffMax)
	wait = wait/2 + rand.N(wait/2+1)
	p.notYet = time.Now().Add(wait)
	p.log.Warn("connection failed", "origin", p.origin, "error", err, "failures", p.failures, "retry_in", wait)
}

// unreachable returns what waits for a connection when there is none and none
// is on its way. The lock is held.
func (p *Pool) unreachable() (given []*job) {
	if len(p.conns) == 0 && p.dials == 0 {
		given, p.queue = p.queue, nil
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
	ours := errors.Is(err, errIdle) || errors.Is(err, errClosed)
	switch {
	case !joined || ours:
	case c.served:
		p.failures, p.notYet = 0, time.Time{}
		p.log.Info("connection ended", "origin", p.origin, "error", err)
	case c.blamed || time.Since(c.since) < p.cfg.DialTimeout:
		if p.failed(err); p.failures > 1 {
			given = p.unreachable()
		}
	}
	p.tell()
	p.mu.Unlock()
	p.giveUp(given, provider.Later, provider.Detail{Reason: tocsin.ReasonUnavailable})
	p.wake()
}
