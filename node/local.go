package node

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/receipt"
)

// local is what lives in this process now, by shard. It changes while the process runs:
// shards come and go.
type local struct {
	audiences residents[*audience.Follower]
	receipts  residents[*receipt.Shell]
	plans     residents[*plan.Shell]
}

// residents are the shards of one kind.
type residents[T any] struct {
	mu      sync.Mutex
	all     map[tocsin.Shard]resident[T]
	changed chan struct{} // closed when one comes; nil while nobody waits
}

type resident[T any] struct {
	one  T
	here context.Context // until it leaves
}

// enter lets one in, and returns what lets it out.
func (r *residents[T]) enter(shard tocsin.Shard, one T) (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[tocsin.Shard]resident[T])
	}
	here, gone := context.WithCancel(context.Background())
	r.all[shard] = resident[T]{one, here}
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return func() {
		gone()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.all[shard].here == here {
			delete(r.all, shard)
		}
	}
}

// has tells whether one is here now.
func (r *residents[T]) has(shard tocsin.Shard) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, here := r.all[shard]
	return here
}

// ask puts a question to one of them, and ends it when that one leaves: what is
// asked of one that has left may wait for ever. Not here: another process, or
// nobody yet, answers for the shard.
func (r *residents[T]) ask(ctx context.Context, shard tocsin.Shard, question func(context.Context, T) error) (here bool, err error) {
	r.mu.Lock()
	at, here := r.all[shard]
	r.mu.Unlock()
	if !here {
		return false, nil
	}
	inner, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(at.here, end)()
	err = question(inner, at.one)
	return at.here.Err() == nil || err == nil, err
}

// each are all that are here now, by number.
func (r *residents[T]) each() (all []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, shard := range slices.Sorted(maps.Keys(r.all)) {
		all = append(all, r.all[shard].one)
	}
	return all
}

// await returns once so many are here, or ctx has ended.
func (r *residents[T]) await(ctx context.Context, n int) {
	for {
		r.mu.Lock()
		if len(r.all) >= n {
			r.mu.Unlock()
			return
		}
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
