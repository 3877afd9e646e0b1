package index

import "math/bits"

// Drop takes an attribute away from every row.
func (x *Index) Drop(name string) {
	delete(x.columns, name)
	x.lately.forget()
}

// DropSet takes a set of tags away from every row.
func (x *Index) DropSet(name string) { delete(x.sets, name) }

// Rename gives an attribute another name. A row that has a value of that name
// keeps it and loses the one renamed.
func (x *Index) Rename(from, to string) {
	c, there := x.columns[from], x.columns[to]
	if from == to || c == nil || c.empty() {
		return
	}
	delete(x.columns, from)
	x.lately.forget()
	if there == nil || there.empty() {
		x.columns[to] = c
		return
	}
	c.has.each(func(row uint32) {
		if v, ok := c.get(row); ok && !there.has.has(row) {
			there.set(row, v)
		}
	})
}

// RenameSet is Rename for a set of tags.
func (x *Index) RenameSet(from, to string) {
	s, there := x.sets[from], x.sets[to]
	if from == to || s == nil || s.dict.distinct() == 0 {
		return
	}
	if there == nil || there.dict.distinct() == 0 {
		x.sets[to] = s
	} else {
		s.has.each(func(row uint32) {
			if !there.has.has(row) {
				there.change(row, true, x.Tags(row, from), nil, nil)
			}
		})
	}
	delete(x.sets, from)
}

// each calls f for the rows that are marked.
func (m marks) each(f func(row uint32)) {
	for at, word := range m {
		for ; word != 0; word &= word - 1 {
			f(uint32(at<<6 | bits.TrailingZeros64(word)))
		}
	}
}
