package pace

import (
	"time"

	"github.com/tocsin-push/tocsin"
)

// steer holds the rate that a client chose for one send, over all shards,
// routes and subjects of the process: in any span of time at most that rate
// leaves, and slack more.
type steer struct {
	version uint64
	shards  map[tocsin.Shard]bool // on which the send is open
	quota   bucket
	pending int  // granted, neither left nor finished
	blocked bool // somebody waits for less of that

	// Time during which asks waited for it, for the account of drift.
	waiting   bool
	waitedAt  time.Time
	waitedFor time.Duration
}

// slack is what may leave at once beyond the rate: a quarter of a second's
// worth that was granted and waits for its claim, and what the bucket holds.
const slack = 0.25

// steered obeys the newest of what the shards were told.
func (m *Machine) steered(now time.Time, e Steered) {
	t := m.steers[e.Send]
	if t == nil {
		t = &steer{shards: map[tocsin.Shard]bool{}}
		t.quota.tokens = 1 // the first need not wait
		m.steers[e.Send] = t
		m.refile(e.Send)
	} else if e.Version <= t.version {
		t.shards[e.Shard] = true
		return
	}
	t.shards[e.Shard], t.version = true, e.Version
	t.quota.steady(now, float64(e.PerMinute)/60)
}

func (m *Machine) unsteered(e Unsteered) {
	if t := m.steers[e.Send]; t != nil {
		if delete(t.shards, e.Shard); len(t.shards) == 0 {
			delete(m.steers, e.Send)
		}
	}
}

// refile moves what a send has asked for already to queues of its own: nobody
// else waits behind a send that waits for its rate.
func (m *Machine) refile(send tocsin.SendID) {
	var moved []*ask
	for class := range m.classes {
		for _, p := range m.classes[class].ring {
			for _, q := range p.queues {
				for _, a := range q.asks {
					if a.Send == send {
						moved = append(moved, a)
					}
				}
			}
		}
	}
	for _, a := range moved {
		m.dequeue(a)
		m.enqueue(a)
	}
}

// most is the greatest grant at once.
func (t *steer) most(n int) int {
	if t == nil {
		return n
	}
	return t.quota.most(n)
}

// waits reports whether n more may not be granted now, and wakes the subject
// when they may: some must have left by then.
func (t *steer) waits(now time.Time, s *subject, n int) bool {
	if t == nil || t.quota.perSecond == 0 {
		return false
	}
	ready := t.quota.ready(now, n)
	if t.pending > 0 && t.pending+n > int(t.quota.perSecond*slack) {
		t.blocked = true
	} else if !ready.After(now) {
		return false
	} else {
		s.earliest(ready)
	}
	if !t.waiting {
		t.waiting, t.waitedAt = true, now
	}
	return true
}

func (t *steer) take(now time.Time, n int) {
	if t != nil {
		t.rest(now)
		t.quota.take(n)
		t.pending += n
	}
}

// rest ends a wait; whoever waits still begins another.
func (t *steer) rest(now time.Time) {
	if t != nil {
		t.waitedFor, t.waiting = t.waited(now), false
	}
}

// leftOf takes down that pushes of a send left, or never will.
func (m *Machine) leftOf(send tocsin.SendID, n int) {
	t := m.steers[send]
	if t == nil {
		return
	}
	if t.pending = max(0, t.pending-n); t.blocked {
		t.blocked, m.again = false, true
	}
}

func (t *steer) waited(now time.Time) time.Duration {
	switch {
	case t == nil:
		return 0
	case t.waiting:
		return t.waitedFor + now.Sub(t.waitedAt)
	}
	return t.waitedFor
}
