package index

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
)

// Moment is held by all that is frozen together. Chunks that it holds are copied
// before they change, until it is over.
type Moment struct{ over atomic.Bool }

// End lets the writer change in place what was frozen: nobody reads the parts
// any more. It may be called by anybody.
func (m *Moment) End() { m.over.Store(true) }

// Over reports whether it has ended. A nil Moment has.
func (m *Moment) Over() bool { return m == nil || m.over.Load() }

// Stream is some state at one moment, as a list of parts that a snapshot stores
// one by one. Streams of one owner have different names, and one that has no
// parts is as none.
type Stream struct {
	Name  string
	Parts []Part
}

// Part is bytes that stay as they are until their moment is over. It is best
// that they are at most about a megabyte. Who freezes the same bytes again does
// it with the same Sum, so that nobody looks at them again.
type Part struct {
	*Sum
	content []byte
	write   func(*Encoder) // makes the content when it is asked for; nil when it is there
}

// PartOf is a part of these bytes.
func PartOf(content []byte) Part { return Part{Sum: new(Sum), content: content} }

// Content returns the bytes of the part.
func (p *Part) Content() []byte {
	if p.write != nil {
		p.content, p.write = encoded(p.write), nil
	}
	return p.content
}

// Sum is the first half of the SHA-256 of a part. A part that a snapshot holds
// already is known by it, so it must be beyond accident and beyond guile.
type Sum struct {
	known bool
	sum   [16]byte
}

// KnownSum is one that was found before.
func KnownSum(sum [16]byte) *Sum { return &Sum{known: true, sum: sum} }

// ID returns the sum of the part. It is for one at a time.
func (p *Part) ID() [16]byte {
	if !p.known {
		whole := sha256.Sum256(p.Content())
		p.known, p.sum = true, [16]byte(whole[:])
	}
	return p.sum
}

// Whole is a stream of one part that is written out anew each time: for what is
// small. The snapshot finds out by itself whether it is what it was.
func Whole(name string, write func(*Encoder)) Stream {
	return Stream{Name: name, Parts: []Part{PartOf(encoded(write))}}
}

// Later is Whole for what is large: write is called when the snapshot is made,
// without a lock, and so must hold a copy of its own of what it writes.
func Later(name string, write func(*Encoder)) Stream {
	return Stream{Name: name, Parts: []Part{{Sum: new(Sum), write: write}}}
}

func encoded(write func(*Encoder)) []byte {
	var content bytes.Buffer
	e := NewEncoder(&content)
	write(e)
	if err := e.Flush(); err != nil {
		panic(err) // a buffer takes all
	}
	return content.Bytes()
}

// Saved is the streams of one owner, as a snapshot holds them. After the first
// error it reads zero values; the error is that of Err.
type Saved struct {
	lengths func(stream string) []int
	read    func(stream string, part int, into []byte) (*Sum, error)
	err     error
}

// NewSaved tells where parts are read: their lengths, and their content, which
// the function verifies.
func NewSaved(lengths func(stream string) []int, read func(stream string, part int, into []byte) (*Sum, error)) *Saved {
	return &Saved{lengths: lengths, read: read}
}

// SavedOf reads streams from memory.
func SavedOf(streams []Stream) *Saved {
	named := make(map[string][]Part, len(streams))
	for _, s := range streams {
		named[s.Name] = s.Parts
	}
	return NewSaved(func(stream string) (lengths []int) {
		for i := range named[stream] {
			lengths = append(lengths, len(named[stream][i].Content()))
		}
		return lengths
	}, func(stream string, part int, into []byte) (*Sum, error) {
		p := &named[stream][part]
		copy(into, p.Content())
		return p.Sum, nil
	})
}

// Parts returns the lengths of a stream's parts; none when it was not saved.
func (s *Saved) Parts(name string) []int { return s.lengths(name) }

// Read fills into, which has the length of the part, and returns its sum.
func (s *Saved) Read(name string, part int, into []byte) (sum *Sum) {
	if s.err == nil {
		sum, s.err = s.read(name, part, into)
	}
	return sum
}

// Whole hands what Whole wrote to read, nothing when there is none. All of it
// must be read.
func (s *Saved) Whole(name string, read func(*Decoder)) {
	s.Each(name, func(_ *Sum, d *Decoder) { read(d) })
}

// Each hands every part of a stream that was written by an Encoder to read. All
// of it must be read.
func (s *Saved) Each(name string, read func(*Sum, *Decoder)) {
	for i, length := range s.lengths(name) {
		content := make([]byte, length)
		sum := s.Read(name, i, content)
		if s.err != nil {
			return
		}
		d := NewDecoder(bytes.NewReader(content))
		read(sum, d)
		if _, err := d.in.ReadByte(); err == nil {
			d.Fail("%.60q holds more than was read", name)
		}
		if s.err == nil {
			s.err = d.err
		}
	}
}

// Fail records an error of the reader's own, about what it read.
func (s *Saved) Fail(format string, arguments ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s", errSnapshot, fmt.Sprintf(format, arguments...))
	}
}

// Err is the first error.
func (s *Saved) Err() error { return s.err }
