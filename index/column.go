package index

import (
	"hash/maphash"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

const (
	// maxBitmaps is the number of distinct values up to which a column keeps
	// a bitmap for each: 2 bytes a row at most.
	maxBitmaps = 1024
	// minPlain is the number of distinct values from which a column of numbers
	// may give up its dictionary.
	minPlain = 4096
)

// column holds one attribute of every row.
type column struct {
	dict    *dictionary
	codes   codes
	bitmaps []*roaring.Bitmap // by code; nil once there were too many values
	plain   *plain            // instead of the others
	mixed   bool              // was plain and met another type: keeps its dictionary for good
}

func newColumn(seed maphash.Seed) *column {
	return &column{dict: newDictionary(seed), bitmaps: []*roaring.Bitmap{nil}}
}

func (c *column) get(row uint32) (Value, bool) {
	if c.plain != nil {
		return c.plain.get(row)
	}
	code := c.codes.get(row)
	if code == 0 {
		return Value{}, false
	}
	return c.dict.value(code), true
}

func (c *column) set(row uint32, v Value) {
	if c.plain != nil {
		if v.Kind == c.plain.kind {
			c.plain.set(row, v.Bits)
			return
		}
		c.uncover()
	}
	old := c.codes.get(row)
	code, created := c.dict.take(v)
	if old == code {
		c.dict.counts[code]--
		return
	}
	c.codes.set(row, code)
	if c.bitmaps != nil {
		if created && int(code) == len(c.bitmaps) {
			c.bitmaps = append(c.bitmaps, nil)
		}
		if c.bitmaps[code] == nil {
			c.bitmaps[code] = roaring.New()
		}
		c.bitmaps[code].Add(row)
	}
	if old != 0 {
		c.forget(row, old)
	}
	if !created {
		return
	}
	if c.dict.distinct() > maxBitmaps {
		c.bitmaps = nil
	}
	if c.dict.distinct() >= minPlain {
		c.lay(v.Kind)
	}
}

func (c *column) remove(row uint32) {
	if c.plain != nil {
		c.plain.remove(row)
		return
	}
	if old := c.codes.get(row); old != 0 {
		c.codes.set(row, 0)
		c.forget(row, old)
	}
}

// empty reports whether no row has a value.
func (c *column) empty() bool {
	if c.plain != nil {
		return !slices.ContainsFunc(c.plain.has, func(rows uint64) bool { return rows != 0 })
	}
	return c.dict.distinct() == 0
}

// forget takes a row away from a code.
func (c *column) forget(row, code uint32) {
	if c.bitmaps != nil {
		c.bitmaps[code].Remove(row)
	}
	if c.dict.drop(code) && c.bitmaps != nil {
		c.bitmaps[code] = nil
	}
}

// matches returns the rows whose value equals one of the values. The caller
// must not change the result.
func (c *column) matches(values []target.Value) *roaring.Bitmap {
	if c.plain != nil {
		return c.plain.matches(values)
	}
	var found []uint32
	for _, v := range values {
		for _, candidate := range candidates(v) {
			if code := c.dict.find(candidate); code != 0 {
				found = append(found, code)
			}
		}
	}
	if len(found) == 0 {
		return roaring.New()
	}
	if c.bitmaps == nil {
		wanted := make([]uint64, len(c.dict.kinds)/64+1)
		for _, code := range found {
			wanted[code>>6] |= 1 << (code & 63)
		}
		return c.codes.selects(wanted)
	}
	if len(found) == 1 {
		return c.bitmaps[found[0]]
	}
	all := make([]*roaring.Bitmap, len(found))
	for i, code := range found {
		all[i] = c.bitmaps[code]
	}
	return roaring.FastOr(all...)
}

// present returns the rows that have a value.
func (c *column) present() *roaring.Bitmap {
	if c.plain != nil {
		return c.plain.present()
	}
	return c.codes.present()
}

// lay turns a column of numbers of one type, nearly all different, into a
// plain one, where a dictionary costs three times as much.
func (c *column) lay(kind Kind) {
	distinct := c.dict.distinct()
	if c.mixed || kind == Text || kind == URL || distinct&(distinct-1) != 0 || distinct < c.codes.rows()/8 {
		return // looked at again at the next power of two
	}
	for _, k := range c.dict.kinds {
		if k != 0 && k != kind {
			return
		}
	}
	p := &plain{kind: kind}
	for row := range uint32(c.codes.rows()) {
		if code := c.codes.get(row); code != 0 {
			p.set(row, int64(c.dict.values[code]))
		}
	}
	c.plain, c.dict, c.codes, c.bitmaps = p, newDictionary(c.dict.seed), codes{}, nil
}

// uncover gives a plain column its dictionary back.
func (c *column) uncover() {
	p := c.plain
	c.plain, c.mixed = nil, true
	for row := range uint32(len(p.values)) {
		if v, ok := p.get(row); ok {
			code, _ := c.dict.take(v)
			c.codes.set(row, code)
		}
	}
}

func (c *column) size() int {
	bytes := c.dict.size() + c.codes.size() + 8*cap(c.bitmaps)
	for _, b := range c.bitmaps {
		if b != nil {
			bytes += int(b.GetSizeInBytes())
		}
	}
	if c.plain != nil {
		bytes += 8*cap(c.plain.values) + 8*cap(c.plain.has)
	}
	return bytes
}
