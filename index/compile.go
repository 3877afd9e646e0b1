package index

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// compiler turns a query into a program for one index, as it is now.
type compiler struct {
	x      *Index
	around *Around
	query  *target.Query
}

func (c *compiler) compile(n *target.Node) *node {
	switch n.Op {
	case target.And, target.Or:
		nodes := make([]*node, len(n.Nodes))
		for i := range nodes {
			nodes[i] = c.compile(&n.Nodes[i])
		}
		return joined(n.Op, nodes...)
	case target.Not:
		return negated(c.compile(&n.Nodes[0]))
	case target.Did:
		return c.event(n.Event)
	case target.Contains, target.ContainsAll:
		return c.tags(n)
	case target.Exists:
		if n.Values[0].Flag {
			return c.present(n)
		}
		return negated(c.present(n))
	}
	if n.Native.Membership() {
		return c.members(n)
	}
	switch n.Native {
	case target.HasProfile:
		return c.hasProfile(n)
	case target.Created:
		return c.seconds(n, &c.around.Created)
	case target.LastActive:
		return c.seconds(n, &c.around.Active)
	}
	col := c.x.columns[n.Name]
	if col == nil {
		return nobody()
	}
	switch n.Op {
	case target.Equal, target.In:
		if !n.Version {
			return col.equal(n.Values)
		}
	case target.NotEqual, target.NotIn:
		if !n.Version {
			return joined(target.And, col.present(), negated(col.equal(n.Values)))
		}
	}
	return c.zoned(n, func(zone *time.Location) *node { return col.passing(n, c.around.Now, zone) })
}

// tags are the rows that have some of the tags, or all of them.
func (c *compiler) tags(n *target.Node) *node {
	op := target.Or
	if n.Op == target.ContainsAll {
		op = target.And
	}
	s := c.x.sets[n.Name]
	if s == nil {
		return nobody()
	}
	codes := make([]uint32, len(n.Values))
	for i, v := range n.Values {
		codes[i] = s.dict.find(Value{Kind: Text, Text: v.Text})
	}
	slices.Sort(codes)
	var nodes []*node
	for _, code := range slices.Compact(codes) {
		if code == 0 {
			nodes = append(nodes, nobody())
		} else {
			nodes = append(nodes, listedNode([]*rowSet{&s.tagged[code]}, nil, s.lists.Len()))
		}
	}
	return joined(op, nodes...)
}

// members are the rows in one of some named sets, or in none of them.
func (c *compiler) members(n *target.Node) *node {
	some := nobody()
	for _, v := range n.Values {
		some = joined(target.Or, some, c.member(target.Member{Field: n.Native, Name: v.Text}))
	}
	if n.Op == target.NotEqual || n.Op == target.NotIn {
		return negated(some)
	}
	return some
}

// member are the rows in one named set. Those of a segment are kept, or its
// definition is compiled in its place.
func (c *compiler) member(m target.Member) *node {
	rows := (*Rows)(nil)
	if m.Field == target.Segment {
		definition := c.query.Segment(m.Name)
		if definition == nil {
			return nobody()
		}
		if c.around.Segment != nil {
			rows = c.around.Segment(definition)
		}
		if rows == nil {
			return (&compiler{c.x, c.around, definition}).compile(definition.Root())
		}
	} else {
		rows = c.around.Members(m)
	}
	if rows == nil || rows.set.count == 0 {
		return nobody()
	}
	return listedNode([]*rowSet{&rows.set}, nil, c.around.Created.Len())
}

// present are the rows that have a value of the name, or a tag in its set.
func (c *compiler) present(n *target.Node) *node {
	switch n.Native {
	case target.HasProfile:
		return everyone()
	case target.Created:
		return secondsNode(&c.around.Created, 1, math.MaxUint32)
	case target.LastActive:
		return secondsNode(&c.around.Active, 1, math.MaxUint32)
	}
	some := nobody()
	if col := c.x.columns[n.Name]; col != nil {
		some = col.present()
	}
	if s := c.x.sets[n.Name]; s != nil && n.Native == target.Attribute {
		some = joined(target.Or, some, s.has.node())
	}
	return some
}

// hasProfile knows that everybody has the field: $ne is the negation of $eq.
func (c *compiler) hasProfile(n *target.Node) *node {
	result := nobody()
	with := secondsNode(&c.around.Profile, 1, math.MaxUint32)
	for _, v := range n.Values {
		if v.Flag {
			result = joined(target.Or, result, with)
		} else {
			result = joined(target.Or, result, negated(with))
		}
	}
	if n.Op == target.NotEqual || n.Op == target.NotIn {
		return negated(result)
	}
	return result
}

