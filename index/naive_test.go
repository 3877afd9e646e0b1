package index

import (
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// naive is the rows as maps, and the language read off its description.
type naive map[uint32]*person

type person struct {
	attributes map[string]Value
	tags       map[string][]string
	events     []happening
	all        naive
}

func (n naive) row(row uint32) *person {
	if n[row] == nil {
		n[row] = &person{attributes: make(map[string]Value), tags: make(map[string][]string), all: n}
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

// seen is a person as a query looks at one: with the row's native fields.
type seen struct {
	*person
	row    uint32
	around *Around
	query  *target.Query
}

func (p seen) matches(n *target.Node) bool {
	inner := func(n target.Node) bool { return p.matches(&n) }
	tags := p.tags[n.Name]
	switch n.Op {
	case target.And:
		return !slices.ContainsFunc(n.Nodes, func(n target.Node) bool { return !inner(n) })
	case target.Or:
		return slices.ContainsFunc(n.Nodes, inner)
	case target.Not:
		return !inner(n.Nodes[0])
	case target.Did:
		return p.did(n.Event)
	case target.Contains:
		return slices.ContainsFunc(n.Values, func(v target.Value) bool { return slices.Contains(tags, v.Text) })
	case target.ContainsAll:
		return !slices.ContainsFunc(n.Values, func(v target.Value) bool { return !slices.Contains(tags, v.Text) })
	}
	if n.Native.Membership() {
		in := slices.ContainsFunc(n.Values, func(v target.Value) bool {
			if n.Native == target.Segment {
				definition := p.query.Segment(v.Text)
				return definition != nil && seen{p.person, p.row, p.around, definition}.matches(definition.Root())
			}
			rows := p.around.Members(target.Member{Field: n.Native, Name: v.Text})
			return rows != nil && rows.Has(p.row)
		})
		return in == (n.Op == target.Equal || n.Op == target.In)
	}
	value, has := p.value(n)
	if n.Op == target.Exists {
		return (has || n.Native == target.Attribute && len(tags) > 0) == n.Values[0].Flag
	}
	if !has {
		return false
	}
	same := func(v target.Value) bool { return equal(value, v) }
	if n.Version {
		have, ok := target.ParseVersion(value.Text)
		if !ok || value.Kind != Text {
			return false
		}
		same = func(v target.Value) bool {
			w, _ := target.ParseVersion(v.Text)
			return have.Compare(w) == 0
		}
	}
	above := func(i int) (order int, comparable bool) { return p.compare(value, n, n.Values[i]) }
	switch n.Op {
	case target.Equal, target.In:
		return slices.ContainsFunc(n.Values, same)
	case target.NotEqual, target.NotIn:
		return !slices.ContainsFunc(n.Values, same)
	case target.StartsWith:
		return (value.Kind == Text || value.Kind == URL) && strings.HasPrefix(value.Text, n.Values[0].Text)
	case target.Near:
		return value.Kind == Location && kilometres(value, n.Values) <= n.Values[2].Number()
	case target.Between:
		low, ok1 := above(0)
		high, ok2 := above(1)
		return ok1 && ok2 && low >= 0 && high <= 0
	}
	order, ok := above(0)
	switch n.Op {
	case target.Greater:
		return ok && order > 0
	case target.GreaterEqual:
		return ok && order >= 0
	case target.Less:
		return ok && order < 0
	case target.LessEqual:
		return ok && order <= 0
	}
	panic("an operator that nobody wrote down")
}

// value is what a clause looks at.
func (p seen) value(n *target.Node) (v Value, has bool) {
	at := func(column Cells[uint32]) (Value, bool) {
		second := column.At(p.row)
		return Value{Kind: Time, Bits: int64(second) * int64(time.Second)}, second != 0
	}
	switch n.Native {
	case target.EventClause:
		return Value{Kind: Integer, Bits: int64(p.times(n.Event))}, true
	case target.Created:
		return at(p.around.Created)
	case target.LastActive:
		return at(p.around.Active)
	case target.HasProfile:
		return FlagValue(p.around.Profile.At(p.row) != 0), true
	}
	v, has = p.attributes[n.Name]
	return v, has
}

// compare orders a stored value against one of a query, if they are of a kind.
func (p seen) compare(stored Value, n *target.Node, asked target.Value) (order int, comparable bool) {
	switch {
	case n.Version:
		have, ok := target.ParseVersion(stored.Text)
		want, _ := target.ParseVersion(asked.Text)
		return have.Compare(want), ok
	case asked.Kind == target.Moment:
		var at time.Time
		switch asked.Anchor {
		case target.Epoch:
			at = time.Unix(0, asked.Integer)
		case target.Now:
			at = p.around.Now.Add(time.Duration(asked.Integer))
		case target.Today: // none of the zones here changes its clocks at midnight
			zone := time.UTC
			if name, ok := p.attributes["zone"]; ok {
				if known, ok := p.around.Zone(name.Text); ok {
					zone = known
				}
			}
			year, month, day := p.around.Now.In(zone).Date()
			at = time.Date(year, month, day+int(asked.Integer), 0, 0, 0, 0, zone)
		}
		return time.Unix(0, stored.Bits).Compare(at), stored.Kind == Time
	}
	return compareNumbers(stored, asked)
}

// compareNumbers compares exactly.
func compareNumbers(stored Value, asked target.Value) (order int, comparable bool) {
	number := new(big.Float).SetPrec(200)
	switch stored.Kind {
	case Integer:
		number.SetInt64(stored.Bits)
	case Real:
		number.SetFloat64(stored.Real())
	default:
		return 0, false
	}
	want := new(big.Float).SetPrec(200)
	switch asked.Kind {
	case target.Integer:
		want.SetInt64(asked.Integer)
	case target.Real:
		want.SetFloat64(asked.Real)
	default:
		return 0, false
	}
	return number.Cmp(want), true
}

// kilometres is the distance by the angle between two vectors.
func kilometres(place Value, centre []target.Value) float64 {
	vector := func(lat, lon float64) (v [3]float64) {
		lat, lon = lat*math.Pi/180, lon*math.Pi/180
		return [3]float64{math.Cos(lat) * math.Cos(lon), math.Cos(lat) * math.Sin(lon), math.Sin(lat)}
	}
	a, b := vector(place.Place()), vector(centre[0].Number(), centre[1].Number())
	cross := math.Sqrt(math.Pow(a[1]*b[2]-a[2]*b[1], 2) + math.Pow(a[2]*b[0]-a[0]*b[2], 2) + math.Pow(a[0]*b[1]-a[1]*b[0], 2))
	return 6371.0088 * math.Atan2(cross, a[0]*b[0]+a[1]*b[1]+a[2]*b[2])
}

func equal(stored Value, asked target.Value) bool {
	switch stored.Kind {
	case Text, URL:
		return asked.Kind == target.Text && asked.Text == stored.Text
	case Time:
		at, err := time.Parse(time.RFC3339, asked.Text)
		return err == nil && asked.Kind == target.Text && at.Equal(time.Unix(0, stored.Bits))
	case Integer, Real:
		order, comparable := compareNumbers(stored, asked)
		return comparable && order == 0
	case Flag:
		return asked.Kind == target.Flag && asked.Flag == (stored.Bits == 1)
	}
	return false
}

func (n naive) run(q *target.Query, all []uint32, around *Around) (rows []uint32) {
	for _, row := range all {
		if (seen{n.row(row), row, around, q}).matches(q.Root()) {
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
