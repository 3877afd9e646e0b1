package sim

import (
	"slices"
	"sync"
	"time"
)

// maxSlack bounds how much longer than its delay an answer is kept, so that
// many leave together.
const maxSlack = 4 * time.Millisecond

// later writes the answers of a connection whose time has not come. Its
// goroutine starts with the first of them and ends with the connection.
type later struct {
	mu      sync.Mutex
	items   []late // by due time
	spare   [][]byte
	started bool
	wake    chan struct{}
}

// late is what leaves at one moment.
type late struct {
	due     time.Time
	frames  []byte
	streams int32
}

// lag collects the answers of one batch that leave after the same delay.
type lag struct {
	delay   time.Duration
	frames  []byte
	streams int32
}

// lagOf returns the one for a delay.
func (c *conn) lagOf(delay time.Duration) *lag {
	for i := range c.lags {
		if c.lags[i].delay == delay {
			return &c.lags[i]
		}
	}
	n := len(c.lags)
	c.lags = slices.Grow(c.lags, 1)[:n+1]
	c.lags[n] = lag{delay: delay, frames: c.lags[n].frames[:0]}
	return &c.lags[n]
}

// add copies a batch, which was read at a moment. Moments are rounded up by a
// part of the delay.
func (l *later) add(c *conn, read time.Time, batch *lag) {
	slack := min(batch.delay/16+1, maxSlack)
	due := read.Add(batch.delay + slack - time.Duration(read.UnixNano())%slack)
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
	if at == 0 || !l.items[at-1].due.Equal(due) {
		item := late{due: due}
		if n := len(l.spare); n > 0 {
			item.frames, l.spare = l.spare[n-1][:0], l.spare[:n-1]
		}
		l.items = slices.Insert(l.items, at, item)
		at++
		if at == 1 {
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
	}
	item := &l.items[at-1]
	item.frames = append(item.frames, batch.frames...)
	item.streams += batch.streams
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
		for _, item := range due {
			c.lagged.Add(-item.streams)
			c.writeNow(item.frames)
		}
		l.giveBack(due)
		timer.Reset(wait)
	}
}

// take removes what is due, and tells how long the rest can wait.
func (l *later) take(now time.Time) ([]late, time.Duration) {
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

// giveBack keeps memory for what comes.
func (l *later) giveBack(written []late) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range written {
		if len(l.spare) < 16 {
			l.spare = append(l.spare, item.frames)
		}
	}
}