// seconds compares a native field that is kept in seconds.
func (c *compiler) seconds(n *target.Node, column *Cells[uint32]) *node {
	return c.zoned(n, func(zone *time.Location) *node {
		s := spanOf(n.Op, func(i int, above bool) (int64, bool) {
			return firstSecond(n.Values[i].At(c.around.Now, zone), above), true
		})
		if s.low, s.high = max(s.low, 1), min(s.high, math.MaxUint32); s.low > s.high {
			return nobody()
		}
		return secondsNode(column, uint32(s.low), uint32(s.high))
	})
}

func secondsNode(column *Cells[uint32], low, high uint32) *node {
	return &node{leaf: &seconds{column, low, high}, share: 0.5, guess: true, cost: blockRows * costRow}
}

// zoned compiles a clause that may ask for the day in the person's own zone:
// once for each instant at which that day begins somewhere. Those whose zone is
// not known live by UTC.
func (c *compiler) zoned(n *target.Node, in func(*time.Location) *node) *node {
	asked := slices.ContainsFunc(n.Values, func(v target.Value) bool { return v.Kind == target.Moment && v.Anchor == target.Today })
	zones := c.x.columns["zone"]
	if !asked || zones == nil {
		return in(time.UTC)
	}
	type instants [2]int64
	at := func(zone *time.Location) (all instants) {
		for i, v := range n.Values {
			all[i] = v.At(c.around.Now, zone)
		}
		return all
	}
	type group struct {
		zone  *time.Location
		codes []uint32
	}
	groups := make(map[instants]*group)
	utc := at(time.UTC)
	for code, kind := range zones.dict.kinds {
		if kind == 0 {
			continue
		}
		zone, ok := c.around.Zone(zones.dict.value(uint32(code)).Text)
		if !ok {
			continue
		}
		key := at(zone)
		if groups[key] == nil {
			groups[key] = &group{zone: zone}
		}
		groups[key].codes = append(groups[key].codes, uint32(code))
	}
	delete(groups, utc)
	var nodes []*node
	var elsewhere []uint32
	for _, g := range groups {
		nodes = append(nodes, joined(target.And, zones.coded(g.codes), in(g.zone)))
		elsewhere = append(elsewhere, g.codes...)
	}
	return joined(target.Or, append(nodes, joined(target.And, negated(zones.coded(elsewhere)), in(time.UTC)))...)
}

// present are the rows of a column that have a value.
func (c *column) present() *node {
	if c.empty() {
		return nobody()
	}
	return c.has.node()
}

func (m marks) node() *node {
	count := 0
	for _, word := range m {
		count += bits.OnesCount64(word)
	}
	return &node{leaf: m, share: float64(count) / float64(64*len(m)+1), cost: costWords}
}

// equal are the rows whose value equals one of the values.
func (c *column) equal(values []target.Value) *node {
	var codes []uint32
	var keys []int64
	for _, v := range values {
		for _, candidate := range candidates(v) {
			switch {
			case c.plain == nil:
				if code := c.dict.find(candidate); code != 0 {
					codes = append(codes, code)
				}
			case candidate.Kind == c.plain.kind:
				keys = append(keys, key(candidate))
			}
		}
	}
	switch {
	case c.plain == nil:
		slices.Sort(codes)
		return c.coded(slices.Compact(codes))
	case len(keys) == 0:
		return nobody()
	}
	some := keySetOf(keys)
	n := c.numbers(span{some.sorted[0], some.sorted[len(some.sorted)-1]}, some.holds)
	if len(some.sorted) == 1 {
		n = c.numbers(span{some.sorted[0], some.sorted[0]}, nil)
	}
	n.share = float64(len(some.sorted)) / float64(c.plain.keys.Len())
	return n
}

func (c *column) numbers(s span, passes func(int64) bool) *node {
	if s.low > s.high {
		return nobody()
	}
	rows := c.plain.order.within(s)
	n := &node{leaf: &numbers{c.has, c.plain, s, passes}, share: float64(rows) / float64(c.plain.keys.Len()), guess: true, cost: blockRows * costRow}
	if passes != nil {
		n.cost += n.share * blockRows * costLook
	}
	return n
}

