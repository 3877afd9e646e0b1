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

// workQueue is a queue that several workers take from, one item at a time.
type workQueue struct {
	mu     sync.Mutex
	more   sync.Cond
	items  []func()
	closed bool
}

func newWorkQueue() *workQueue {
	q := new(workQueue)
	q.more.L = &q.mu
	return q
}

func (q *workQueue) post(work func()) {
	q.mu.Lock()
	q.items = append(q.items, work)
	q.mu.Unlock()
	q.more.Signal()
}

// close ends the workers once nothing is left.
func (q *workQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Broadcast()
}

func (q *workQueue) run() {
	for {
		q.mu.Lock()
		for len(q.items) == 0 && !q.closed {
			q.more.Wait()
		}
		if len(q.items) == 0 {
			q.mu.Unlock()
			return
		}
		work := q.items[0]
		q.items[0] = nil
		if q.items = q.items[1:]; len(q.items) == 0 {
			q.items = nil
		}
		q.mu.Unlock()
		work()
	}
}
