package audience

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Courtesy is how questions give way to sends: as long as somebody sends, what is
// asked of all shards that share a Courtesy takes half of the processors at most, on
// average, and a sixteenth once it was asked a few at a time or for long. A send is
// known by what it reads of a shard.
type Courtesy struct {
	began  time.Time
	sent   atomic.Int64 // when a send last read something, in nanoseconds since began
	shards atomic.Int64
	asked  atomic.Int64 // of how many shards something is asked; one that is asked twice counts twice

	mu   sync.Mutex
	left time.Duration // of processor time that questions may take at once; below zero it is owed
	at   time.Duration // when it was
}

const (
	courtesyShort = 2                      // of the processors: one part of so many, for one question that is short
	courtesyPart  = 16                     // otherwise
	courtesyLong  = 15 * time.Millisecond  // of one shard, from which on a question is not short
	courtesyBurst = 20 * time.Millisecond  // of processor time, after a while without questions
	courtesyAfter = 100 * time.Millisecond // so long after it last read something a send is over
)

// NewCourtesy is for the shards of a process.
func NewCourtesy() *Courtesy {
	c := &Courtesy{began: time.Now(), left: courtesyBurst}
	c.sent.Store(int64(-courtesyAfter))
	return c
}

// GiveWay has the questions of a shard share what they may take with those of
// other shards. It is called before anything else is.
func (s *Shard) GiveWay(c *Courtesy) {
	s.courtesy = c
	c.shards.Add(1)
}

// sending is called by whoever reads for a send.
func (c *Courtesy) sending() { c.sent.Store(int64(time.Since(c.began))) }

// question is one that a shard is asked. A nil one is a send's, which gives way to
// nobody.
type question struct {
	*Courtesy
	worked time.Duration
}

// ask waits until a question may begin; who asked it calls done in the end.
func (c *Courtesy) ask(ctx context.Context) *question {
	q := &question{Courtesy: c}
	c.asked.Add(1)
	q.rest(ctx, 0)
	return q
}

func (q *question) done() {
	if q != nil {
		q.asked.Add(-1)
	}
}

// rest waits, after a question has worked for so long, until questions have time
// again, if somebody sends; and otherwise lets others run.
func (q *question) rest(ctx context.Context, worked time.Duration) {
	if q == nil {
		return
	}
	wait := q.work(worked)
	if wait <= 0 {
		runtime.Gosched()
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// work notes what was worked and tells how long to wait.
func (q *question) work(d time.Duration) (wait time.Duration) {
	if q == nil {
		return 0
	}
	q.worked += d
	part := time.Duration(courtesyPart)
	if q.worked <= courtesyLong && q.asked.Load() <= q.shards.Load() {
		part = courtesyShort
	}
	return q.spend(time.Since(q.began), d, part, runtime.GOMAXPROCS(0))
}

// spend takes what was worked from one part of so many of the processors.
func (c *Courtesy) spend(now, worked, part time.Duration, processors int) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now-time.Duration(c.sent.Load()) > courtesyAfter {
		c.left, c.at = courtesyBurst, now
		return 0
	}
	c.left = min(c.left+(now-c.at)*time.Duration(processors)/part, courtesyBurst) - worked
	c.at = now
	return max(0, -c.left*part/time.Duration(processors))
}
