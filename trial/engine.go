package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

type logKey = journal.Partition

// log is one partition, with what readers decoded and who follows it.
type log struct {
	key     logKey
	name    string
	kept    []journal.Entry // decoded from the bytes; never trimmed: the oracle's copy of every durable record
	grew    time.Time       // when the last of them became durable
	readers []*reader
}

func (w *World) log(topic journal.Topic, shard tocsin.Shard) *log {
	key := logKey{Topic: topic, Shard: shard}
	l := w.logs[key]
	if l == nil {
		l = &log{key: key, name: key.String()}
		w.logs[key] = l
	}
	return l
}

// apply makes records durable and wakes the readers.
func (w *World) apply(l *log, data [][]byte) {
	if len(data) == 0 {
		return
	}
	positions, err := w.journal.Append(context.Background(), l.key, data...)
	if err != nil {
		panic(err)
	}
	for i, d := range data {
		e, err := record.Decode(d)
		if err != nil {
			panic(err)
		}
		w.noted(l, uint64(positions[i]), d, e)
	}
	for _, r := range l.readers {
		r.poke()
	}
}

// keep makes a record durable that was decoded before.
func (w *World) keep(l *log, data []byte, e *record.Envelope) {
	positions, err := w.journal.Append(context.Background(), l.key, data)
	if err != nil {
		panic(err)
	}
	w.noted(l, uint64(positions[0]), data, e)
}

// noted takes down a durable record for the readers and for the oracle.
func (w *World) noted(l *log, position uint64, data []byte, e *record.Envelope) {
	w.mark(l.name, data)
	l.kept = append(l.kept, journal.Entry{Position: position, Envelope: e})
	l.grew = w.now
	w.durable(l, position, e)
}

// append adds records on behalf of a process, with the faults of an engine.
// done comes once, unless the process ends first.
func (p *process) append(l *log, records []*record.Envelope, done func(ok bool)) {
	w := p.w
	data := make([][]byte, len(records))
	for i, e := range records {
		data[i] = record.Encode(e)
	}
	answer := func(d time.Duration, ok bool) {
		p.after(d, "appended", func() { done(ok) })
	}
	reach := w.between(time.Millisecond, 8*time.Millisecond)
	back := w.between(0, 4*time.Millisecond)
	switch w.engineFault(appendLost, appendLate, appendRepeated, appendUnanswered, appendTorn) {
	case appendLost:
		answer(reach+back, false)
	case appendLate:
		answer(reach+back, false)
		w.after(w.between(20*time.Millisecond, 4*time.Second), "late", func() { w.apply(l, data) })
	case appendRepeated:
		w.after(reach, "durable", func() { w.apply(l, data) })
		w.after(reach+w.between(0, 2*time.Second), "repeated", func() { w.apply(l, data) })
		answer(reach+back, true)
	case appendUnanswered:
		w.after(reach, "durable", func() { w.apply(l, data) })
		answer(reach+back, false)
	case appendTorn:
		cut := w.random.IntN(len(data))
		w.after(reach, "durable", func() { w.apply(l, data[:cut]) })
		answer(reach+back, false)
	default:
		// Until it is durable a crash may lose it, or a part of it.
		f := &flight{log: l, data: data}
		p.flights = append(p.flights, f)
		w.after(reach, "durable", func() {
			if !f.ended {
				f.ended = true
				w.apply(l, f.data)
			}
		})
		answer(reach+back, true)
	}
}

// flight is an append on its way to the disk.
type flight struct {
	log   *log
	data  [][]byte
	ended bool
}

// tear decides at a crash what of the appends under way is on the disk.
func (p *process) tear() {
	for _, f := range p.flights {
		if f.ended {
			continue
		}
		f.ended = true
		if cut := p.w.random.IntN(len(f.data) + 1); cut < len(f.data) {
			p.w.reach(tornTail)
			p.w.apply(f.log, f.data[:cut])
		} else {
			p.w.apply(f.log, f.data)
		}
	}
	p.flights = nil
}

