package api

import (
	"context"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// appender writes to one partition. Records that wait while an append is
// under way go together in the next one; appends never overlap, as the
// identities of a record.Writer demand.
type appender struct {
	journal   journal.Journal
	partition journal.Partition
	writer    *record.Writer
	tasks     *sync.WaitGroup

	mu      sync.Mutex
	waiting []*appending
	running bool
}

type appending struct {
	data []byte
	done chan error
}

// group bounds the bytes of one append.
const group = 4 << 20

// append stamps and writes one record, and returns once it is durable. When
// ctx ends first the record may still be written. Who finds no append under way
// makes it himself, and stays until it has ended.
func (a *appender) append(ctx context.Context, e *record.Envelope, at time.Time, s record.Scope) error {
	a.mu.Lock()
	data := record.Encode(a.writer.Next(e, at, s))
	if a.running {
		mine := a.push(ctx, data)
		a.mu.Unlock()
		return mine.wait(ctx)
	}
	a.running = true
	a.mu.Unlock()
	_, err := a.journal.Append(context.WithoutCancel(ctx), a.partition, data)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running = len(a.waiting) > 0; a.running {
		a.tasks.Go(func() { a.run(context.WithoutCancel(ctx)) })
	}
	return err
}

// enqueue is append without waiting: records are written in the order in which
// they are enqueued.
func (a *appender) enqueue(ctx context.Context, e *record.Envelope, at time.Time, s record.Scope) *appending {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.push(ctx, record.Encode(a.writer.Next(e, at, s)))
}

// enqueueChanges is enqueue for changes that are encoded already.
func (a *appender) enqueueChanges(ctx context.Context, changes []byte, at time.Time, s record.Scope) *appending {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.push(ctx, record.EncodeChanges(a.writer.Next(new(record.Envelope), at, s), changes))
}

func (a *appender) push(ctx context.Context, data []byte) *appending {
	mine := &appending{data: data, done: make(chan error, 1)}
	if len(data) > journal.MaxRecord {
		mine.done <- journal.ErrTooLarge
		return mine
	}
	a.waiting = append(a.waiting, mine)
	if !a.running {
		a.running = true
		a.tasks.Go(func() { a.run(context.WithoutCancel(ctx)) })
	}
	return mine
}

// wait returns once the record is durable.
func (w *appending) wait(ctx context.Context) error {
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run appends until nothing waits.
func (a *appender) run(ctx context.Context) {
	for {
		a.mu.Lock()
		n, size := 0, 0
		for n < len(a.waiting) && (n == 0 || size+len(a.waiting[n].data) <= group) {
			size += len(a.waiting[n].data)
			n++
		}
		if n == 0 {
			a.running = false
			a.waiting = nil
			a.mu.Unlock()
			return
		}
		now := a.waiting[:n:n]
		a.waiting = a.waiting[n:]
		a.mu.Unlock()

		data := make([][]byte, n)
		for i, w := range now {
			data[i] = w.data
		}
		_, err := a.journal.Append(ctx, a.partition, data...)
		for _, w := range now {
			w.done <- err
		}
	}
}
