package fanout

import "sync"

// mailbox is a queue without a bound, so that nobody who posts ever waits: an
// owner and the lanes post to each other. Its length is bounded by what is
// under way: a window of claims a shard, a few asks a route.
type mailbox[T any] struct {
	mu     sync.Mutex
	items  []T
	arrive chan struct{} // holds a token while there are items
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{arrive: make(chan struct{}, 1)} }

func (b *mailbox[T]) post(items ...T) {
	if len(items) == 0 {
		return
	}
	b.mu.Lock()
	b.items = append(b.items, items...)
	b.mu.Unlock()
	select {
	case b.arrive <- struct{}{}:
	default:
	}
}

// take returns all there is and leaves spare in its place, to be filled.
func (b *mailbox[T]) take(spare []T) []T {
	clear(spare)
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = spare[:0]
	return items
}

// bench is a queue that several workers take from, one item at a time.
type bench struct {
	mu     sync.Mutex
	more   sync.Cond
	items  []func()
	closed bool
}

func newBench() *bench {
	b := new(bench)
	b.more.L = &b.mu
	return b
}

func (b *bench) post(work func()) {
	b.mu.Lock()
	b.items = append(b.items, work)
	b.mu.Unlock()
	b.more.Signal()
}

// close ends the workers once nothing is left.
func (b *bench) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.more.Broadcast()
}

func (b *bench) run() {
	for {
		b.mu.Lock()
		for len(b.items) == 0 && !b.closed {
			b.more.Wait()
		}
		if len(b.items) == 0 {
			b.mu.Unlock()
			return
		}
		work := b.items[0]
		b.items[0] = nil
		if b.items = b.items[1:]; len(b.items) == 0 {
			b.items = nil
		}
		b.mu.Unlock()
		work()
	}
}
