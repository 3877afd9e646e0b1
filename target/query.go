package target

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Op is what a node of a query does.
type Op uint8

const (
	And      Op = iota + 1 // all of Nodes; everyone when there is none
	Or                     // at least one of Nodes
	Not                    // not Nodes[0]
	Equal                  // Name equals Values[0]
	In                     // Name equals one of Values
	Contains               // the tag set Name holds at least one of Values, which are text
	Exists                 // Name has a value, or has none when Values[0] is false
)

var opNames = [...]string{And: "$and", Or: "$or", Not: "$not", Equal: "$eq", In: "$in", Contains: "$contains", Exists: "$exists"}

// String returns the operator as it is written, as in "$eq".
func (o Op) String() string { return opNames[o] }

// Native is a field of every subscription, Attribute a name of the project's own.
type Native uint8

const (
	Attribute Native = iota
	Provider
	Language
	Zone
	OptedIn
)

// reserved are the names that no attribute and no tag set can take. Those
// without a Native wait for a later version of the language.
var reserved = map[string]Native{
	"provider": Provider, "language": Language, "zone": Zone, "opted_in": OptedIn,
	"platform": Attribute, "created": Attribute, "active": Attribute, "profile": Attribute, "subscription": Attribute,
}

// Reserved reports whether a name is kept for native fields.
func Reserved(name string) bool {
	_, ok := reserved[name]
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

// LanguageTag is the form in which languages are kept and compared: lower
// case, parts divided by hyphens.
func LanguageTag(text string) string {
	return strings.ReplaceAll(strings.ToLower(text), "_", "-")
}

// Kind is the type of a value as JSON knows it.
type Kind uint8

const (
	Text Kind = iota + 1
	Integer
	Real
	Flag
)

// Value is one value of a query; the field that Kind names is set. A number
// that is exactly an int64 is an Integer, however it was written.
type Value struct {
	Kind    Kind
	Text    string
	Integer int64
	Real    float64
	Flag    bool
}

// Time reads a text value as an instant in Unix nanoseconds.
func (v Value) Time() (nanos int64, ok bool) {
	if v.Kind != Text || len(v.Text) < len("2006-01-02T15:04:05Z") {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339Nano, v.Text)
	if err != nil || at.Year() < 1678 || at.Year() > 2261 { // outside, nanoseconds overflow
		return 0, false
	}
	return at.UnixNano(), true
}

// Node is one step of a query: logic over Nodes, or a clause on Name.
type Node struct {
	Op     Op
	Nodes  []Node
	Name   string
	Native Native
	Values []Value
}

// Query is a checked query. It is never changed and may be shared.
type Query struct{ root Node }

// Root is the top of the tree; the caller must not change it.
func (q *Query) Root() *Node { return &q.root }

// String prints the query as JSON that parses to the same tree.
func (q *Query) String() string { return string(q.root.append(nil)) }

// MarshalJSON prints the query.
func (q *Query) MarshalJSON() ([]byte, error) { return q.root.append(nil), nil }

func (n *Node) append(b []byte) []byte {
	if n.Op == And && len(n.Nodes) == 0 {
		return append(b, "{}"...)
	}
	b = append(b, '{')
	switch n.Op {
	case And, Or:
		b = append(appendText(b, n.Op.String()), ":["...)
		for i := range n.Nodes {
			if i > 0 {
				b = append(b, ',')
			}
			b = n.Nodes[i].append(b)
		}
		b = append(b, ']')
	case Not:
		b = append(appendText(b, n.Op.String()), ':')
		b = n.Nodes[0].append(b)
	default:
		b = append(appendText(b, n.Name), ":{"...)
		b = append(appendText(b, n.Op.String()), ':')
		if n.Op == In || n.Op == Contains {
			b = append(b, '[')
			for i := range n.Values {
				if i > 0 {
					b = append(b, ',')
				}
				b = n.Values[i].append(b)
			}
			b = append(b, ']')
		} else {
			b = n.Values[0].append(b)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func (v Value) append(b []byte) []byte {
	switch v.Kind {
	case Integer:
		return strconv.AppendInt(b, v.Integer, 10)
	case Real:
		return strconv.AppendFloat(b, v.Real, 'e', -1, 64)
	case Flag:
		return strconv.AppendBool(b, v.Flag)
	}
	return appendText(b, v.Text)
}

func appendText(b []byte, text string) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil { // a string always encodes
		panic(err)
	}
	return append(b, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...)
}
