package index

import (
	"cmp"
	"slices"
	"strings"
)

// Batch gathers what is written of many rows, and writes it column by column: what
// one column looks at stays near the processor, where a row at a time would push
// it out with all the others. Names and texts must stay as they are until Write.
// Of one row, or of rows that are gathered twice, nothing may be read or written
// otherwise meanwhile.
type Batch struct {
	columns []pending
	count   int // of columns that were gathered for, in the order in which they came
	place   int // of the next name of a row
}

// pending is what one column, or one set of tags, is to get.
type pending struct {
	name   string
	set    bool
	come   int // its turn; 0: nothing is gathered
	rows   []uint32
	values []Value
	tags   []TagChange
}

// TagChange is what becomes of one set of tags of a row; see ChangeTags.
type TagChange struct {
	Clear                bool
	Replace, Add, Remove []string
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool { return b.count == 0 }

// Row begins the next row.
func (b *Batch) Row() { b.place = 0 }

// Set gathers a value of a row.
func (b *Batch) Set(row uint32, name string, v Value) {
	p := b.of(name, false)
	p.rows, p.values = append(p.rows, row), append(p.values, v)
}

// ChangeTags gathers a change of a set of tags.
func (b *Batch) ChangeTags(row uint32, name string, c TagChange) {
	p := b.of(name, true)
	p.rows, p.tags = append(p.rows, row), append(p.tags, c)
}

// of finds what a name has gathered. Rows come with the same names in the same
// order, some of them left out.
func (b *Batch) of(name string, set bool) *pending {
	for i := range b.columns {
		at := b.place + i
		if at >= len(b.columns) {
			at -= len(b.columns)
		}
		if p := &b.columns[at]; p.name == name && p.set == set {
			b.place = at + 1
			return b.begin(p)
		}
	}
	if len(b.columns) == mostLately && b.Empty() {
		b.columns = nil // names of long ago
	}
	b.columns = append(b.columns, pending{name: strings.Clone(name), set: set})
	b.place = len(b.columns)
	return b.begin(&b.columns[b.place-1])
}

func (b *Batch) begin(p *pending) *pending {
	if p.come == 0 {
		b.count++
		p.come = b.count
	}
	return p
}

// Write writes what is gathered to x, the columns in the order in which they came
// first. Whether a name that no row has a value for is written, fits says.
func (b *Batch) Write(x *Index, fits func(name string) bool) {
	if b.Empty() {
		return
	}
	turns := make([]*pending, 0, b.count)
	for i := range b.columns {
		if b.columns[i].come > 0 {
			turns = append(turns, &b.columns[i])
		}
	}
	slices.SortFunc(turns, func(x, y *pending) int { return cmp.Compare(x.come, y.come) })
	for _, p := range turns {
		p.write(x, fits)
		clear(p.values) // they stand in what was read
		clear(p.tags)
		p.come, p.rows, p.values, p.tags = 0, p.rows[:0], p.values[:0], p.tags[:0]
	}
	b.count = 0
}

func (p *pending) write(x *Index, fits func(name string) bool) {
	if p.set {
		for i, row := range p.rows {
			c := &p.tags[i]
			x.ChangeTags(row, p.name, c.Clear, c.Replace, c.Add, c.Remove)
		}
		return
	}
	if c := x.columns[p.name]; (c == nil || c.empty()) && !fits(p.name) {
		return
	}
	x.Set(p.rows[0], p.name, p.values[0])
	x.columns[p.name].setAll(p.rows[1:], p.values[1:])
}
