package record

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
)

// The fast encoder and decoder of vtprotobuf stand beside the library's own code:
// every record is encoded once and decoded by several readers.
//
//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size record.proto

// Level is the highest format level that this build reads and the one at which
// it writes.
const Level = 1

var (
	// ErrNewer: the record needs a newer build.
	ErrNewer = errors.New("record: written by a newer build")
	// ErrDamaged: the bytes are not a record.
	ErrDamaged = errors.New("record: damaged")
)

// Kind names the body of an envelope, "" when it has none that is known.
func Kind(e *Envelope) string {
	switch e.Body.(type) {
	case *Envelope_Send:
		return "send"
	case *Envelope_Cancel:
		return "cancel"
	case *Envelope_Slice:
		return "slice"
	case *Envelope_Take:
		return "take"
	case *Envelope_Open:
		return "open"
	case *Envelope_Claim:
		return "claim"
	case *Envelope_Settle:
		return "settle"
	case *Envelope_Close:
		return "close"
	case *Envelope_Changes:
		return "changes"
	case *Envelope_Recycle:
		return "recycle"
	case *Envelope_Steer:
		return "steer"
	case *Envelope_Erase:
		return "erase"
	}
	return ""
}

// Encode fills in level and kind and returns the bytes.
func Encode(e *Envelope) []byte {
	e.Level, e.Kind = Level, Kind(e)
	if e.Kind == "" || e.Writer == 0 || e.Number == 0 {
		panic("record: envelope without a body or an identity")
	}
	data, err := e.MarshalVT()
	if err != nil { // it has no reason to
		panic(fmt.Sprintf("record: %v", err))
	}
	return data
}

// EncodeChanges is Encode for a body of Changes that is encoded already: whoever
// writes very many changes encodes them by hand.
func EncodeChanges(e *Envelope, changes []byte) []byte {
	const field = 24 // Envelope.changes
	e.Level, e.Kind = Level, "changes"
	if e.Body != nil || e.Writer == 0 || e.Number == 0 {
		panic("record: envelope with a body, or without an identity")
	}
	data, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 0, len(changes)+128), e)
	if err != nil { // only invalid UTF-8, and the kind is ours
		panic(fmt.Sprintf("record: %v", err))
	}
	return protowire.AppendBytes(protowire.AppendTag(data, field, protowire.BytesType), changes)
}

// Decode reads one record. The error wraps ErrNewer or ErrDamaged.
func Decode(data []byte) (*Envelope, error) {
	e := new(Envelope)
	if err := e.UnmarshalVT(data); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	if err := check(e); err != nil {
		return nil, err
	}
	return e, nil
}

// check refuses what this build cannot read.
func check(e *Envelope) error {
	if e.Level > Level {
		return fmt.Errorf("%w: %.40q has format level %d, this build reads up to %d", ErrNewer, e.Kind, e.Level, Level)
	}
	if e.Level == 0 || e.Writer == 0 || e.Number == 0 || e.Kind != Kind(e) || e.Kind == "" {
		return fmt.Errorf("%w: no level, identity or known body (%.40q)", ErrDamaged, e.Kind)
	}
	return nil
}

// Scope names whom a record is about (law L10).
type Scope struct {
	Project     tocsin.ProjectID
	Environment tocsin.Environment
	Class       tocsin.Class
}

// Of reads the scope of a record; its parts are zero where the kind has none.
func Of(e *Envelope) (s Scope) {
	copy(s.Project[:], e.Project)
	s.Environment, s.Class = tocsin.Environment(e.Environment), tocsin.Class(e.Class)
	return s
}

// Writer gives records their identity: an incarnation drawn anew at each start
// of a writer, and a count. One Writer serves one partition and its appends
// are made one at a time, repeats included, so that Seen stays small. Not for
// use by several goroutines at once.
type Writer struct {
	incarnation uint64
	number      uint64
}

// NewWriter starts a writer; incarnation is random and not 0.
func NewWriter(incarnation uint64) *Writer { return &Writer{incarnation: incarnation} }

// Next stamps the envelope with the next identity, the instant and the scope.
func (w *Writer) Next(e *Envelope, at time.Time, s Scope) *Envelope {
	w.number++
	e.Writer, e.Number, e.At = w.incarnation, w.number, at.UnixNano()
	if !s.Project.IsZero() {
		e.Project = s.Project.Bytes()
	}
	e.Environment, e.Class = uint32(s.Environment), uint32(s.Class)
	return e
}

// Seen drops repeats: of each writer only numbers above the last one count.
// This is right because a Writer's appends never overtake each other. It keeps
// one number a writer incarnation, and belongs in the snapshot of the state
// that the records produced.
type Seen map[uint64]uint64

// First reports whether the record is no repeat, and remembers it.
func (s Seen) First(e *Envelope) bool {
	if e.Number <= s[e.Writer] {
		return false
	}
	s[e.Writer] = e.Number
	return true
}