// coded are the rows with one of the codes, each given once.
func (c *column) coded(codes []uint32) *node {
	if len(codes) == 0 {
		return nobody()
	}
	look := &coded{codes: &c.codes, dict: c.dict, wanted: make([]uint64, len(c.dict.kinds)/64+1)}
	rows := 0
	for _, code := range codes {
		look.wanted[code>>6] |= 1 << (code & 63)
		rows += int(c.dict.counts[code])
	}
	if c.sets == nil {
		return &node{leaf: look, share: float64(rows) / float64(c.codes.rows()), cost: blockRows * costRow}
	}
	if len(codes)*2 <= c.dict.distinct() {
		return listedNode(c.rowsOf(codes), look, c.codes.rows())
	}
	// Fewer rows have the others: those are taken away from all that have a value.
	var others []uint32
	for code, kind := range c.dict.kinds {
		if kind != 0 && look.wanted[code>>6]>>(code&63)&1 == 0 {
			others = append(others, uint32(code))
		}
	}
	if len(others) == 0 {
		return c.present()
	}
	rest := &coded{codes: &c.codes, dict: c.dict, wanted: make([]uint64, len(look.wanted))}
	for _, code := range others {
		rest.wanted[code>>6] |= 1 << (code & 63)
	}
	return joined(target.And, c.present(), negated(listedNode(c.rowsOf(others), rest, c.codes.rows())))
}

func (c *column) rowsOf(codes []uint32) []*rowSet {
	sets := make([]*rowSet, len(codes))
	for i, code := range codes {
		sets[i] = &c.sets[code]
	}
	return sets
}

func listedNode(sets []*rowSet, look *coded, rows int) *node {
	n := &node{leaf: &listed{sets, look}}
	for _, s := range sets {
		n.share += float64(s.count) / float64(max(rows, 1))
		for i := range s.blocks {
			if n.cost += float64(len(s.blocks[i].listed)); s.blocks[i].set != nil {
				n.cost += costWords
			}
		}
	}
	n.share = min(n.share, 1)
	n.cost = costWords + n.cost/float64(rows/blockRows+1)
	return n
}

// passing are the rows whose value passes a clause that is no equality.
func (c *column) passing(n *target.Node, now time.Time, zone *time.Location) *node {
	switch {
	case n.Version:
		return c.tested(versionTest(n))
	case n.Op == target.StartsWith:
		prefix := n.Values[0].Text
		return c.tested(func(v Value) bool { return v.textual() && strings.HasPrefix(v.Text, prefix) })
	case n.Op == target.Near:
		near := circleOf(n)
		if c.plain == nil {
			return c.tested(func(v Value) bool { return v.Kind == Location && near.holds(v.Bits) })
		} else if c.plain.kind == Location {
			return c.numbers(near.span, near.holds)
		}
		return nobody()
	}
	ranges := spansOf(n, now, zone)
	if c.plain != nil {
		return c.numbers(ranges[c.plain.kind], nil)
	}
	return c.tested(func(v Value) bool { return ranges[v.Kind].holds(key(v)) })
}

// tested are the rows whose value passes a test. It is made on the distinct
// values, at once where they are few and have their rows listed, else when it
// is known how many rows are asked about.
func (c *column) tested(passes func(Value) bool) *node {
	if c.plain != nil {
		return nobody()
	}
	if c.sets == nil {
		cost := 4.0 * costRow
		if c.dict.distinct() > stretch { // each row's value lies elsewhere in memory
			cost = 5 * costLook
		}
		return &node{leaf: &coded{codes: &c.codes, dict: c.dict, passes: passes}, share: 0.25, guess: true, cost: blockRows * cost}
	}
	var codes []uint32
	for code, kind := range c.dict.kinds {
		if kind != 0 && passes(c.dict.value(uint32(code))) {
			codes = append(codes, uint32(code))
		}
	}
	return c.coded(codes)
}

// versionTest compares versions; what is none passes nothing.
func versionTest(n *target.Node) func(Value) bool {
	asked := make([]target.Version, len(n.Values))
	for i, v := range n.Values {
		asked[i], _ = target.ParseVersion(v.Text)
	}
	slices.SortFunc(asked, target.Version.Compare) // those of $between are in order
	return func(v Value) bool {
		have, ok := target.ParseVersion(v.Text)
		if !ok || v.Kind != Text {
			return false
		}
		switch c := have.Compare(asked[0]); n.Op {
		case target.Greater:
			return c > 0
		case target.GreaterEqual:
			return c >= 0
		case target.Less:
			return c < 0
		case target.LessEqual:
			return c <= 0
		case target.Between:
			return c >= 0 && have.Compare(asked[1]) <= 0
		}
		_, found := slices.BinarySearchFunc(asked, have, target.Version.Compare)
		return found == (n.Op == target.Equal || n.Op == target.In)
	}
}
