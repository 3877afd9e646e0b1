package index

import (
	"slices"
	"strings"
)

// Change is what becomes of one attribute of a row.
type Change struct {
	Name   string
	Value  Value
	Remove bool // it goes; Value is not looked at
}

// Apply makes changes to a row, in their order. Whether a name that no row has a
// value for is written, fits says.
func (x *Index) Apply(row uint32, changes []Change, fits func(name string) bool) {
	place := 0
	for i := range changes {
		change := &changes[i]
		column := x.lately.find(&place, change.Name)
		if column == nil || column.empty() {
			if !fits(change.Name) {
				continue
			}
			if !change.Remove {
				x.Set(row, change.Name, change.Value)
				x.lately.insert(&place, change.Name, x.columns[change.Name])
				continue
			}
			if column = x.columns[change.Name]; column == nil {
				continue
			}
		}
		if change.Remove {
			column.remove(row)
		} else {
			column.set(row, change.Value)
		}
	}
}

// lately are the columns that rows were written to of late, in the order of their
// names in a change: most come with the same names in the same order, some of
// them left out, and hundreds of millions of names need no map.
type lately []named

type named struct {
	name   string
	column *column
}

const (
	mostLately = 128
	lookAhead  = 8 // names that a change may leave out
)

// find looks for a name from a place on, and moves the place behind it.
func (l lately) find(place *int, name string) *column {
	for at := *place; at < min(*place+lookAhead, len(l)); at++ {
		if l[at].name == name {
			*place = at + 1
			return l[at].column
		}
	}
	return nil
}

// insert puts a name in at a place, and moves that behind it.
func (l *lately) insert(place *int, name string, c *column) {
	if len(*l) == mostLately {
		*l, *place = (*l)[:0], 0
	}
	*l = slices.Insert(*l, min(*place, len(*l)), named{strings.Clone(name), c})
	*place++
}

// forget is called when names come to mean other columns.
func (l *lately) forget() { *l = nil }
