package target

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// operators by what they are written as; two words may mean the same.
var operators = map[string]Op{"$eq": Equal, "$ne": NotEqual, "$in": In, "$nin": NotIn, "$gt": Greater, "$gte": GreaterEqual, "$lt": Less,
	"$lte": LessEqual, "$between": Between, "$startsWith": StartsWith, "$near": Near, "$contains": Contains, "$containsAny": Contains,
	"$containsAll": ContainsAll, "$exists": Exists}

var (
	equality = []string{"$eq", "$ne", "$in", "$nin"}
	ordering = []string{"$gt", "$gte", "$lt", "$lte", "$between"}
)

// words are the operators that a field takes, in an error's order; version is
// inside a $version.
func (n Native) words(version bool) []string {
	switch {
	case version:
		return slices.Concat(equality, ordering)
	case n.Membership():
		return equality
	case n == eventCount:
		return slices.Concat([]string{"$eq"}, ordering)
	case n == eventTime:
		return ordering
	case n == EventField:
		return slices.Concat(equality, ordering, []string{"$startsWith", "$version", "$exists"})
	case n == Created || n == LastActive:
		return slices.Concat(ordering, []string{"$exists"})
	case n == Language || n == Zone || n == Region || n == City:
		return slices.Concat(equality, []string{"$startsWith", "$exists"})
	case n == AppVersion:
		return slices.Concat(equality, []string{"$startsWith", "$version", "$exists"})
	case n != Attribute:
		return slices.Concat(equality, []string{"$exists"})
	}
	return slices.Concat(equality, ordering, []string{"$startsWith", "$version", "$near", "$contains", "$containsAny", "$containsAll", "$exists"})
}

func (n Native) allowed(version bool) string { return strings.Join(n.words(version), ", ") }

func (n Native) allows(op Op, version bool) bool {
	return slices.Contains(n.words(version), op.String())
}

// operator reads the operand of one operator into the clause.
func (p *parser) operator(path, key string, clause *Node) error {
	op, known := operators[key]
	if words := clause.Native.words(clause.Version); !slices.Contains(words, key) {
		what := strconv.Quote(shorten(key))
		switch {
		case clause.Version && (known || key == "$version"):
			what += " inside $version"
		case known || key == "$version":
			what += " on " + clause.Name
		}
		return &Error{path, what, suggest("one of "+strings.Join(words, ", "), key, words...)}
	}
	clause.Op = op
	switch op {
	case Near:
		return p.near(path, clause)
	case In, NotIn, ContainsAll:
		return p.elements(path, "an array of at least one value", func(path string) error { return p.one(path, clause) })
	case Between:
		return p.between(path, clause)
	case Contains:
		const allowed = "a tag, or an array of at least one tag"
		token, err := p.next(path)
		if err != nil {
			return err
		}
		if token == json.Delim('[') {
			return p.rest(path, allowed, func(path string) error { return p.one(path, clause) })
		}
		return p.value(path, token, clause, allowed)
	}
	return p.one(path, clause)
}

// one reads a value that stands alone or in an array.
func (p *parser) one(path string, clause *Node) error {
	token, err := p.next(path)
	if err != nil {
		return err
	}
	return p.value(path, token, clause, "text, a number, true or false")
}

func (p *parser) between(path string, clause *Node) error {
	const allowed = "an array of the least and the greatest"
	if err := p.elements(path, allowed, func(path string) error { return p.one(path, clause) }); err != nil {
		return err
	}
	if n := len(clause.Values); n != 2 {
		return &Error{path, "an array of " + strconv.Itoa(n), allowed}
	}
	low, high := clause.Values[0], clause.Values[1]
	switch {
	case (low.Kind == Moment) != (high.Kind == Moment):
		return &Error{path, "a number and a time", "two of one type"}
	case turned(low, high):
		return &Error{path, "the greatest before the least", allowed}
	}
	return nil
}

// turned reports whether a range is empty whenever it is evaluated.
func turned(low, high Value) bool {
	switch {
	case low.Kind == Text:
		v, _ := ParseVersion(low.Text)
		w, _ := ParseVersion(high.Text)
		return v.Compare(w) > 0
	case low.Kind == Moment:
		return low.Anchor == high.Anchor && low.Integer > high.Integer
	case low.Kind == Integer && high.Kind == Integer:
		return low.Integer > high.Integer
	}
	return low.Number() > high.Number()
}

// nearKeys are the parts of a circle, in the order of its Values.
var nearKeys = [...]string{"lat", "lon", "km"}

// nearRanges are their bounds; the farthest place on Earth is half its
// circumference away.
var nearRanges = [...]struct {
	low, high float64
	text      string
}{{-90, 90, "degrees from -90 to 90"}, {-180, 180, "degrees from -180 to 180"}, {0, 20_038, "kilometres from 0 to 20038"}}

func (p *parser) near(path string, clause *Node) error {
	const allowed = `an object of "lat", "lon" and "km"`
	if err := p.open(path, '{', allowed); err != nil {
		return err
	}
	clause.Values = make([]Value, len(nearKeys))
	err := p.keys(path, func(path, key string) error {
		at := slices.Index(nearKeys[:], key)
		if at < 0 {
			return &Error{path, strconv.Quote(shorten(key)), allowed}
		}
		token, err := p.next(path)
		if err != nil {
			return err
		}
		one := Node{Op: Near}
		if err := p.value(path, token, &one, nearRanges[at].text); err != nil {
			return err
		}
		if v := one.Values[0].Number(); v < nearRanges[at].low || v > nearRanges[at].high {
			return &Error{path, found(token), nearRanges[at].text}
		}
		clause.Values[at] = one.Values[0]
		return nil
	})
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(clause.Values, func(v Value) bool { return v.Kind == 0 }); at >= 0 {
		return &Error{path, "an object without " + strconv.Quote(nearKeys[at]), allowed}
	}
	return nil
}
