package target

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads and checks a query: the JSON object that stands at "query" in a
// request. Every error it returns is an *Error. Segments are not looked up:
// whoever evaluates such a query finds nobody in them (Library).
func Parse(limits Config, query []byte) (*Query, error) { return parse(limits, query, nil) }

func parse(limits Config, query []byte, segments *Library) (*Query, error) {
	if len(query) > limits.Bytes {
		return nil, &Error{"query", fmt.Sprintf("%d bytes", len(query)), fmt.Sprintf("at most %d", limits.Bytes)}
	}
	if !utf8.Valid(query) {
		return nil, &Error{"query", "bytes that are not UTF-8", "JSON in UTF-8"}
	}
	p := parser{limits: limits, in: json.NewDecoder(bytes.NewReader(query)), segments: segments, bytes: len(query)}
	p.in.UseNumber()
	root, err := p.query("query", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{"query", "something after its end", "one object"}
	}
	depth := root.depth(p.found)
	if depth > limits.Depth {
		return nil, p.tooDeep("query", depth)
	}
	if segments == nil {
		return &Query{root: root, paths: p.paths}, nil
	}
	return &Query{root: root, paths: p.paths, segments: p.found, size: size{depth, p.clauses, p.events, p.values, p.bytes}}, nil
}

// size is what limits are held against; that of the segments that are named is
// part of it, each time one is named.
type size struct{ depth, clauses, events, values, bytes int }

func (n *Node) depth(segments map[string]*Query) (deepest int) {
	if n.Op > Not {
		if n.Native == Segment {
			for _, v := range n.Values {
				if q := segments[v.Text]; q != nil {
					deepest = max(deepest, 1+q.size.depth)
				}
			}
		}
		return deepest
	}
	for i := range n.Nodes {
		deepest = max(deepest, n.Nodes[i].depth(segments))
	}
	return deepest + 1
}

type parser struct {
	limits   Config
	in       *json.Decoder
	segments *Library          // nil: they are not looked up
	found    map[string]*Query // of them, those that were named
	paths    map[Member]string

	clauses, events, values, bytes int
}

// names notes where a set is named first.
func (p *parser) names(m Member, path string) {
	if p.paths == nil {
		p.paths = make(map[Member]string)
	}
	if p.paths[m] == "" {
		p.paths[m] = path
	}
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
	native, kept := reserved(name)
	switch {
	case strings.HasPrefix(name, "$"):
		allowed := "$and, $or, $not or a name; operators stand inside a name's object"
		return nil, &Error{path, strconv.Quote(shorten(name)), suggest(allowed, name, "$and", "$or", "$not")}
	case !ValidName(name):
		return nil, &Error{path, strconv.Quote(shorten(name)), "a name of 1 to 64 characters of a-z, 0-9 and _"}
	case kept && native == Attribute:
		return nil, &Error{path, strconv.Quote(name) + ", a reserved name", "one of " + nativeNames + ", or an attribute or tag set"}
	}
	if native == EventClause {
		clause, err := p.event(path)
		return []Node{clause}, err
	}
	return p.named(path, Node{Name: name, Native: native})
}

// named reads what stands after the name of a clause.
func (p *parser) named(path string, clause Node) ([]Node, error) {
	native := clause.Native
	token, err := p.next(path)
	if err != nil {
		return nil, err
	}
	if token == json.Delim('{') {
		return p.operators(path, clause)
	}
	if clause.Op = Equal; !native.allows(Equal, false) {
		return nil, &Error{path, found(token), "an object of " + native.allowed(false)}
	}
	if err := p.value(path, token, &clause, "a value, or an object of operators"); err != nil {
		return nil, err
	}
	return []Node{clause}, p.clause(path)
}

// operators reads an object of operators whose brace was read; all is the
// clause that each of them begins from.
func (p *parser) operators(path string, all Node) (clauses []Node, err error) {
	err = p.keys(path, func(path, key string) error {
		if key == "$version" && (all.Native == Attribute || all.Native == AppVersion || all.Native == EventField) && !all.Version {
			versions := all
			versions.Version = true
			if err := p.open(path, '{', "an object of "+all.Native.allowed(true)); err != nil {
				return err
			}
			inner, err := p.operators(path, versions)
			clauses = append(clauses, inner...)
			return err
		}
		clause := all
		if err := p.operator(path, key, &clause); err != nil {
			return err
		}
		clauses = append(clauses, clause)
		return p.clause(path)
	})
	if err == nil && len(clauses) == 0 {
		err = &Error{path, "an empty object", "at least one of " + all.Native.allowed(all.Version)}
	}
	return clauses, err
}

func (p *parser) clause(path string) error {
	if p.clauses++; p.clauses > p.limits.Clauses {
		return &Error{path, "one clause more", fmt.Sprintf("at most %d", p.limits.Clauses)}
	}
	return nil
}
