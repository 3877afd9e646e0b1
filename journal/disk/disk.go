package disk

import (
	"context"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/store/disk/folder"
)

// Journal is an open folder.
type Journal struct {
	tail   int
	folder *folder.Folder

	// Every call holds calls for reading, except while it waits in Wait. closed
	// is written under calls, and done is closed with it.
	calls  sync.RWMutex
	closed bool
	done   chan struct{}

	mu         sync.Mutex
	partitions map[journal.Partition]*partition
}

var _ journal.Journal = (*Journal)(nil)

// Open opens the journal in a folder, a new one too. Errors name the folder and
// the file that is damaged.
func Open(dir string, c Config) (*Journal, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f, err := folder.Open(dir, folder.Config{Passing: true, FS: c.FS, Memory: c.Memory, Reserve: c.Reserve, Now: c.Now, Log: c.Log, Stop: c.Stop})
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &Journal{tail: c.Tail, folder: f, done: make(chan struct{}), partitions: make(map[journal.Partition]*partition)}, nil
}

// enter checks the call and returns the partition, loaded. The caller leaves
// with j.calls.RUnlock; on an error it has left.
func (j *Journal) enter(ctx context.Context, at journal.Partition, data ...[]byte) (p *partition, err error) {
	if err := journal.Check(at, data...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j.calls.RLock()
	defer func() {
		if err != nil {
			j.calls.RUnlock()
		}
	}()
	if j.closed {
		return nil, journal.ErrClosed
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if p = j.partitions[at]; p == nil {
		if p, err = load(j.folder, at, j.tail); err != nil {
			return nil, fmt.Errorf("journal: partition %s: %w", at, j.folder.Explain(err))
		}
		j.partitions[at] = p
	}
	return p, nil
}

// Append returns once the records and all that were appended before them are
// synced. Appends that wait at the same moment share a sync.
func (j *Journal) Append(ctx context.Context, at journal.Partition, data ...[]byte) ([]journal.Position, error) {
	p, err := j.enter(ctx, at, data...)
	if err != nil {
		return nil, err
	}
	defer j.calls.RUnlock()
	if len(data) == 0 {
		return nil, nil
	}
	part := uint64(4)
	if at.Topic == journal.Changes {
		part = 1
	}
	if full, err := j.folder.Full(part); err != nil || full {
		if err == nil {
			err = journal.ErrFull
		}
		return nil, err
	}
	batch := j.folder.DB.NewBatch()
	positions, err := p.append(j.folder, batch, data)
	if err != nil {
		return nil, fmt.Errorf("journal: append to %s: %w", at, err)
	}
	if err := j.folder.Wait(batch); err != nil {
		return nil, fmt.Errorf("journal: append to %s: %w", at, err)
	}
	p.synced(positions[len(positions)-1] + 1)
	return positions, nil
}

func (j *Journal) First(ctx context.Context, at journal.Partition) (journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return 0, err
	}
	defer j.calls.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first, nil
}

func (j *Journal) End(ctx context.Context, at journal.Partition) (journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return 0, err
	}
	defer j.calls.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.durable, nil
}

func (j *Journal) Read(ctx context.Context, at journal.Partition, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return nil, 0, err
	}
	defer j.calls.RUnlock()
	records, next, err := p.read(j.folder.DB, from, limit)
	if err != nil && err != journal.ErrTrimmed {
		err = fmt.Errorf("journal: read of %s at %d: %w", at, from, j.folder.Explain(err))
	}
	return records, next, err
}

func (j *Journal) Wait(ctx context.Context, at journal.Partition, from journal.Position) error {
	for {
		p, err := j.enter(ctx, at)
		if err != nil {
			return err
		}
		wake := p.wait(from)
		j.calls.RUnlock()
		if wake == nil {
			return nil
		}
		select {
		case <-wake:
		case <-j.done:
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
	defer j.calls.RUnlock()
	var batch *pebble.Batch
	if batch, err = p.trim(j.folder, before); batch != nil && err == nil {
		err = j.folder.Wait(batch)
	}
	if err != nil {
		return fmt.Errorf("journal: trim of %s: %w", at, err)
	}
	return nil
}

// Full is an error while nothing new may be begun. Append refuses changes from
// there on, and all else when a quarter of the reserve is left: the topic sends
// also holds what ends or slows a send, which has to come through.
func (j *Journal) Full() error {
	full, err := j.folder.Full(1)
	if err == nil && full {
		err = journal.ErrFull
	}
	return err
}

// Purge takes what was trimmed before the call off the disk.
func (j *Journal) Purge(ctx context.Context) error {
	j.calls.RLock()
	defer j.calls.RUnlock()
	if j.closed {
		return journal.ErrClosed
	}
	return j.folder.Purge(ctx)
}

// Damaged is an error that names a damaged file, nil while none was found.
func (j *Journal) Damaged() error { return j.folder.Damaged() }

func (j *Journal) Close() error {
	j.calls.Lock()
	defer j.calls.Unlock()
	if j.closed {
		return journal.ErrClosed
	}
	j.closed = true
	close(j.done)
	if err := j.folder.Close(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
