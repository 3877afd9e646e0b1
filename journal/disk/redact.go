package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tocsin-push/tocsin/journal"
)

// redactStep bounds the bytes of records that are read at once.
const redactStep = 4 << 20

// Redact rewrites in place what the records of a partition hold below a
// position, for whoever erases people: rewrite returns the new data of a record,
// or nil to leave it. Position and identity stay, so that readers take the old
// or the new for the same record. What stood there before goes with Purge.
func (j *Journal) Redact(ctx context.Context, at journal.Partition, below journal.Position, rewrite func(data []byte) []byte) error {
	from, err := j.First(ctx, at)
	for err == nil && from < below {
		var records []journal.Record
		if records, from, err = j.Read(ctx, at, from, redactStep); errors.Is(err, journal.ErrTrimmed) {
			from, err = j.First(ctx, at)
			continue
		}
		if err == nil {
			if len(records) == 0 {
				return nil
			}
			err = j.replace(ctx, at, records, below, rewrite)
		}
	}
	return err
}

// replace stores what rewrite makes of some records, those trimmed meanwhile
// excepted.
func (j *Journal) replace(ctx context.Context, at journal.Partition, records []journal.Record, below journal.Position, rewrite func([]byte) []byte) error {
	var changed []journal.Record
	for _, r := range records {
		if r.Position >= below {
			break
		}
		if data := rewrite(r.Data); data != nil && !bytes.Equal(data, r.Data) {
			changed = append(changed, journal.Record{Position: r.Position, Data: data})
		}
	}
	if len(changed) == 0 {
		return nil
	}
	p, err := j.enter(ctx, at)
	if err != nil {
		return err
	}
	defer j.calls.RUnlock()
	batch := j.folder.DB.NewBatch()
	if err = p.replace(j.folder.Apply, batch, changed); err == nil {
		err = j.folder.Wait(batch)
	}
	if err != nil {
		return fmt.Errorf("journal: redacting %s: %w", at, err)
	}
	return nil
}

func (p *partition) replace(apply func(*pebble.Batch) error, batch *pebble.Batch, changed []journal.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range changed {
		if r.Position < p.first {
			continue
		}
		if err := batch.Set(p.key(r.Position), r.Data, nil); err != nil {
			return err
		}
		if start := p.next - journal.Position(len(p.tail)); r.Position >= start {
			held := &p.tail[r.Position-start]
			p.size += len(r.Data) - len(held.Data)
			held.Data = r.Data
		}
	}
	return apply(batch)
}
