package index

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Index is the attributes and tag sets of some rows. A name may be both; the
// operators tell which is meant.
type Index struct {
	seed    maphash.Seed
	shape   shape
	columns map[string]*column
	sets    map[string]*set
	lately  lately
}

// New returns an empty index. The hash seed is drawn anew; no result depends
// on it.
func New() *Index {
	return &Index{seed: maphash.MakeSeed(), shape: usual, columns: make(map[string]*column), sets: make(map[string]*set)}
}

// Set gives a row a value. Name and text are copied.
func (x *Index) Set(row uint32, name string, v Value) {
	c := x.columns[name]
	if c == nil {
		maps.DeleteFunc(x.columns, func(_ string, old *column) bool { return old.empty() })
		c = newColumn(x.seed, x.shape)
		x.columns[strings.Clone(name)] = c
		x.lately.forget()
	}
	c.set(row, v)
}

// Remove takes a row's value away.
func (x *Index) Remove(row uint32, name string) {
	if c := x.columns[name]; c != nil {
		c.remove(row)
	}
}

// Get returns a row's value.
func (x *Index) Get(row uint32, name string) (Value, bool) { return x.Column(name).Get(row) }

// Column is one attribute of every row, for reading many rows in a row.
type Column struct{ column *column }

// Column looks a name up once. The result is valid until the next write.
func (x *Index) Column(name string) Column { return Column{x.columns[name]} }

// Get returns a row's value.
func (c Column) Get(row uint32) (Value, bool) {
	if c.column == nil {
		return Value{}, false
	}
	return c.column.get(row)
}

// ChangeTags replaces a row's tag set by replace when clear holds; then it
// adds, then it removes.
func (x *Index) ChangeTags(row uint32, name string, clear bool, replace, add, remove []string) {
	s := x.sets[name]
	if s == nil {
		if len(replace)+len(add) == 0 {
			return
		}
		maps.DeleteFunc(x.sets, func(_ string, old *set) bool { return old.dict.distinct() == 0 })
		s = newSet(x.seed)
		x.sets[strings.Clone(name)] = s
	}
	s.change(row, clear, replace, add, remove)
}

// Tags returns a row's tags of one set, in the order they were added.
func (x *Index) Tags(row uint32, name string) (tags []string) {
	if s := x.sets[name]; s != nil {
		for _, code := range s.codesOf(row, nil) {
			tags = append(tags, s.dict.value(code).Text)
		}
	}
	return tags
}

// Clear takes everything away from a row.
func (x *Index) Clear(row uint32) {
	for _, c := range x.columns {
		c.remove(row)
	}
	for _, s := range x.sets {
		if s.lists.At(row) != 0 {
			s.change(row, true, nil, nil, nil)
		}
	}
}

// Wipe takes everything away from a row, and leaves nothing of it in memory that
// no other row has.
func (x *Index) Wipe(row uint32) {
	for _, c := range x.columns {
		c.wipe(row)
	}
	for _, s := range x.sets {
		s.wipe(row)
	}
}

// Attributes yields a row's values by name, in the order of names.
func (x *Index) Attributes(row uint32) iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, name := range slices.Sorted(maps.Keys(x.columns)) {
			if v, ok := x.columns[name].get(row); ok && !yield(name, v) {
				return
			}
		}
	}
}

// TagSets yields a row's tag sets that are not empty, in the order of names.
func (x *Index) TagSets(row uint32) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for _, name := range slices.Sorted(maps.Keys(x.sets)) {
			if tags := x.Tags(row, name); len(tags) > 0 && !yield(name, tags) {
				return
			}
		}
	}
}

// Known returns the names of attributes and of tag sets that some row has.
func (x *Index) Known() (names []string) {
	for name, c := range x.columns {
		if !c.empty() {
			names = append(names, name)
		}
	}
	for name, s := range x.sets {
		if s.dict.distinct() > 0 {
			names = append(names, name)
		}
	}
	return names
}

// Has reports whether some row has an attribute, or a tag set, of this name.
func (x *Index) Has(name string) (attribute, set bool) {
	c, s := x.columns[name], x.sets[name]
	return c != nil && !c.empty(), s != nil && s.dict.distinct() > 0
}

// Weight is the memory of one attribute, or of one set of tags.
type Weight struct {
	Name  string
	Set   bool // of tags
	Bytes int
}

// Weights tells the memory of every attribute and set of tags, small fixed parts
// left out.
func (x *Index) Weights() (all []Weight) {
	for name, c := range x.columns {
		all = append(all, Weight{Name: name, Bytes: c.size()})
	}
	for name, s := range x.sets {
		all = append(all, Weight{Name: name, Set: true, Bytes: s.size()})
	}
	return all
}

// Size is the memory of all of them.
func (x *Index) Size() (bytes int) {
	for _, part := range x.Weights() {
		bytes += part.Bytes
	}
	return bytes
}
