package target

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tocsin-push/tocsin"
)

// Parse reads and checks a query: the JSON object that stands at "query" in a
// request. Every error it returns is an *Error.
func Parse(limits Config, query []byte) (*Query, error) {
	if len(query) > limits.Bytes {
		return nil, &Error{"query", fmt.Sprintf("%d bytes", len(query)), fmt.Sprintf("at most %d", limits.Bytes)}
	}
	if !utf8.Valid(query) {
		return nil, &Error{"query", "bytes that are not UTF-8", "JSON in UTF-8"}
	}
	p := parser{limits: limits, in: json.NewDecoder(bytes.NewReader(query))}
	p.in.UseNumber()
	root, err := p.query("query", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{"query", "something after its end", "one object"}
	}
	if depth := root.depth(); depth > limits.Depth {
		return nil, p.tooDeep("query", depth)
	}
	return &Query{root}, nil
}

func (n *Node) depth() int {
	if n.Op > Not {
		return 0
	}
	deepest := 0
	for i := range n.Nodes {
		deepest = max(deepest, n.Nodes[i].depth())
	}
	return deepest + 1
}

type parser struct {
	limits          Config
	in              *json.Decoder
	clauses, values int
}

func (p *parser) tooDeep(path string, depth int) error {
	return &Error{path, fmt.Sprintf("%d levels of logic", depth), fmt.Sprintf("at most %d", p.limits.Depth)}
}

// next reads one token; the end of the text and bad syntax are errors.
func (p *parser) next(path string) (json.Token, error) {
	token, err := p.in.Token()
	if err != nil {
		return nil, &Error{path, fmt.Sprintf("text that is not JSON at byte %d", p.in.InputOffset()), "a JSON object"}
	}
	return token, nil
}

// found names a token for the reader of an error.
func found(token json.Token) string {
	switch t := token.(type) {
	case nil:
		return "null"
	case json.Delim:
		if t == '{' {
			return "an object"
		}
		return "an array"
	case string:
		return strconv.Quote(shorten(t))
	case json.Number:
		return shorten(t.String())
	}
	return fmt.Sprint(token)
}

func shorten(text string) string {
	if len(text) <= 40 {
		return text
	}
	return strings.ToValidUTF8(text[:40], "") + "..."
}

func (p *parser) open(path string, delim json.Delim, allowed string) error {
	token, err := p.next(path)
	if err != nil {
		return err
	}
	if token != delim {
		return &Error{path, found(token), allowed}
	}
	return nil
}

// keys calls each for every key of an object whose brace was read.
func (p *parser) keys(path string, each func(path, key string) error) error {
	seen := make(map[string]bool)
	for p.in.More() {
		token, err := p.next(path)
		if err != nil {
			return err
		}
		key := token.(string) // the decoder checks that keys are text
		if seen[key] {
			return &Error{path, strconv.Quote(shorten(key)) + " twice", "each key once; $and and $or take more clauses"}
		}
		seen[key] = true
		if err := each(path+"."+shorten(key), key); err != nil {
			return err
		}
	}
	_, err := p.next(path)
	return err
}

// elements calls each for every element of an array, at least one.
func (p *parser) elements(path, allowed string, each func(path string) error) error {
	if err := p.open(path, '[', allowed); err != nil {
		return err
	}
	return p.rest(path, allowed, each)
}

func (p *parser) rest(path, allowed string, each func(path string) error) error {
	count := 0
	for ; p.in.More(); count++ {
		if err := each(path + "[" + strconv.Itoa(count) + "]"); err != nil {
			return err
		}
	}
	if _, err := p.next(path); err != nil {
		return err
	}
	if count == 0 {
		return &Error{path, "an empty array", allowed}
	}
	return nil
}

const aQuery = "an object of names, $and, $or and $not"

// query reads one object; level counts the logic around it, so that nothing
// deeper than the limit is ever descended into.
func (p *parser) query(path string, level int) (Node, error) {
	if level > p.limits.Depth {
		return Node{}, p.tooDeep(path, level)
	}
	if err := p.open(path, '{', aQuery); err != nil {
		return Node{}, err
	}
	var all []Node
	err := p.keys(path, func(path, key string) error {
		switch key {
		case "$and", "$or":
			node := Node{Op: And}
			if key == "$or" {
				node.Op = Or
			}
			err := p.elements(path, "an array of at least one query", func(path string) error {
				inner, err := p.query(path, level+1)
				node.Nodes = append(node.Nodes, inner)
				return err
			})
			all = append(all, node)
			return err
		case "$not":
			inner, err := p.query(path, level+1)
			all = append(all, Node{Op: Not, Nodes: []Node{inner}})
			return err
		}
		clauses, err := p.name(path, key)
		all = append(all, clauses...)
		return err
	})
	if err != nil || len(all) == 1 {
		return append(all, Node{})[0], err
	}
	return Node{Op: And, Nodes: all}, nil
}

