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

// Ledger holds the records of all connections. Each connection appends to
// chunks of its own, so that pushes share no lock.
type Ledger struct {
	mu     sync.Mutex
	shares []*share
}

// share is what one connection wrote. Its connection alone appends; anybody
// may read what count has published.
type share struct {
	mu     sync.Mutex // guards the slice, not the records
	chunks []*chunk
	last   *chunk // of the connection alone
}

type chunk struct {
	from    atomic.Int32 // records before it were forgotten
	count   atomic.Int32
	records [2048]Record
}

func (l *Ledger) share() *share {
	s := &share{}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares = append(l.shares, s)
	return s
}

// next returns the record to fill; publish makes it readable.
func (s *share) next() *Record {
	if s.last == nil || int(s.last.count.Load()) == len(s.last.records) {
		s.last = new(chunk)
		s.mu.Lock()
		s.chunks = append(s.chunks, s.last)
		s.mu.Unlock()
	}
	return &s.last.records[s.last.count.Load()]
}

func (s *share) publish() { s.last.count.Add(1) }

// Each hands every record to f, each connection's in order. The record must
// not be changed.
func (l *Ledger) Each(f func(*Record)) {
	l.mu.Lock()
	shares := l.shares[:len(l.shares):len(l.shares)]
	l.mu.Unlock()
	for _, s := range shares {
		s.mu.Lock()
		chunks := s.chunks[:len(s.chunks):len(s.chunks)]
		s.mu.Unlock()
		for _, c := range chunks {
			for i, n := c.from.Load(), c.count.Load(); i < n; i++ {
				f(&c.records[i])
			}
		}
	}
}

// Reset forgets every record so far.
func (l *Ledger) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.shares {
		s.mu.Lock()
		for _, c := range s.chunks {
			c.from.Store(c.count.Load())
		}
		if n := len(s.chunks); n > 0 {
			s.chunks = append([]*chunk(nil), s.chunks[n-1])
		}
		s.mu.Unlock()
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
