package target

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Op is what a node of a query does.
type Op uint8

const (
	And          Op = iota + 1 // all of Nodes; everyone when there is none
	Or                         // at least one of Nodes
	Not                        // not Nodes[0]
	Equal                      // Name equals Values[0]
	NotEqual                   // Name has a value, and it does not equal Values[0]
	In                         // Name equals one of Values
	NotIn                      // Name has a value, and it equals none of Values
	Greater                    // Name lies above Values[0], a number or a time
	GreaterEqual               // or is the same
	Less                       // below
	LessEqual                  // or the same
	Between                    // from Values[0] to Values[1], both included
	StartsWith                 // the text Name begins with Values[0]
	Near                       // the place Name is at most Values[2] kilometres from latitude Values[0], longitude Values[1]
	Contains                   // the tag set Name holds at least one of Values, which are text
	ContainsAll                // the tag set Name holds each of Values
	Exists                     // Name has a value, or has none when Values[0] is false
	Did                        // Event holds
)

var opNames = [...]string{And: "$and", Or: "$or", Not: "$not", Equal: "$eq", NotEqual: "$ne", In: "$in", NotIn: "$nin",
	Greater: "$gt", GreaterEqual: "$gte", Less: "$lt", LessEqual: "$lte", Between: "$between", StartsWith: "$startsWith", Near: "$near",
	Contains: "$contains", ContainsAll: "$containsAll", Exists: "$exists", Did: "event"}

// String returns the operator as it is written, as in "$eq".
func (o Op) String() string { return opNames[o] }

// many reports whether the operator takes an array of values.
func (o Op) many() bool {
	return o == In || o == NotIn || o == Between || o == Contains || o == ContainsAll
}

// Native is a field of every subscription, Attribute a name of the project's own.
type Native uint8

const (
	Attribute Native = iota
	Provider
	Platform
	Language
	Zone
	Region
	City
	AppVersion
	OptedIn
	HasProfile
	Created
	LastActive
	List    // Values are names of lists
	Segment // names of segments
	Sent    // identifiers of sends
	Opened  // the same

	EventClause // of Did
	EventField  // of the times that an Event counts
	eventCount
	eventTime
)

// Membership reports whether the field asks for those in some named set. Everybody
// is in a set or not: $ne is the negation of $eq, and there is no $exists.
func (n Native) Membership() bool { return List <= n && n <= Opened }

// reserved tells the names that no attribute and no tag set can take. Those that are
// an Attribute wait for a later version of the language. An import asks for hundreds
// of millions of names: no map.
func reserved(name string) (kept Native, ok bool) {
	switch name {
	case "provider":
		return Provider, true
	case "platform":
		return Platform, true
	case "language":
		return Language, true
	case "zone":
		return Zone, true
	case "region":
		return Region, true
	case "city":
		return City, true
	case "app_version":
		return AppVersion, true
	case "opted_in":
		return OptedIn, true
	case "has_profile":
		return HasProfile, true
	case "created":
		return Created, true
	case "last_active":
		return LastActive, true
	case "list":
		return List, true
	case "segment":
		return Segment, true
	case "sent":
		return Sent, true
	case "opened":
		return Opened, true
	case "event":
		return EventClause, true
	case "active", "profile", "subscription":
		return Attribute, true
	}
	return Attribute, false
}

// nativeNames is how an error lists the native fields.
const nativeNames = "provider, platform, language, zone, region, city, app_version, opted_in, has_profile, created, last_active, list, segment, sent, opened, event"

// Reserved reports whether a name is kept for native fields.
func Reserved(name string) bool {
	_, ok := reserved(name)
	return ok
}

// ValidName reports whether an attribute or a tag set may have this name, as
// far as its characters go.
func ValidName(name string) bool {
	if len(name) < 1 || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// platforms are what an install runs on.
var platforms = []string{"ios", "android", "web", "macos", "tvos", "watchos", "visionos", "windows", "linux"}

// ValidPlatform reports whether a text names what an install runs on.
func ValidPlatform(text string) bool { return slices.Contains(platforms, text) }

// UsualPlatform is that of an install of which only the provider is known.
func UsualPlatform(p tocsin.Provider) string {
	return [...]string{tocsin.APNs: "ios", tocsin.FCM: "android", tocsin.WebPush: "web"}[p]
}

// LanguageTag is the form in which languages are kept and compared: lower
// case, parts divided by hyphens.
func LanguageTag(text string) string {
	return strings.ReplaceAll(strings.ToLower(text), "_", "-")
}

// Kind is the type of a value.
type Kind uint8

const (
	Text Kind = iota + 1
	Integer
	Real
	Flag
	Moment // a time in a comparison; Integer counts from Anchor
)

// Value is one value of a query; the field that Kind names is set. A number
// that is exactly an int64 is an Integer, however it was written.
type Value struct {
	Kind    Kind
	Anchor  Anchor
	Text    string
	Integer int64
	Real    float64
	Flag    bool
}

// Number is the value of an Integer or a Real.
func (v Value) Number() float64 {
	if v.Kind == Integer {
		return float64(v.Integer)
	}
	return v.Real
}

// Time reads a text value as an instant in Unix nanoseconds.
func (v Value) Time() (nanos int64, ok bool) {
	if v.Kind != Text || len(v.Text) < len("2006-01-02T15:04:05Z") {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339Nano, v.Text)
	if year := at.UTC().Year(); err != nil || year < 1678 || year > 2261 { // outside, nanoseconds overflow
		return 0, false
	}
	return at.UnixNano(), true
}

// Node is one step of a query: logic over Nodes, or a clause on Name.
type Node struct {
	Op      Op
	Nodes   []Node
	Name    string
	Native  Native
	Version bool // Name and Values are compared as versions
	Values  []Value
	Event   *Event // of Did, and nil elsewhere
}

// Query is a checked query. It is never changed and may be shared.
type Query struct {
	root     Node
	paths    map[Member]string // where it names sets itself
	segments map[string]*Query // definitions of those that it names
	size     size              // when it was read by a Library
	sum      Sum               // when it is the definition of a segment
	lasting  bool              // the same
}

// Names returns the attributes and tag sets that the query asks for, in order.
func (q *Query) Names() []string {
	names := q.root.names(nil)
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *Node) names(to []string) []string {
	for i := range n.Nodes {
		to = n.Nodes[i].names(to)
	}
	if n.Op > Not && n.Native == Attribute {
		to = append(to, n.Name)
	}
	return to
}

// Member is a set that a query names.
type Member struct {
	Field Native // one with Membership
	Name  string
}

// Compare orders by field, then by name.
func (m Member) Compare(other Member) int {
	return cmp.Or(cmp.Compare(m.Field, other.Field), cmp.Compare(m.Name, other.Name))
}

// Members returns the sets that the query asks for, each once, also in the
// definitions of segments that it was read with.
func (q *Query) Members() []Member {
	all := make(map[Member]bool)
	q.members(all)
	return slices.SortedFunc(maps.Keys(all), Member.Compare)
}

func (q *Query) members(all map[Member]bool) {
	for m := range q.paths {
		all[m] = true
	}
	for _, inner := range q.segments {
		inner.members(all)
	}
}

// Named returns where the query itself names sets: the paths of the first time.
// The caller must not change it.
func (q *Query) Named() map[Member]string { return q.paths }

// Root is the top of the tree; the caller must not change it.
func (q *Query) Root() *Node { return &q.root }
