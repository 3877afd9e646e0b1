package sim

import (
	"slices"
	"sync"
	"time"
)

// later writes the answers of a connection whose time has not come. Its
// goroutine starts with the first of them and ends with the connection.
type later struct {
	mu      sync.Mutex
	items   []lateBatch // by due time
	started bool
	wake    chan struct{}
}

type lateBatch struct {
	due time.Time
	lag lag
}

func (l *later) add(c *conn, due time.Time, batch lag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started {
		l.started, l.wake = true, make(chan struct{}, 1)
		c.server.running.Go(func() { l.run(c) })
	}
	at := len(l.items)
	for at > 0 && l.items[at-1].due.After(due) {
		at--
	}
	l.items = slices.Insert(l.items, at, lateBatch{due, batch})
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *later) run(c *conn) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-l.wake:
		case <-timer.C:
		}
		due, wait := l.take(time.Now())
		for _, batch := range due {
			c.lagged.Add(-batch.lag.streams)
			c.writeNow(batch.lag.frames)
		}
		timer.Reset(wait)
	}
}

// take removes what is due, and tells how long the rest can wait.
func (l *later) take(now time.Time) ([]lateBatch, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.items) && !l.items[n].due.After(now) {
		n++
	}
	due := slices.Clone(l.items[:n])
	l.items = slices.Delete(l.items, 0, n)
	if len(l.items) == 0 {
		return due, time.Hour
	}
	return due, l.items[0].due.Sub(now)
}
