package target

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tocsin-push/tocsin"
)

// value checks one value for the operator and the field, and appends it.
func (p *parser) value(path string, token json.Token, clause *Node, allowed string) error {
	if p.values++; p.values > p.limits.Values {
		return &Error{path, "one value more", fmt.Sprintf("at most %d", p.limits.Values)}
	}
	var v Value
	switch t := token.(type) {
	case string:
		if len(t) > p.limits.Text {
			return &Error{path, fmt.Sprintf("%d bytes of text", len(t)), fmt.Sprintf("at most %d", p.limits.Text)}
		}
		v = Value{Kind: Text, Text: t}
	case bool:
		v = Value{Kind: Flag, Flag: t}
	case json.Number:
		if v = number(t.String()); v.Kind == 0 {
			return &Error{path, found(token), "a number of at most 64 bits"}
		}
	case nil:
		return &Error{path, found(token), clause.wants(allowed) + `; {"$exists": false} finds those without a value`}
	default:
		return &Error{path, found(token), clause.wants(allowed)}
	}
	v, ok := clause.fit(v)
	if !ok {
		return &Error{path, found(token), clause.wants(allowed)}
	}
	clause.Values = append(clause.Values, v)
	if clause.Native.Membership() {
		p.names(Member{clause.Native, v.Text}, path)
	}
	if clause.Native == Segment && p.segments != nil {
		return p.segment(path, v.Text)
	}
	return nil
}

const aTime = `a time, as in "2026-11-23T08:00:00Z", "now-30d" or "today"`

// anInstant is the same where nobody's zone is known.
const anInstant = `a time, as in "2026-11-23T08:00:00Z" or "now-30d"`

// wants tells what the clause compares with; otherwise is for what takes
// anything.
func (n *Node) wants(otherwise string) string {
	switch {
	case n.Version:
		return `a version, as in "4.10.2"`
	case n.Op == Exists, n.Native == OptedIn, n.Native == HasProfile:
		return "true or false"
	case n.Op == Contains, n.Op == ContainsAll:
		return "text"
	case n.Op == StartsWith:
		return "text of at least one byte"
	case n.Native == Created, n.Native == LastActive:
		return aTime
	case n.Native == eventCount:
		return "a whole number from 0 to " + strconv.Itoa(MaxCount)
	case n.Native == eventTime:
		return anInstant
	case n.orders() && n.Native == EventField:
		return "a number, or " + anInstant
	case n.orders():
		return "a number, or " + aTime
	}
	switch n.Native {
	case Provider:
		return "apns, fcm or webpush"
	case Platform:
		return "one of " + strings.Join(platforms, ", ")
	case Language:
		return "a language tag, as in fr or fr-ca"
	case Zone:
		return "a time zone, as in Europe/Paris"
	case Region, City, AppVersion:
		return "text"
	case List, Segment:
		return "the name of a " + n.Name + ": 1 to 64 characters of a-z, 0-9 and _"
	case Sent, Opened:
		return "the identifier of a send"
	}
	return otherwise
}

// orders reports whether the clause asks for what lies above or below.
func (n *Node) orders() bool { return Greater <= n.Op && n.Op <= Between }

// fit gives a value the form in which the clause compares, or refuses it.
func (n *Node) fit(v Value) (Value, bool) {
	switch {
	case n.Version:
		_, ok := ParseVersion(v.Text)
		return v, ok && v.Kind == Text
	case n.Op == Exists, n.Native == OptedIn, n.Native == HasProfile:
		return v, v.Kind == Flag
	case n.Op == Contains, n.Op == ContainsAll:
		return v, v.Kind == Text
	case n.Op == Near:
		return v, v.Kind == Integer || v.Kind == Real
	case n.Native == eventCount:
		return v, v.Kind == Integer && 0 <= v.Integer && v.Integer <= MaxCount
	case n.orders() && (n.Native == eventTime || n.Native == EventField && v.Kind == Text):
		at, ok := moment(v.Text)
		return at, ok && at.Anchor != Today
	case n.orders() && v.Kind == Text:
		return moment(v.Text)
	case n.orders():
		return v, v.Kind != Flag && (n.Native == Attribute || n.Native == EventField)
	case n.Op == StartsWith && v.Text == "":
		return v, false
	case n.Native == Provider:
		var provider tocsin.Provider
		return v, v.Text != "" && provider.UnmarshalText([]byte(v.Text)) == nil
	case n.Native == Language:
		v.Text = LanguageTag(v.Text)
		return v, v.Kind == Text
	case n.Native == Platform:
		return v, v.Kind == Text && ValidPlatform(v.Text)
	case n.Native == Zone, n.Native == Region, n.Native == City, n.Native == AppVersion:
		return v, v.Kind == Text
	case n.Native == List, n.Native == Segment:
		return v, v.Kind == Text && ValidName(v.Text)
	case n.Native == Sent, n.Native == Opened:
		var send tocsin.SendID
		if v.Kind != Text || send.UnmarshalText([]byte(v.Text)) != nil {
			return v, false
		}
		v.Text = send.String()
		return v, true
	}
	return v, true
}

// number reads a JSON number; Kind is 0 when it is too large for a float64.
func number(text string) Value {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Value{Kind: Integer, Integer: i}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Value{}
	}
	// -2^63 is a float64 and 2^63 - 1 is not.
	if f == math.Trunc(f) && f >= -(1<<63) && f < 1<<63 {
		return Value{Kind: Integer, Integer: int64(f)}
	}
	return Value{Kind: Real, Real: f}
}