// name reads what stands after a name: a value, or operators.
func (p *parser) name(path, name string) ([]Node, error) {
	native, kept := reserved[name]
	switch {
	case strings.HasPrefix(name, "$"):
		return nil, &Error{path, strconv.Quote(shorten(name)), "$and, $or, $not or a name; operators stand inside a name's object"}
	case !ValidName(name):
		return nil, &Error{path, strconv.Quote(shorten(name)), "a name of 1 to 64 characters of a-z, 0-9 and _"}
	case kept && native == Attribute:
		return nil, &Error{path, strconv.Quote(name) + ", a reserved name", "one of provider, language, zone, opted_in, or an attribute or tag set"}
	}
	clause := Node{Name: name, Native: native}
	token, err := p.next(path)
	if err != nil {
		return nil, err
	}
	if token != json.Delim('{') {
		clause.Op = Equal
		if err := p.value(path, token, &clause, "a value, or an object of $eq, $in, $contains and $exists"); err != nil {
			return nil, err
		}
		return []Node{clause}, p.clause(path)
	}
	var clauses []Node
	err = p.keys(path, func(path, key string) error {
		clause := clause
		if err := p.operator(path, key, &clause); err != nil {
			return err
		}
		clauses = append(clauses, clause)
		return p.clause(path)
	})
	if err == nil && len(clauses) == 0 {
		err = &Error{path, "an empty object", "at least one of $eq, $in, $contains and $exists"}
	}
	return clauses, err
}

func (p *parser) clause(path string) error {
	if p.clauses++; p.clauses > p.limits.Clauses {
		return &Error{path, "one clause more", fmt.Sprintf("at most %d", p.limits.Clauses)}
	}
	return nil
}

// operator reads the operand of one operator into the clause.
func (p *parser) operator(path, key string, clause *Node) error {
	one := func(allowed string) error {
		token, err := p.next(path)
		if err != nil {
			return err
		}
		return p.value(path, token, clause, allowed)
	}
	many := func(allowed string) func(string) error {
		return func(path string) error {
			token, err := p.next(path)
			if err != nil {
				return err
			}
			return p.value(path, token, clause, allowed)
		}
	}
	switch key {
	case "$eq":
		clause.Op = Equal
		return one("text, a number, true or false")
	case "$in":
		clause.Op = In
		return p.elements(path, "an array of at least one value", many("text, a number, true or false"))
	case "$contains":
		clause.Op = Contains
		if clause.Native != Attribute {
			return &Error{path, "$contains on a native field", "$contains on a tag set; $eq or $in here"}
		}
		const allowed = "a tag, or an array of at least one tag"
		token, err := p.next(path)
		if err != nil {
			return err
		}
		if token == json.Delim('[') {
			return p.rest(path, allowed, many("text"))
		}
		return p.value(path, token, clause, allowed)
	case "$exists":
		clause.Op = Exists
		return one("true or false")
	}
	return &Error{path, strconv.Quote(shorten(key)), "one of $eq, $in, $contains, $exists"}
}

// value checks one value for the operator and the field, and appends it.
func (p *parser) value(path string, token json.Token, clause *Node, allowed string) error {
	refuse := func(allowed string) error { return &Error{path, found(token), allowed} }
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
			return refuse("a number of at most 64 bits")
		}
	case nil:
		return refuse(allowed + `; {"$exists": false} finds those without a value`)
	default:
		return refuse(allowed)
	}
	switch {
	case clause.Op == Exists:
		if v.Kind != Flag {
			return refuse("true or false")
		}
	case clause.Op == Contains:
		if v.Kind != Text {
			return refuse(allowed)
		}
	case clause.Native == Provider:
		var provider tocsin.Provider
		if v.Kind != Text || v.Text == "" || provider.UnmarshalText([]byte(v.Text)) != nil {
			return refuse("apns, fcm or webpush")
		}
	case clause.Native == Language:
		if v.Kind != Text {
			return refuse("a language tag, as in fr or fr-ca")
		}
		v.Text = LanguageTag(v.Text)
	case clause.Native == Zone:
		if v.Kind != Text {
			return refuse("a time zone, as in Europe/Paris")
		}
	case clause.Native == OptedIn:
		if v.Kind != Flag {
			return refuse("true or false")
		}
	}
	clause.Values = append(clause.Values, v)
	return nil
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
