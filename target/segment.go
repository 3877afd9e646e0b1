package target

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Library reads queries whose segments are to be looked up. It reads each
// definition once; all that it returns has the same definitions. It is made for
// one request, and not shared by goroutines.
type Library struct {
	limits  Config
	find    func(name string) (definition []byte, ok bool)
	known   func() []string
	read    map[string]*Query
	reading []string // definitions that are being read, the outermost first
}

// NewLibrary takes definitions from find. known are the names of all, for telling
// which one may have been meant; it may be nil.
func NewLibrary(limits Config, find func(name string) (definition []byte, ok bool), known func() []string) *Library {
	return &Library{limits: limits, find: find, known: known, read: make(map[string]*Query)}
}

// Parse is Parse with the segments that the query names, and those that they
// name: all must be there, none may lead back to itself, and the limits hold for
// the query as if their definitions stood in it, a level of logic for each.
func (l *Library) Parse(query []byte) (*Query, error) { return parse(l.limits, query, l) }

// Define is Parse for what is to be the definition of a segment.
func (l *Library) Define(name string, query []byte) (*Query, error) {
	l.reading = append(l.reading, name)
	defer func() { l.reading = l.reading[:len(l.reading)-1] }()
	return l.Parse(query)
}

// segment looks one up that a clause names.
func (p *parser) segment(path, name string) error {
	l := p.segments
	q := l.read[name]
	if q == nil {
		if slices.Contains(l.reading, name) {
			return &Error{path, strconv.Quote(name), "a segment that does not lead back to itself, as in " + strings.Join(append(l.reading, name), ", ")}
		}
		definition, ok := l.find(name)
		if !ok {
			var names []string
			if l.known != nil {
				names = l.known()
			}
			return &Error{path, strconv.Quote(name), suggest("the name of a segment that there is", name, names...)}
		}
		if len(l.reading) > p.limits.Depth {
			return p.tooDeep(path, len(l.reading))
		}
		var err error
		if q, err = l.Define(name, definition); err != nil {
			inner := err.(*Error) // as all errors of parse
			return &Error{path, strconv.Quote(name) + ", and in it at " + inner.Path + " " + inner.Found, inner.Allowed}
		}
		q.sum, q.lasting = q.summed(), q.lasts(&q.root)
		l.read[name] = q
	}
	if p.found == nil {
		p.found = make(map[string]*Query)
	}
	p.found[name] = q
	p.clauses, p.events, p.values, p.bytes = p.clauses+q.size.clauses, p.events+q.size.events, p.values+q.size.values, p.bytes+q.size.bytes
	for _, held := range [...]struct {
		what         string
		count, limit int
	}{{"clauses", p.clauses, p.limits.Clauses}, {"events", p.events, p.limits.Events}, {"values", p.values, p.limits.Values}, {"bytes", p.bytes, p.limits.Bytes}} {
		if held.count > held.limit {
			return &Error{path, fmt.Sprintf("%q, with which there are %d %s", name, held.count, held.what), fmt.Sprintf("at most %d", held.limit)}
		}
	}
	return nil
}

// Segment is the definition of a segment that the query names; nil when it was
// not looked up.
func (q *Query) Segment(name string) *Query { return q.segments[name] }

// Definitions are those of the segments that the query names itself, in no order.
func (q *Query) Definitions() iter.Seq[*Query] { return maps.Values(q.segments) }

// Segments are the definitions of all segments that the query names, and of
// those that they name, as they print.
func (q *Query) Segments() map[string]string {
	all := make(map[string]string)
	q.collect(all)
	return all
}

func (q *Query) collect(all map[string]string) {
	for name, inner := range q.segments {
		if _, known := all[name]; !known {
			all[name] = inner.String()
			inner.collect(all)
		}
	}
}

// Sum tells definitions apart by what they mean: two with the same sum find the
// same people, as they print the same and name segments of the same definitions.
type Sum [sha256.Size]byte

// Sum is that of a definition, which Segment returned.
func (q *Query) Sum() Sum { return q.sum }

func (q *Query) summed() (sum Sum) {
	h := sha256.New()
	part := func(text string) { fmt.Fprintf(h, "%d %s", len(text), text) }
	part(q.String())
	segments := q.Segments()
	for _, name := range slices.Sorted(maps.Keys(segments)) {
		part(name)
		part(segments[name])
	}
	h.Sum(sum[:0])
	return sum
}

// Lasting reports of a definition, which Segment returned, whether its answer for
// a person changes only when something that is known of this person does: it
// asks neither for a time that moves nor for a list, an event or an earlier send.
func (q *Query) Lasting() bool { return q.lasting }

func (q *Query) lasts(n *Node) bool {
	switch n.Native {
	case Attribute, Provider, Platform, Language, Zone, Region, City, AppVersion, OptedIn, HasProfile, Created, LastActive:
	case Segment:
		return !slices.ContainsFunc(n.Values, func(v Value) bool {
			inner := q.segments[v.Text]
			return inner == nil || !inner.lasting
		})
	default:
		return false
	}
	return !slices.ContainsFunc(n.Values, func(v Value) bool { return v.Kind == Moment && v.Anchor != Epoch }) &&
		!slices.ContainsFunc(n.Nodes, func(inner Node) bool { return !q.lasts(&inner) })
}
