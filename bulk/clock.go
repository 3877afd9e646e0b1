package bulk

import (
	"errors"
	"time"

	"github.com/tocsin-push/tocsin/provider"
)

// tick looks at the clock for the connection: answers that are late, a peer
// that is silent, a write that does not end, a batch that was stopped.
func (c *conn) tick(now time.Time) {
	c.mu.Lock()
	if c.err == nil {
		c.late(now)
		c.probe(now)
		c.wake.Signal() // the writer sees a batch that was stopped
	}
	c.hint()
	c.unlockAndTell()
}

// retire drains the connection though it could go on.
func (c *conn) retire(why error) {
	c.mu.Lock()
	c.drain(why)
	c.wake.Signal()
	c.mu.Unlock()
}

// probe asks with a PING how far the peer is, now and then and when it is
// silent, and gives up one that is gone: a half-open connection shows nothing
// else. The lock is held.
func (c *conn) probe(now time.Time) {
	cfg := &c.pool.cfg
	silent, quiet := now.Sub(c.lastRead), cfg.PingAfter
	if c.inflight > 0 {
		quiet = min(quiet, cfg.PingTimeout)
	}
	waited := c.pinging && !c.hasPing && now.Sub(c.pinged) >= cfg.PingTimeout
	switch {
	case !c.writing.IsZero() && now.Sub(c.writing) >= cfg.AnswerTimeout:
		c.failLocked(errors.New("bulk: a write took longer than an answer may"))
	case waited && silent >= cfg.PingTimeout:
		c.failLocked(errors.New("bulk: no answer to PING"))
	case waited: // it speaks, and answers no PING
		c.pinging = false
	case !c.pinging && (silent >= quiet || now.Sub(c.pinged) >= cfg.PingAfter):
		c.ctrl = append(appendFrame(c.ctrl, len(pingData), framePing, 0, 0), pingData...)
		c.hasPing, c.pinging = true, true
	}
}

const pingData = "tocsin!!" // 8 bytes, told from a peer's own by nothing else

// late gives up the pushes that wait for an answer too long. A connection that
// had no whole answer all that time takes no more. The lock is held.
func (c *conn) late(now time.Time) {
	for i := range c.runs.list {
		x := &c.runs.list[i]
		if x.left == 0 {
			continue
		}
		if now.Sub(x.at) < c.pool.cfg.AnswerTimeout {
			return // later runs are younger
		}
		if now.Sub(c.answered) >= c.pool.cfg.AnswerTimeout {
			c.drain(errStuck)
		}
		for k := range x.n {
			stream := x.first + 2*uint32(k)
			if x.left > 0 && x.job.Batch.Results[x.index(stream)] == provider.Pending {
				c.cancel(stream, codeCancel)
				c.unanswered(x, stream)
			}
		}
	}
}
