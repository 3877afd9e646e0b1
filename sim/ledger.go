package sim

import (
	"bufio"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Record is one push that a simulated provider received, whatever became of it.
type Record struct {
	At       int64  // Unix nanoseconds: when the bytes were read from the socket
	Token    uint64 // Hash of the device token, registration token or endpoint path
	Send     uint64 // Hash of the collapse id, notification tag or topic; of "" without one
	ID       [16]byte
	Status   uint16 // as decided; 0: not processed at all
	Attempt  uint8  // times this (token, send) was seen; 0: not counted, no fault was drawn
	Provider tocsin.Provider
	Fault    Fault
}

// Accepted reports whether the provider took the push, told or not.
func (r *Record) Accepted() bool { return r.Status/100 == 2 }

// RecordSize is the length of the binary form of a Record.
const RecordSize = 48

// AppendBinary appends the little-endian binary form.
func (r *Record) AppendBinary(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, uint64(r.At))
	b = binary.LittleEndian.AppendUint64(b, r.Token)
	b = binary.LittleEndian.AppendUint64(b, r.Send)
	b = append(b, r.ID[:]...)
	b = binary.LittleEndian.AppendUint16(b, r.Status)
	return append(b, r.Attempt, byte(r.Provider), byte(r.Fault), 0, 0, 0), nil
}

// ReadRecords hands every record of a binary stream to f.
func ReadRecords(stream io.Reader, f func(*Record)) error {
	in := bufio.NewReaderSize(stream, 1<<16)
	var b [RecordSize]byte
	for {
		if _, err := io.ReadFull(in, b[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		f(&Record{At: int64(binary.LittleEndian.Uint64(b[:])), Token: binary.LittleEndian.Uint64(b[8:]),
			Send: binary.LittleEndian.Uint64(b[16:]), ID: [16]byte(b[24:40]), Status: binary.LittleEndian.Uint16(b[40:]),
			Attempt: b[42], Provider: tocsin.Provider(b[43]), Fault: Fault(b[44])})
	}
}

// Ledger holds the records of all connections. A connection appends to a chunk
// that is its own meanwhile, so that pushes share no lock.
type Ledger struct {
	mu      sync.Mutex
	chunks  []*chunk // that hold records, in the order of their first use
	open    []*chunk // of those, the ones whose connection ended before they were full
	free    []*chunk // used again: memory that was touched before costs less
	readers int      // that may still look into chunks
}

type chunk struct {
	from    atomic.Int32 // records before it were forgotten
	count   atomic.Int32 // records that may be read
	held    bool         // by a connection; guarded by Ledger.mu
	records [1024]Record
}

// writer is the connection's end of the ledger, used by its reader alone.
type writer struct {
	ledger *Ledger
	chunk  *chunk
	used   int // records of chunk that were given out
}

// next returns the record to fill; publish makes it readable.
func (w *writer) next() *Record {
	if w.chunk == nil || w.used == len(w.chunk.records) {
		w.end()
		w.chunk = w.ledger.take()
		w.used = int(w.chunk.count.Load())
	}
	w.used++
	return &w.chunk.records[w.used-1]
}

func (w *writer) publish() {
	if w.chunk != nil {
		w.chunk.count.Store(int32(w.used))
	}
}

// end publishes and gives the chunk back.
func (w *writer) end() {
	if w.chunk != nil {
		w.publish()
		w.ledger.leave(w.chunk)
		w.chunk = nil
	}
}

func (l *Ledger) take() *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	var c *chunk
	if n := len(l.open); n > 0 {
		c, l.open = l.open[n-1], l.open[:n-1]
	} else {
		if n := len(l.free); n > 0 {
			c, l.free = l.free[n-1], l.free[:n-1]
		} else {
			c = new(chunk)
		}
		l.chunks = append(l.chunks, c)
	}
	c.held = true
	return c
}

func (l *Ledger) leave(c *chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.held = false; int(c.count.Load()) < len(c.records) {
		l.open = append(l.open, c)
	}
}

// Each hands every record to f, in no order. The record must not be changed.
func (l *Ledger) Each(f func(*Record)) {
	l.mu.Lock()
	chunks := l.chunks[:len(l.chunks):len(l.chunks)]
	l.readers++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.readers--
	}()
	for _, c := range chunks {
		for i, n := c.from.Load(), c.count.Load(); i < n; i++ {
			f(&c.records[i])
		}
	}
}

// Reset forgets every record so far.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.chunks
	l.chunks, l.open = nil, nil
	for _, c := range all {
		switch {
		case c.held:
			c.from.Store(c.count.Load())
			l.chunks = append(l.chunks, c)
		case l.readers == 0:
			c.from.Store(0)
			c.count.Store(0)
			l.free = append(l.free, c)
		}
	}
}

// Account sums up one send, or everything, as one provider saw it.
type Account struct {
	Answers  map[string]int `json:"answers"`  // by status; "none" where no answer was given
	Received int            `json:"received"` // records
	Accepted int            `json:"accepted"` // records with a 2xx, answered or not
	Distinct int            `json:"distinct"` // tokens accepted at least once
	Repeated int            `json:"repeated"` // tokens accepted more than once
	First    *time.Time     `json:"first,omitempty"`
	Last     *time.Time     `json:"last,omitempty"`
	Tokens   []uint64       `json:"-"` // hashes accepted, sorted, with repetitions
}
