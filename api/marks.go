package api

import (
	"context"
	"sync"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// marks asks the log for the ends of changes, one per shard. Requests that
// wait at the same moment share one asking; a request never gets an answer of
// an asking that began before it arrived, since a registration acknowledged
// in between would be missed.
type marks struct {
	journal journal.Journal
	shards  int
	tasks   *sync.WaitGroup

	mu      sync.Mutex
	next    *asking // not begun: whoever comes now may share it
	running bool
}

type asking struct {
	done chan struct{}
	ends []uint64
	err  error
}

// take returns the end of changes of every shard, by shard. Who finds nobody
// asking asks himself.
func (m *marks) take(ctx context.Context) ([]uint64, error) {
	m.mu.Lock()
	if !m.running {
		m.running = true
		m.mu.Unlock()
		ends, err := m.ask(ctx)
		m.mu.Lock()
		if m.running = m.next != nil; m.running {
			m.tasks.Go(func() { m.run(context.WithoutCancel(ctx)) })
		}
		m.mu.Unlock()
		return ends, err
	}
	if m.next == nil {
		m.next = &asking{done: make(chan struct{})}
	}
	mine := m.next
	m.mu.Unlock()
	select {
	case <-mine.done:
		return mine.ends, mine.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run answers askings until nobody waits.
func (m *marks) run(ctx context.Context) {
	for {
		m.mu.Lock()
		now := m.next
		m.next = nil
		if now == nil {
			m.running = false
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		now.ends, now.err = m.ask(ctx)
		close(now.done)
	}
}

func (m *marks) ask(ctx context.Context) ([]uint64, error) {
	ends := make([]uint64, m.shards)
	for i := range ends {
		end, err := m.journal.End(ctx, journal.Partition{Topic: journal.Changes, Shard: tocsin.Shard(i)})
		if err != nil {
			return nil, err
		}
		ends[i] = uint64(end)
	}
	return ends, nil
}
