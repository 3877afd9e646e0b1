package mem

import (
	"context"
	"sort"
	"sync"

	"github.com/tocsin-push/tocsin/journal"
)

// Journal keeps every record until it is trimmed.
type Journal struct {
	mu         sync.Mutex
	partitions map[journal.Partition]*partition
	closed     bool
}

// partition holds records of positions first <= p < end, rising.
type partition struct {
	records []journal.Record
	first   journal.Position
	end     journal.Position
	wake    chan struct{} // nil while nobody waits; closed when a waiter must look again
}

var _ journal.Journal = (*Journal)(nil)

// New returns an empty journal.
func New() *Journal { return &Journal{partitions: make(map[journal.Partition]*partition)} }

// enter checks the call and returns the partition with the lock held; on an
// error the lock is not held.
func (j *Journal) enter(ctx context.Context, p journal.Partition, data ...[]byte) (*partition, error) {
	if err := journal.Check(p, data...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil, journal.ErrClosed
	}
	part := j.partitions[p]
	if part == nil {
		part = &partition{first: 1, end: 1}
		j.partitions[p] = part
	}
	return part, nil
}

func (p *partition) signal() {
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}

// from returns the records at or above a position.
func (p *partition) from(at journal.Position) []journal.Record {
	return p.records[sort.Search(len(p.records), func(i int) bool { return p.records[i].Position >= at }):]
}

func (j *Journal) Append(ctx context.Context, at journal.Partition, data ...[]byte) ([]journal.Position, error) {
	p, err := j.enter(ctx, at, data...)
	if err != nil || len(data) == 0 {
		if err == nil {
			j.mu.Unlock()
		}
		return nil, err
	}
	defer j.mu.Unlock()
	positions := make([]journal.Position, len(data))
	for i, d := range data {
		positions[i] = p.end
		p.records = append(p.records, journal.Record{Position: p.end, Data: append([]byte{}, d...)})
		p.end++
	}
	p.end++ // the gap: the next append does not follow this one directly
	p.signal()
	return positions, nil
}

func (j *Journal) First(ctx context.Context, at journal.Partition) (journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	return p.first, nil
}

func (j *Journal) End(ctx context.Context, at journal.Partition) (journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	return p.end, nil
}

func (j *Journal) Read(ctx context.Context, at journal.Partition, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return nil, 0, err
	}
	defer j.mu.Unlock()
	if p.trimmed(from) {
		return nil, 0, journal.ErrTrimmed
	}
	if from > p.end {
		return nil, 0, journal.ErrLost
	}
	found := p.from(from)
	size := 0
	for i, r := range found {
		if size += len(r.Data); size > limit && i > 0 {
			return found[:i:i], found[i].Position, nil
		}
	}
	return found[:len(found):len(found)], max(from, p.end), nil
}

// trimmed: a reader at from has missed records. Nothing was trimmed while first
// is still 1, and then 0 is as good.
func (p *partition) trimmed(from journal.Position) bool { return from < p.first && p.first > 1 }

func (j *Journal) Wait(ctx context.Context, at journal.Partition, from journal.Position) error {
	for {
		p, err := j.enter(ctx, at)
		if err != nil {
			return err
		}
		if p.trimmed(from) || from > p.end || len(p.from(from)) > 0 {
			j.mu.Unlock()
			return nil
		}
		if p.wake == nil {
			p.wake = make(chan struct{})
		}
		wake := p.wake
		j.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (j *Journal) Trim(ctx context.Context, at journal.Partition, before journal.Position) error {
	p, err := j.enter(ctx, at)
	if err != nil {
		return err
	}
	defer j.mu.Unlock()
	if before = min(before, p.end); before <= p.first {
		return nil
	}
	p.first = before
	// A copy, so that the trimmed records' memory goes.
	p.records = append([]journal.Record(nil), p.from(before)...)
	return nil
}

func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return journal.ErrClosed
	}
	j.closed = true
	for _, p := range j.partitions {
		p.signal()
	}
	return nil
}
