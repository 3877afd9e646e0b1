package index

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// occurrences are the times that an event had fields on one day, in the order in
// which they came, and by block of their rows. Values have a dictionary for each
// field and day, which goes with the day.
type occurrences struct {
	names  []string
	values []*dictionary // by field
	blocks []fieldBlock
	cost   int

	changes int
}

type fieldBlock struct {
	number uint32
	rows   []uint16
	codes  []codes // by field, then as rows; 0 is none, as is what is beyond the end
}

// What the parts of a time cost, by the measure that bounds them all.
const (
	costTime  = 2
	costCode  = 4
	costValue = 32  // and its bytes
	costField = 256 // of a day
)

// keep notes the fields of one time, and returns what they cost.
func (d *eventDay) keep(row uint32, fields []Field, seed maphash.Seed) (cost int) {
	if d.fields == nil {
		d.fields = &occurrences{}
	}
	f := d.fields
	f.changes++
	at, found := f.block(row >> 16)
	if !found {
		f.blocks = slices.Insert(f.blocks, at, fieldBlock{number: row >> 16})
	}
	b := &f.blocks[at]
	place := uint32(len(b.rows))
	b.rows = append(b.rows, uint16(row))
	cost = costTime
	for _, one := range fields {
		n := slices.Index(f.names, one.Name)
		if n < 0 {
			n = len(f.names)
			f.names = append(f.names, strings.Clone(one.Name))
			f.values = append(f.values, newDictionary(seed))
			cost += costField
		}
		code, created := f.values[n].take(one.Value)
		if created {
			cost += costValue + len(one.Value.Text)
		}
		for len(b.codes) <= n {
			b.codes = append(b.codes, codes{})
		}
		b.codes[n].set(place, code)
		cost += costCode
	}
	f.cost += cost
	return cost
}

func (f *occurrences) block(number uint32) (at int, found bool) {
	return slices.BinarySearchFunc(f.blocks, number, func(b fieldBlock, number uint32) int { return cmp.Compare(b.number, number) })
}

// each calls for the times of a row, with the place of each in its block.
func (f *occurrences) each(row uint32, do func(b *fieldBlock, place uint32)) {
	at, found := f.block(row >> 16)
	if !found {
		return
	}
	b := &f.blocks[at]
	for place := len(b.rows) - 1; place >= 0; place-- { // do may take it out
		if b.rows[place] == uint16(row) {
			do(b, uint32(place))
		}
	}
}

// remove forgets the times of a row, and returns what they cost.
func (f *occurrences) remove(row uint32) (cost int) {
	f.changes++
	f.each(row, func(b *fieldBlock, place uint32) {
		last := uint32(len(b.rows) - 1)
		cost += costTime
		for n := range b.codes {
			c := &b.codes[n]
			if code := c.get(place); code != 0 {
				cost += costCode
				if f.values[n].counts[code] == 1 {
					cost += costValue + len(f.values[n].value(code).Text)
				}
				f.values[n].drop(code)
			}
			if moved := c.get(last); moved != 0 || int(place) < c.rows() {
				c.set(place, moved)
			}
			c.cut(int(last))
		}
		b.rows[place] = b.rows[last]
		b.rows = b.rows[:last]
	})
	f.cost -= cost
	return cost
}

func (f *occurrences) clone() *occurrences {
	c := &occurrences{names: slices.Clone(f.names), values: slices.Clone(f.values), blocks: slices.Clone(f.blocks), cost: f.cost}
	for i, d := range c.values {
		c.values[i] = d.clone()
	}
	for i := range c.blocks {
		b := &c.blocks[i]
		b.rows, b.codes = slices.Clone(b.rows), slices.Clone(b.codes)
		for n := range b.codes {
			b.codes[n] = b.codes[n].clone()
		}
	}
	return c
}

// clone is a copy that changes by itself; bytes are shared, as they never change.
func (d *dictionary) clone() *dictionary {
	c := *d
	c.table.slots, c.table.marks = slices.Clone(d.table.slots), slices.Clone(d.table.marks)
	c.kinds, c.values, c.counts, c.free = slices.Clone(d.kinds), CellsOf(d.values.flat()), slices.Clone(d.counts), slices.Clone(d.free)
	c.arena = d.arena.clone()
	return &c
}

func (f *occurrences) size() (bytes int) {
	for _, d := range f.values {
		bytes += d.size()
	}
	for i := range f.blocks {
		b := &f.blocks[i]
		bytes += 56 + 2*cap(b.rows) + 80*cap(b.codes)
		for n := range b.codes {
			bytes += b.codes[n].size()
		}
	}
	return bytes
}