// end is the end of a log as of now.
func (w *World) endOf(l *log) uint64 {
	end, err := w.journal.End(context.Background(), l.key)
	if err != nil {
		panic(err)
	}
	return uint64(end)
}

// reader follows a log for a process.
type reader struct {
	p       *process
	log     *log
	next    journal.Position
	pending bool
	stopped bool
	lag     time.Time     // nothing is read before it
	pause   time.Duration // at most, between a record and its reading
	take    func(records []journal.Entry, next uint64)
	trimmed func()
}

// follow reads a log from a position on, for as long as the process lives.
func (p *process) follow(l *log, from uint64, take func([]journal.Entry, uint64), trimmed func()) *reader {
	r := &reader{p: p, log: l, next: journal.Position(from), pause: 3 * time.Millisecond, take: take, trimmed: trimmed}
	kept := l.readers[:0]
	for _, old := range l.readers {
		if !old.stopped {
			kept = append(kept, old)
		}
	}
	l.readers = append(kept, r)
	r.poke()
	return r
}

// lazily lets a reader fall behind further than an owner does.
func (r *reader) lazily() *reader {
	r.pause = 30 * time.Millisecond
	return r
}

func (r *reader) poke() {
	if r.pending || r.stopped {
		return
	}
	r.pending = true
	delay := r.p.w.between(0, r.pause)
	r.p.after(max(delay, r.lag.Sub(r.p.w.now)), "read", r.read)
}

func (r *reader) read() {
	r.pending = false
	if r.stopped {
		return
	}
	records, next, err := r.p.w.journal.Read(context.Background(), r.log.key, r.next, 1<<20)
	if errors.Is(err, journal.ErrTrimmed) {
		r.stopped = true
		r.trimmed()
		return
	}
	if err != nil {
		panic(err)
	}
	r.next = next
	if len(records) == 0 {
		return
	}
	r.take(r.log.between(uint64(records[0].Position), uint64(next)), uint64(next))
}

// between are the durable records of positions from <= p < to.
func (l *log) between(from, to uint64) []journal.Entry {
	low, high := l.index(from), l.index(to)
	return l.kept[low:high:high]
}

func (l *log) index(position uint64) int {
	low, high := 0, len(l.kept)
	for low < high {
		if m := (low + high) / 2; l.kept[m].Position < position {
			low = m + 1
		} else {
			high = m
		}
	}
	return low
}

// write stores batches one after the other on behalf of a process, with the
// faults of an engine. done comes once, unless the process ends first: then
// any number of the first batches is stored.
func (p *process) write(batches []store.Batch, done func(ok bool)) {
	w := p.w
	fault := w.engineFault(storeLost, storeUnanswered)
	cut := len(batches)
	if fault == storeLost {
		cut = w.random.IntN(len(batches) + 1)
	}
	var at time.Duration
	inc := p.incarnation
	for _, b := range batches[:cut] {
		at += w.between(0, 3*time.Millisecond)
		w.after(at, "stored", func() {
			if p.incarnation != inc { // it crashed before this one
				return
			}
			if err := w.store.Write(context.Background(), b.Place, b.Writes...); err != nil {
				panic(err)
			}
		})
	}
	p.after(at+w.between(0, 3*time.Millisecond), "saved", func() { done(fault == 0) })
}

func (w *World) scan(at store.Place) []store.Row {
	return w.scanRange(at, "", "")
}

// scanRange reads the rows from one key to below another.
func (w *World) scanRange(at store.Place, from, to string) []store.Row {
	const most = 10_000 // of one place in a history
	rows, err := w.store.Scan(context.Background(), at, from, to, most)
	if err != nil || len(rows) == most {
		panic(fmt.Sprint(len(rows), " rows, ", err))
	}
	return rows
}
