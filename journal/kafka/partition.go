package kafka

import (
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/journal"
)

// partition is what a process knows of one. It holds offsets, as Kafka counts.
type partition struct {
	at    journal.Partition
	topic string
	id    int32
	limit int // of size

	mu    sync.Mutex
	lost  error // why the partition cannot be used any more
	first int64 // every record below was trimmed
	known int64 // every record below was acknowledged, by what was seen
	epoch int32 // the highest of a leader that was heard of, for readers

	// The tail: while tailing the records of low <= offset < high are in records,
	// and new ones come in by themselves. high <= known.
	tailing   bool
	low, high int64
	records   []journal.Record
	size      int
	used      time.Time     // when somebody last read or waited
	fault     error         // why the tail ended, for those who wait
	wake      chan struct{} // nil while nobody waits; closed when a waiter must look again

	abandoned int           // appends that were given up on, without an answer yet
	clear     chan struct{} // closed when abandoned is 0 again
}

func (p *partition) signal() {
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}

// lose keeps the first reason, and tells whether this is it.
func (p *partition) lose(err error) (lost error, new bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost != nil {
		return p.lost, false
	}
	p.lost = err
	p.records, p.tailing, p.size = nil, false, 0
	p.signal()
	return err, true
}

// reach: every record below offset is durable.
func (p *partition) reach(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = max(p.known, offset)
}

// start begins the tail at the end of the log.
func (p *partition) start(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tailing || p.lost != nil {
		return
	}
	p.tailing, p.fault = true, nil
	p.low, p.high, p.records, p.size = end, end, nil, 0
	p.known = max(p.known, end)
	p.used = time.Now()
}

// stop ends the tail; who waits is told why.
func (p *partition) stop(fault error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tailing, p.fault = false, fault
	p.records, p.size = nil, 0
	p.signal()
}

// took adds records to the tail, in order and without a gap among them; those
// that are there already are passed over. It tells whether some are missing
// before them.
func (p *partition) took(records []journal.Record) (gap bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(records) == 0 {
		return false
	}
	end := int64(records[len(records)-1].Position)
	p.known = max(p.known, end)
	if !p.tailing || end <= p.high {
		return false
	}
	if int64(records[0].Position)-1 > p.high {
		return true
	}
	for _, r := range records {
		if int64(r.Position) > p.high {
			p.records = append(p.records, r)
			p.size += len(r.Data)
		}
	}
	p.high = end
	n := 0
	for n < len(p.records) && p.size > p.limit {
		p.size -= len(p.records[n].Data)
		p.records[n] = journal.Record{} // readers hold copies of the entries, not these
		n++
	}
	p.low += int64(n)
	p.records = p.records[n:]
	p.signal()
	return false
}

// trimmed: records below offset are gone.
func (p *partition) trimmed(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first = max(p.first, offset)
	for len(p.records) > 0 && p.low < offset {
		p.size -= len(p.records[0].Data)
		p.records = p.records[1:]
		p.low++
	}
	p.signal()
}

// read returns what the tail has from an offset on; there is false when it does
// not reach that far back, or not far enough ahead.
func (p *partition) read(from int64, limit int) (records []journal.Record, next int64, there bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
	switch {
	case p.lost != nil:
		return nil, 0, true, p.lost
	case from < p.first:
		return nil, 0, true, journal.ErrTrimmed
	case !p.tailing || from < p.low || from >= p.high && from != p.known:
		return nil, 0, false, nil
	}
	found, size := p.records[min(from, p.high)-p.low:], 0
	for i, r := range found {
		if size += len(r.Data); size > limit && i > 0 {
			return found[:i:i], from + int64(i), true, nil
		}
	}
	return found[:len(found):len(found)], from + int64(len(found)), true, nil
}

// wait tells what to wait for: nil when a read would tell more, and tailing
// false when the tail must begin first.
func (p *partition) wait(from int64) (wake <-chan struct{}, tailing bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
	if p.fault != nil {
		err, p.fault = p.fault, nil
		return nil, false, err
	}
	if p.lost != nil || from < p.first || from < p.known {
		return nil, true, nil
	}
	if !p.tailing {
		return nil, false, nil
	}
	if from > p.known {
		return nil, true, nil
	}
	if p.wake == nil {
		p.wake = make(chan struct{})
	}
	return p.wake, true, nil
}
