package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/store/disk/folder"
)

// partition knows where its records begin and end. Positions are consecutive:
// first <= durable <= next, and records of first <= p < durable may be read.
type partition struct {
	at journal.Partition

	// mu is held while a batch is applied, so that the log holds the records in
	// the order of their positions: when one is synced, all before it are.
	mu      sync.Mutex
	first   journal.Position // kept in the row of firstKey
	durable journal.Position
	next    journal.Position
	tail    []journal.Record // the last ones, up to next - 1
	size    int              // bytes of the tail
	limit   int              // of size
	wake    chan struct{}    // nil while nobody waits; closed when a waiter must look again
}

// Rows: 'r' topic 0 shard position -> record, and 'f' topic 0 shard -> first.

func (p *partition) prefix(kind byte, room int) []byte {
	key := make([]byte, 0, 2+len(p.at.Topic)+2+room)
	key = append(append(append(key, kind), p.at.Topic...), 0)
	return binary.BigEndian.AppendUint16(key, uint16(p.at.Shard))
}

func (p *partition) key(at journal.Position) []byte {
	return binary.BigEndian.AppendUint64(p.prefix('r', 8), uint64(at))
}

func (p *partition) firstKey() []byte { return p.prefix('f', 0) }

// load finds the ends of a partition after a start. What is in the database
// then is durable: opening it flushed the log.
func load(f *folder.Folder, at journal.Partition, limit int) (*partition, error) {
	p := &partition{at: at, first: 1, limit: limit}
	value, closer, err := f.DB.Get(p.firstKey())
	switch {
	case err == nil:
		if len(value) != 8 {
			return nil, fmt.Errorf("the first position has %d bytes", len(value))
		}
		p.first = journal.Position(binary.BigEndian.Uint64(value))
		if err := closer.Close(); err != nil {
			return nil, err
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return nil, err
	}
	p.next = p.first
	rows, err := f.DB.NewIter(&pebble.IterOptions{LowerBound: p.key(p.first), UpperBound: p.key(1<<64 - 1)})
	if err != nil {
		return nil, err
	}
	if rows.Last() {
		p.next = position(rows.Key()) + 1
	}
	p.durable = p.next
	return p, errors.Join(rows.Error(), rows.Close())
}

func position(key []byte) journal.Position {
	return journal.Position(binary.BigEndian.Uint64(key[len(key)-8:]))
}

// append gives positions and applies the batch; the caller waits for the sync.
func (p *partition) append(f *folder.Folder, batch *pebble.Batch, data [][]byte) ([]journal.Position, error) {
	size := 0
	for _, d := range data {
		size += len(d)
	}
	kept := make([]byte, 0, size) // one piece for all: the tail's and the readers'
	positions := make([]journal.Position, len(data))

	p.mu.Lock()
	defer p.mu.Unlock()
	for i, d := range data {
		positions[i] = p.next + journal.Position(i)
		if err := batch.Set(p.key(positions[i]), d, nil); err != nil {
			return nil, err
		}
	}
	if err := f.Apply(batch); err != nil {
		return nil, err
	}
	for i, d := range data {
		kept = append(kept, d...)
		p.tail = append(p.tail, journal.Record{Position: positions[i], Data: kept[len(kept)-len(d) : len(kept) : len(kept)]})
	}
	p.next += journal.Position(len(data))
	p.size += size
	return positions, nil
}

// shorten drops the oldest records of a tail that is too large. Those that are
// not durable yet stay: a reader that has caught up finds them here.
func (p *partition) shorten() {
	n := 0
	for n < len(p.tail) && p.size > p.limit && p.tail[n].Position < p.durable {
		p.size -= len(p.tail[n].Data)
		p.tail[n] = journal.Record{} // readers hold copies of the entries, not these
		n++
	}
	p.tail = p.tail[n:]
}

// synced: everything below end is durable.
func (p *partition) synced(end journal.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if end > p.durable {
		p.durable = end
		p.shorten()
		p.signal()
	}
}

func (p *partition) signal() {
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}

// trimmed: a reader at from has missed records. Nothing was trimmed while first
// is still 1, and then 0 is as good.
func (p *partition) trimmed(from journal.Position) bool { return from < p.first && p.first > 1 }

// wait returns nil when there is something to read, else what to wait for.
func (p *partition) wait(from journal.Position) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trimmed(from) || from > p.durable || from < p.durable && p.first < p.durable {
		return nil
	}
	if p.wake == nil {
		p.wake = make(chan struct{})
	}
	return p.wake
}

func (p *partition) read(db *pebble.DB, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	p.mu.Lock()
	if p.trimmed(from) {
		p.mu.Unlock()
		return nil, 0, journal.ErrTrimmed
	}
	if from > p.durable {
		defer p.mu.Unlock()
		return nil, 0, fmt.Errorf("%w: the log ends at %d", journal.ErrLost, p.durable)
	}
	from = max(from, p.first)
	if start := p.next - journal.Position(len(p.tail)); from >= start {
		defer p.mu.Unlock()
		if from >= p.durable {
			return nil, from, nil
		}
		var records []journal.Record
		for size, i := 0, from; i < p.durable; i++ {
			r := p.tail[i-start]
			if size += len(r.Data); size > limit && len(records) > 0 {
				return records, i, nil
			}
			records = append(records, r)
		}
		return records, p.durable, nil
	}
	end := p.durable
	// Made under the lock, so that a trim cannot come between.
	rows, err := db.NewIter(&pebble.IterOptions{LowerBound: p.key(from), UpperBound: p.key(end)})
	p.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	records, next, err := scan(rows, from, end, limit)
	return records, next, errors.Join(err, rows.Close())
}

// scan reads rows that must be there, one after the other.
func scan(rows *pebble.Iterator, from, end journal.Position, limit int) (records []journal.Record, next journal.Position, err error) {
	size := 0
	for ok := rows.First(); ok && from < end; ok = rows.Next() {
		if at := position(rows.Key()); at != from {
			return nil, 0, fmt.Errorf("the disk lost the records %d to %d", from, at-1)
		}
		value, err := rows.ValueAndErr()
		if err != nil {
			return nil, 0, err
		}
		if size += len(value); size > limit && len(records) > 0 {
			return records, from, rows.Error()
		}
		records = append(records, journal.Record{Position: from, Data: append([]byte{}, value...)})
		from++
	}
	if err := rows.Error(); err != nil {
		return nil, 0, err
	}
	if from < end {
		return nil, 0, fmt.Errorf("the disk lost the records %d to %d", from, end-1)
	}
	return records, from, nil
}

// trim applies the batch, if there is anything to trim; the caller waits for
// the sync. It is not refused on a full disk: it makes room.
func (p *partition) trim(f *folder.Folder, before journal.Position) (*pebble.Batch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before = min(before, p.durable); before <= p.first {
		return nil, nil
	}
	batch := f.DB.NewBatch()
	err := errors.Join(
		batch.DeleteRange(p.key(p.first), p.key(before), nil),
		batch.Set(p.firstKey(), binary.BigEndian.AppendUint64(nil, uint64(before)), nil))
	if err == nil {
		err = f.Apply(batch)
	}
	if err != nil {
		return nil, err
	}
	for len(p.tail) > 0 && p.tail[0].Position < before {
		p.size -= len(p.tail[0].Data)
		p.tail = p.tail[1:]
	}
	p.first = before // nobody to wake: who waits, waits at durable or above
	return batch, nil
}
