package target

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// String prints the query as JSON that parses to the same tree.
func (q *Query) String() string { return string(q.root.append(nil)) }

// MarshalJSON prints the query.
func (q *Query) MarshalJSON() ([]byte, error) { return q.root.append(nil), nil }

// String prints a node as it stands in the query: logic as its operator alone, for
// what is in it prints itself.
func (n *Node) String() string {
	if n.Op <= Not && len(n.Nodes) > 0 {
		return n.Op.String()
	}
	return string(n.append(nil))
}

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
	case Did:
		b = n.Event.append(append(appendText(b, n.Name), ':'))
	default:
		b = append(appendText(b, n.Name), ':')
		if n.Version {
			b = append(b, `{"$version":`...)
		}
		b = append(appendText(append(b, '{'), n.Op.String()), ':')
		b = append(n.appendValues(b), '}')
		if n.Version {
			b = append(b, '}')
		}
	}
	return append(b, '}')
}

func (n *Node) appendValues(b []byte) []byte {
	switch {
	case n.Op == Near:
		for i, key := range nearKeys {
			b = append(b, "{,,"[i])
			b = append(appendText(b, key), ':')
			b = n.Values[i].append(b)
		}
		return append(b, '}')
	case !n.Op.many():
		return n.Values[0].append(b)
	}
	b = append(b, '[')
	for i := range n.Values {
		if i > 0 {
			b = append(b, ',')
		}
		b = n.Values[i].append(b)
	}
	return append(b, ']')
}

func (v Value) append(b []byte) []byte {
	switch v.Kind {
	case Integer:
		return strconv.AppendInt(b, v.Integer, 10)
	case Real:
		return strconv.AppendFloat(b, v.Real, 'e', -1, 64)
	case Flag:
		return strconv.AppendBool(b, v.Flag)
	case Moment:
		return v.appendMoment(b)
	}
	return appendText(b, v.Text)
}

// appendMoment writes an offset in the largest unit that divides it.
func (v Value) appendMoment(b []byte) []byte {
	switch v.Anchor {
	case Now, Today:
		b = append(append(b, '"'), v.Anchor.String()...)
		if v.Integer != 0 {
			size, unit := int64(1), byte('d')
			if v.Anchor == Now {
				for _, u := range units {
					if v.Integer%u.nanos == 0 {
						size, unit = u.nanos, u.letter
						break
					}
				}
			}
			if v.Integer > 0 {
				b = append(b, '+')
			}
			b = append(strconv.AppendInt(b, v.Integer/size, 10), unit)
		}
		return append(b, '"')
	}
	return append(time.Unix(0, v.Integer).UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
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
