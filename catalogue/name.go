package catalogue

import (
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Kind is what a name stands for. The same name may stand for one of each.
type Kind uint8

const (
	Attribute Kind = 1 + iota
	TagSet
	Event
	kinds
)

// Plural is the kind in a sentence about several.
func (k Kind) Plural() string {
	return [...]string{Attribute: "attributes", TagSet: "sets of tags", Event: "events"}[k]
}

// Type is what the values of an attribute are. The numbers are stored.
type Type uint8

const (
	Untyped Type = iota // of sets of tags, events, and removals
	Text
	Number
	Boolean
	Time
	URL
	Location
)

func (t Type) String() string {
	return [...]string{"nothing", "text", "number", "boolean", "time", "url", "location"}[t]
}

// TypeOf is the type that a value of an attribute has.
func TypeOf(a *record.Attribute) Type {
	switch a.Value.(type) {
	case *record.Attribute_Text:
		return Text
	case *record.Attribute_Integer, *record.Attribute_Real:
		return Number
	case *record.Attribute_Flag:
		return Boolean
	case *record.Attribute_Time:
		return Time
	case *record.Attribute_Url:
		return URL
	case *record.Attribute_Location:
		return Location
	}
	return Untyped
}

// Use is one name in what somebody wants to write.
type Use struct {
	Kind Kind
	Name string
	Type Type // of an attribute
}

// Via is a way in. The numbers are stored.
type Via uint8

const (
	Server Via = 1 + iota
	Import
	Device
)

func (v Via) String() string { return [...]string{"nobody", "server", "import", "device"}[v] }

// Writer is who writes, by which way and with which key. All devices are one.
type Writer struct {
	Via  Via          `json:"via"`
	Key  tocsin.KeyID `json:"key,omitzero"`
	Name string       `json:"name,omitempty"` // of the key
}

// Day is a number of days since 1970, in UTC.
type Day int32

// DayOf is the day of an instant.
func DayOf(at time.Time) Day { return Day(at.Unix() / 86400) }

// Time is the first instant of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// Seen is a writer with the last day on which he wrote a name.
type Seen struct {
	Writer
	Last Day
}

// Entry is what is known of one name. It never changes once it is in a View.
type Entry struct {
	Type    Type
	First   time.Time // to the second; zero: it was there before there was a catalogue
	By      Writer    // who brought it; zero with First
	Last    Day       // when somebody last wrote it; 0: nobody since it was learnt
	Writers []Seen    // at most maxWriters
}

const (
	// maxWriters bounds those of one name; allWriters those of a project.
	maxWriters, allWriters = 8, 256
	// forgotten is after how many days a writer gives way to another.
	forgotten = 30
)

// place is where a writer stands among those of a name: at one of the places
// there are, or behind them where he may join; -1: there is no room for him.
func (e *Entry) place(w Writer, today Day, joins bool) int {
	if at := slices.IndexFunc(e.Writers, func(s Seen) bool { return s.Writer == w }); at >= 0 {
		return at
	}
	switch {
	case !joins:
		return -1
	case len(e.Writers) < maxWriters:
		return len(e.Writers)
	}
	return slices.IndexFunc(e.Writers, func(s Seen) bool { return today-s.Last > forgotten })
}

// noted reports whether there is nothing to note of a use today.
func (e *Entry) noted(w Writer, today Day, joins bool) bool {
	if e.Last < today {
		return false
	}
	at := e.place(w, today, joins)
	return at < 0 || at < len(e.Writers) && e.Writers[at].Writer == w && e.Writers[at].Last >= today
}

// note takes a use into account.
func (e *Entry) note(w Writer, today Day, joins bool) {
	e.Last = max(e.Last, today)
	switch at := e.place(w, today, joins); {
	case at == len(e.Writers):
		e.Writers = append(e.Writers, Seen{w, today})
	case at >= 0:
		e.Writers[at] = Seen{w, max(today, e.Writers[at].Last)}
	}
}

// Conflict says that a value is not of the type of its attribute.
type Conflict struct {
	Use
	Stands Entry
}

func (c *Conflict) Error() string {
	return fmt.Sprintf("catalogue: %s is a %s, not a %s", c.Name, c.Stands.Type, c.Type)
}

// Full says that a project has as many names as it may.
type Full struct {
	Use
	Count, Most int
}

func (f *Full) Error() string {
	return fmt.Sprintf("catalogue: the project has %d %s, %d are the most", f.Count, f.Kind.Plural(), f.Most)
}
