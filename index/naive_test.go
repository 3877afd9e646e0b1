package index

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// naive is the rows as maps, and the language read off its description.
type naive map[uint32]*person

type person struct {
	attributes map[string]Value
	tags       map[string][]string
}

func (n naive) row(row uint32) *person {
	if n[row] == nil {
		n[row] = &person{make(map[string]Value), make(map[string][]string)}
	}
	return n[row]
}

func (p *person) changeTags(name string, clear bool, replace, add, remove []string) {
	var now []string
	if !clear {
		now, replace = p.tags[name], nil
	}
	for _, tag := range slices.Concat(replace, add) {
		if !slices.Contains(now, tag) {
			now = append(slices.Clone(now), tag)
		}
	}
	now = slices.DeleteFunc(slices.Clone(now), func(tag string) bool { return slices.Contains(remove, tag) })
	p.tags[name] = now
}

func (p *person) matches(n *target.Node) bool {
	inner := func(n target.Node) bool { return p.matches(&n) }
	value, has := p.attributes[n.Name]
	switch n.Op {
	case target.And:
		return !slices.ContainsFunc(n.Nodes, func(n target.Node) bool { return !inner(n) })
	case target.Or:
		return slices.ContainsFunc(n.Nodes, inner)
	case target.Not:
		return !inner(n.Nodes[0])
	case target.Equal, target.In:
		return has && slices.ContainsFunc(n.Values, func(v target.Value) bool { return equal(value, v) })
	case target.Contains:
		return slices.ContainsFunc(n.Values, func(v target.Value) bool { return slices.Contains(p.tags[n.Name], v.Text) })
	case target.Exists:
		return (has || len(p.tags[n.Name]) > 0) == n.Values[0].Flag
	}
	panic("an operator that nobody wrote down")
}

func equal(stored Value, asked target.Value) bool {
	switch stored.Kind {
	case Text, URL:
		return asked.Kind == target.Text && asked.Text == stored.Text
	case Time:
		at, err := time.Parse(time.RFC3339, asked.Text)
		return err == nil && asked.Kind == target.Text && at.Equal(time.Unix(0, stored.Bits))
	case Integer:
		return asked.Kind == target.Integer && asked.Integer == stored.Bits
	case Real:
		number := math.Float64frombits(uint64(stored.Bits))
		return asked.Kind == target.Real && asked.Real == number ||
			asked.Kind == target.Integer && number == math.Trunc(number) && math.Abs(number) < 1<<60 && int64(number) == asked.Integer
	case Flag:
		return asked.Kind == target.Flag && asked.Flag == (stored.Bits == 1)
	}
	return false
}

func (n naive) run(q *target.Query, all []uint32) (rows []uint32) {
	for _, row := range all {
		if n.row(row).matches(q.Root()) {
			rows = append(rows, row)
		}
	}
	return rows
}

func (n naive) agrees(x *Index) bool {
	for row, p := range n {
		if !maps.Equal(maps.Collect(x.Attributes(row)), p.attributes) {
			return false
		}
		for name, tags := range p.tags {
			if !slices.Equal(x.Tags(row, name), tags) {
				return false
			}
		}
	}
	return true
}
