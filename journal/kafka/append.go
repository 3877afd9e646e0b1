package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tocsin-push/tocsin/journal"
)

const (
	// batchBytes is the size of a batch of records at most, which a topic must
	// accept: one record of journal.MaxRecord, and some more.
	batchBytes = 1_000_012
	// overhead is what a record without an answer costs beside its data.
	overhead = 512
)

// errUnanswered: the records may have been appended, or still be.
var errUnanswered = errors.New("kafka: no answer in time")

// appended is one Append that waits for the answers to its records. All of it
// belongs to the client's one goroutine of answers until done is closed, but for
// given, which is under the partition's mutex.
type appended struct {
	p       *partition
	records []journal.Record
	left    int
	err     error
	over    bool // under p.mu: all answers are there
	given   bool // under p.mu: nobody waits any more
	done    chan struct{}
}

// Append hands its records to the one queue of their partition, whose order
// nothing changes: not an election, not a repetition, not the end of ctx. While
// records that were given up on are still in it, nothing is added.
func (j *Journal) Append(ctx context.Context, at journal.Partition, data ...[]byte) ([]journal.Position, error) {
	p, err := j.enter(ctx, at, data...)
	if err != nil {
		return nil, err
	}
	defer j.calls.RUnlock()
	if len(data) == 0 {
		return nil, nil
	}
	if err := j.space.refuse(at.Topic); err != nil {
		return nil, err
	}
	began := time.Now()
	ctx, stop := context.WithTimeout(ctx, j.config.Patience)
	defer stop()
	positions, err := j.append(ctx, p, data)
	if err != nil {
		j.metrics.failed.Inc()
		return nil, fmt.Errorf("kafka: append to %s: %w", at, err)
	}
	j.metrics.took.Observe(time.Since(began).Seconds())
	return positions, nil
}

func (j *Journal) append(ctx context.Context, p *partition, data [][]byte) ([]journal.Position, error) {
	if err := p.unblocked(ctx); err != nil {
		return nil, err
	}
	size := 0
	for _, d := range data {
		size += len(d)
	}
	weight := min(int64(size+overhead*len(data)), j.config.Buffer)
	if err := j.room.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	a := &appended{p: p, records: make([]journal.Record, len(data)), left: len(data), done: make(chan struct{})}
	kept := make([]byte, 0, size) // the caller may change its data before the answer comes
	records := make([]kgo.Record, len(data))
	for i, d := range data {
		kept = append(kept, d...)
		a.records[i].Data = kept[len(kept)-len(d) : len(kept) : len(kept)]
		records[i] = kgo.Record{Topic: p.topic, Partition: p.id, Value: a.records[i].Data}
	}
	for i := range records {
		// Not ctx: a record that is dropped after it was sent could still arrive,
		// after a later one.
		j.client.Produce(context.Background(), &records[i], func(r *kgo.Record, err error) {
			if a.answer(i, r, err) {
				j.room.Release(weight)
			}
		})
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		if p.abandon(a) {
			return nil, fmt.Errorf("%w: %w", errUnanswered, ctx.Err())
		}
		<-a.done
	}
	if a.err != nil {
		return nil, a.err
	}
	positions := make([]journal.Position, len(data))
	for i, r := range a.records {
		positions[i] = r.Position
	}
	return positions, nil
}

// answer takes the answer to record i, and tells whether it was the last.
func (a *appended) answer(i int, r *kgo.Record, err error) bool {
	if err == nil && r.Offset < 0 {
		err = errors.New("a broker accepted a record and did not say where it stands")
	}
	if err != nil && a.err == nil {
		a.err = err
	}
	if err == nil {
		a.records[i].Position = journal.Position(r.Offset) + 1
	}
	if a.left--; a.left > 0 {
		return false
	}
	if a.err == nil {
		a.p.own(a.records)
	}
	a.p.answered(a)
	close(a.done)
	return true
}

// own puts records of this process into the tail when they follow it, so that
// whoever appended them reads them back at once.
func (p *partition) own(records []journal.Record) {
	for len(records) > 0 {
		n := 1 // records of others may lie between those of one append
		for n < len(records) && records[n].Position == records[n-1].Position+1 {
			n++
		}
		p.took(records[:n]) // a gap is filled by what is read
		records = records[n:]
	}
}

// abandon gives up on an append; false when its answers have just come.
func (p *partition) abandon(a *appended) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.over {
		return false
	}
	a.given = true
	if p.abandoned++; p.abandoned == 1 {
		p.clear = make(chan struct{})
	}
	return true
}

func (p *partition) answered(a *appended) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.over = true
	if a.given {
		if p.abandoned--; p.abandoned == 0 {
			close(p.clear)
		}
	}
}

// unblocked returns nil when no append that was given up on is still without an
// answer, and waits a second for that.
func (p *partition) unblocked(ctx context.Context) error {
	p.mu.Lock()
	lost, blocked, clear := p.lost, p.abandoned > 0, p.clear
	p.mu.Unlock()
	if lost != nil || !blocked {
		return lost
	}
	enough := time.NewTimer(time.Second)
	defer enough.Stop()
	select {
	case <-clear:
		return nil
	case <-enough.C:
	case <-ctx.Done():
	}
	return errors.New("earlier records have no answer yet; nothing was appended")
}
