package target

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Event is a clause on what somebody did: how often, and when first and last. All
// parts must hold, and all nodes of a part.
type Event struct {
	Name   string
	Where  []Node // clauses on the fields of one time; only times that they let pass are counted
	Count  []Node // Values are integers of 0 to MaxCount; none: at least once
	First  []Node // Values are Moments that ask for no zone, as in Last and Within
	Last   []Node
	Within []Node // only times in this window are counted
}

// MaxCount is the greatest number that a count is compared with.
const MaxCount = 10_000

// Counted reports whether the clause asks how often: not when it asks for the
// first or the last time alone.
func (e *Event) Counted() bool {
	return len(e.Where)+len(e.Count)+len(e.Within) > 0 || len(e.First)+len(e.Last) == 0
}

var eventKeys = []string{"name", "where", "count", "first", "last", "within"}

const anEvent = `an object of "name" and, where needed, "where", "count", "first", "last" and "within"`

// event reads what stands after "event".
func (p *parser) event(path string) (Node, error) {
	if err := p.open(path, '{', anEvent); err != nil {
		return Node{}, err
	}
	e := new(Event)
	err := p.keys(path, func(path, key string) (err error) {
		switch key {
		case "name":
			e.Name, err = p.eventName(path)
		case "where":
			e.Where, err = p.where(path)
		case "count":
			e.Count, err = p.named(path, Node{Name: key, Native: eventCount})
		case "first":
			e.First, err = p.named(path, Node{Name: key, Native: eventTime})
		case "last":
			e.Last, err = p.named(path, Node{Name: key, Native: eventTime})
		case "within":
			e.Within, err = p.within(path)
		default:
			err = &Error{path, strconv.Quote(shorten(key)), suggest(anEvent, key, eventKeys...)}
		}
		return err
	})
	if err == nil && e.Name == "" {
		err = &Error{path, "an object without \"name\"", anEvent}
	}
	if p.events++; err == nil && p.events > p.limits.Events {
		err = &Error{path, "one event more", "at most " + strconv.Itoa(p.limits.Events)}
	}
	if err == nil {
		err = p.clause(path)
	}
	return Node{Op: Did, Name: "event", Native: EventClause, Event: e}, err
}

func (p *parser) eventName(path string) (string, error) {
	token, err := p.next(path)
	if err != nil {
		return "", err
	}
	name, ok := token.(string)
	if !ok || !ValidName(name) {
		return "", &Error{path, found(token), "the name of an event: 1 to 64 characters of a-z, 0-9 and _"}
	}
	return name, nil
}

func (p *parser) where(path string) (all []Node, err error) {
	const allowed = "an object of fields and what they are compared with"
	if err := p.open(path, '{', allowed); err != nil {
		return nil, err
	}
	err = p.keys(path, func(path, key string) error {
		if !ValidName(key) {
			return &Error{path, strconv.Quote(shorten(key)), "the name of a field: 1 to 64 characters of a-z, 0-9 and _"}
		}
		clauses, err := p.named(path, Node{Name: key, Native: EventField})
		all = append(all, clauses...)
		return err
	})
	if err == nil && len(all) == 0 {
		err = &Error{path, "an empty object", allowed}
	}
	return all, err
}

// within reads a window; "30d" is short for the last 30 days.
func (p *parser) within(path string) ([]Node, error) {
	clause := Node{Name: "within", Native: eventTime}
	token, err := p.next(path)
	if err != nil {
		return nil, err
	}
	if token == json.Delim('{') {
		return p.operators(path, clause)
	}
	text, _ := token.(string)
	since, ok := moment("now-" + text)
	if !ok || since.Anchor != Now {
		return nil, &Error{path, found(token), `a length of time, as in "30d" or "12h", or an object of ` + eventTime.allowed(false)}
	}
	if p.values++; p.values > p.limits.Values {
		return nil, &Error{path, "one value more", "at most " + strconv.Itoa(p.limits.Values)}
	}
	clause.Op, clause.Values = GreaterEqual, []Value{since}
	return []Node{clause}, p.clause(path)
}

// append prints the clause.
func (e *Event) append(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendText(b, e.Name)
	if len(e.Where) > 0 {
		b = append(b, `,"where":{`...)
		for i := 0; i < len(e.Where); {
			end := i + 1
			for end < len(e.Where) && e.Where[end].Name == e.Where[i].Name {
				end++
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, e.Where[i].Name), ':')
			b = appendOperators(b, e.Where[i:end])
			i = end
		}
		b = append(b, '}')
	}
	for _, part := range [...][]Node{e.Count, e.First, e.Last, e.Within} {
		if len(part) > 0 {
			b = append(appendText(append(b, ','), part[0].Name), ':')
			b = appendOperators(b, part)
		}
	}
	return append(b, '}')
}

// appendOperators prints the clauses on one name as an object; those of $version
// stand together.
func appendOperators(b []byte, clauses []Node) []byte {
	b = append(b, '{')
	for i := range clauses {
		c := &clauses[i]
		opens, closes := c.Version && (i == 0 || !clauses[i-1].Version), c.Version && (i+1 == len(clauses) || !clauses[i+1].Version)
		if i > 0 {
			b = append(b, ',')
		}
		if opens {
			b = append(b, `"$version":{`...)
		}
		b = append(appendText(b, c.Op.String()), ':')
		if b = c.appendValues(b); closes {
			b = append(b, '}')
		}
	}
	return append(b, '}')
}

// Events returns the names of the events that the query asks for, in order.
func (q *Query) Events() []string {
	names := q.root.events(nil)
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *Node) events(to []string) []string {
	for i := range n.Nodes {
		to = n.Nodes[i].events(to)
	}
	if n.Event != nil {
		to = append(to, n.Event.Name)
	}
	return to
}
