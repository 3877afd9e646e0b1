package client

import (
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Formats of an import's stream.
const (
	NDJSON = "ndjson" // one Subscription, or Event, a line; Content-Type application/x-ndjson
	CSV    = "csv"    // a header line, then one subscription a line; Content-Type text/csv
)

// MaxBadLines is how many bad lines of an import are kept with their reason.
const MaxBadLines = 1000

// ImportRequest opens an import whose stream is sent afterwards.
type ImportRequest struct {
	Name   string `json:"name,omitempty" maxLength:"100"`
	Format string `json:"format" enum:"ndjson,csv"`
}

// Import is a stream of subscriptions, of events, or of entries of a list. Everything before Offset is durable; a
// stream that broke is continued from there.
type Import struct {
	ID        tocsin.ImportID `json:"id"`
	Name      string          `json:"name,omitempty"`
	Format    string          `json:"format"`
	Events    bool            `json:"events,omitempty" doc:"It is a stream of events"`
	List      string          `json:"list,omitempty" doc:"Name of the list that it is an upload to"`
	Mode      ListMode        `json:"mode,omitempty" enum:"replace,add,remove"`
	Confirm   bool            `json:"confirm,omitempty" doc:"The list that is replaced may become less than half of what it is"`
	Status    ImportStatus    `json:"status"`
	Offset    int64           `json:"offset" doc:"Bytes of the stream whose lines are durable or reported as bad"`
	Lines     int64           `json:"lines" doc:"Lines before the offset, blank ones and the CSV header included"`
	Imported  int64           `json:"imported" doc:"Subscriptions, events, or entries of the list, that were written"`
	Bad       int64           `json:"bad" doc:"Lines that were not taken; all those of a row of several"`
	BadLines  []BadLine       `json:"bad_lines,omitempty" doc:"The first 1,000 of them"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// ImportStatus is where an import stands.
type ImportStatus string

const (
	ImportOpen     ImportStatus = "open"     // waits for a stream, or for its continuation
	ImportRunning  ImportStatus = "running"  // a stream is being read
	ImportFinished ImportStatus = "finished" // the stream ended
)

// BadLine is a line that could not be read.
type BadLine struct {
	Line   int64  `json:"line" doc:"From 1"`
	Field  string `json:"field,omitempty" doc:"At most 100 bytes of its name"`
	Reason string `json:"reason" doc:"At most 100 bytes"`
	Found  string `json:"found,omitempty" doc:"The value that the reason is about, cut to 40 bytes; while the import runs and in the answer to its stream, and not kept after that"`
}

// String is the reason, with the field where it is about one.
func (b BadLine) String() string {
	text := b.Reason
	if b.Field != "" {
		text = b.Field + ": " + text
	}
	if b.Found != "" {
		text += " (" + b.Found + ")"
	}
	return text
}

// Imports is one page of imports, newest first, without their bad lines.
type Imports struct {
	Imports []Import `json:"imports"`
	Next    string   `json:"next,omitempty" doc:"Give it as before to read the next page; absent on the last"`
}

// Quotes reports whether the reason may repeat what stood in the line.
func (b BadLine) Quotes() bool { return strings.ContainsRune(b.Reason, '"') }
