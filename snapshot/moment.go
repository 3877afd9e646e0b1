package snapshot

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Moment is what a snapshot is made of: a projection of a log as it was between
// two records.
type Moment interface {
	Position() uint64             // everything below is applied, and nothing else
	Seen() record.Seen            // stays as it is
	Projects() []tocsin.ProjectID // in order
	// Take returns the streams of a project. It is called once for each, and for one
	// at a time: the parts are there until end is called.
	Take(tocsin.ProjectID) (streams []Stream, end func())
	// End lets go of it. Held is the longest time that it kept others waiting.
	End() (held time.Duration)
}

// Stream is some state of a project, as a list of parts. Streams of one project
// have different names, and one without parts is as none.
type Stream struct {
	Name  string
	Parts []Part
}

// Part is bytes that do not change. It is best that they are at most about a
// megabyte.
type Part interface {
	// ID is the first half of the SHA-256 of the content. A part that is kept
	// already is known by it alone.
	ID() [16]byte
	Content() []byte
}
