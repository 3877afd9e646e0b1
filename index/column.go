package index

import (
	"hash/maphash"
	"slices"
)

// shape says what columns look like for how many distinct values.
type shape struct {
	sets  int // up to so many, a column keeps the rows of each: 2 bytes a row at most
	plain int // from so many on, a column of numbers may give up its dictionary ...
	rows  int // ... if there is one for each so many rows
	doers int // up to so many rows of a block are looked up one by one when an event is asked about
}

// usual is the shape of all indexes; tests take smaller numbers.
var usual = shape{sets: 1024, plain: 4096, rows: 8, doers: 32}

// column holds one attribute of every row.
type column struct {
	shape shape
	has   marks // rows that have a value
	dict  *dictionary
	codes codes
	sets  []rowSet // by code; nil once there were too many values
	plain *plain   // instead of the last three
	mixed bool     // was plain and met another type: keeps its dictionary for good
}

func newColumn(seed maphash.Seed, s shape) *column {
	return &column{shape: s, dict: newDictionary(seed), sets: []rowSet{{}}}
}

func (c *column) get(row uint32) (Value, bool) {
	switch {
	case !c.has.has(row):
		return Value{}, false
	case c.plain != nil:
		return c.plain.get(row), true
	}
	return c.dict.value(c.codes.get(row)), true
}

func (c *column) set(row uint32, v Value) {
	if c.plain != nil {
		if v.Kind == c.plain.kind {
			c.plain.set(c.has, row, v.Bits)
			c.has.set(row)
			return
		}
		c.uncover()
	}
	code, created := c.dict.take(v)
	made := 0
	if created {
		made = c.dict.distinct()
	}
	c.put(row, code, made, v.Kind)
}

// together is how many rows are written at once: what they look at is fetched at the
// same time.
const together = 64

// setAll is set for several rows. What lies far from the processor it reads for many of
// them before it works with any.
func (c *column) setAll(rows []uint32, values []Value) {
	const large = 1 << 10 // distinct values; fewer are near anyway
	var hashes [together]uint64
	var codes, made [together]uint32 // made: how many distinct values there were then; 0: the value was there
	for len(rows) > 0 {
		n := min(together, len(rows))
		fetch := c.dict.distinct() >= large
		if fetch {
			for i := range n {
				hashes[i] = c.dict.hash(values[i])
			}
			c.dict.fetch(hashes[:n])
		}
		laid := c.plain != nil
		for i := 0; i < n && !laid; i++ {
			created := false
			if fetch {
				codes[i], created = c.dict.takeHashed(hashes[i], values[i])
			} else {
				codes[i], created = c.dict.take(values[i])
			}
			if made[i] = 0; created {
				made[i] = uint32(c.dict.distinct())
			}
		}
		if !laid {
			c.fetch(codes[:n], rows[0])
		}
		for i, row := range rows[:n] {
			if laid = laid || c.plain != nil; laid { // since a few rows: the codes are none any more
				c.set(row, values[i])
			} else {
				c.put(row, codes[i], int(made[i]), values[i].Kind)
			}
		}
		rows, values = rows[n:], values[n:]
	}
}

// fetch reads where rows of some codes go, the first of which is row.
func (c *column) fetch(codes []uint32, row uint32) {
	var room [together]*block
	last, seen, word := room[:0], uint32(0), row&0xffff>>6
	for _, code := range codes {
		if int(code) < len(c.sets) {
			if at := len(c.sets[code].blocks) - 1; at >= 0 {
				last = append(last, &c.sets[code].blocks[at])
			}
		}
	}
	for _, b := range last {
		if b.set != nil {
			seen += uint32(b.set[word])
		} else {
			seen += uint32(b.listed[len(b.listed)-1])
		}
	}
	keep(seen)
}

// put gives a row a code that was taken for it. made is how many distinct values there
// were when the code was made, 0 when its value was there before.
func (c *column) put(row, code uint32, made int, kind Kind) {
	old := c.codes.get(row)
	if old == code {
		c.dict.counts[code]--
		return
	}
	c.codes.set(row, code)
	c.has.set(row)
	if c.sets != nil {
		if made > 0 && int(code) == len(c.sets) {
			c.sets = append(c.sets, rowSet{})
		}
		c.sets[code].add(row)
	}
	if old != 0 {
		c.forget(row, old, c.dict.drop)
	}
	if made > c.shape.sets {
		c.sets = nil
	}
	if made > 0 && made >= c.shape.plain {
		c.lay(kind, made)
	}
}

func (c *column) remove(row uint32) { c.without(row, c.dict.drop) }

// wipe is remove, and leaves nothing of the value in memory if nobody else has it.
func (c *column) wipe(row uint32) { c.without(row, c.dict.wipe) }

func (c *column) without(row uint32, drop func(code uint32)) {
	if !c.has.has(row) {
		return
	}
	c.has.clear(row)
	if c.plain != nil {
		c.plain.order.clear(row)
		c.plain.keys.Set(row, 0) // it is to leave the snapshots too
		return
	}
	old := c.codes.get(row)
	c.codes.set(row, 0)
	c.forget(row, old, drop)
}

// empty reports whether no row has a value.
func (c *column) empty() bool {
	if c.plain != nil {
		return !slices.ContainsFunc(c.has, func(rows uint64) bool { return rows != 0 })
	}
	return c.dict.distinct() == 0
}

// forget takes a row away from a code.
func (c *column) forget(row, code uint32, drop func(code uint32)) {
	if c.sets != nil {
		c.sets[code].remove(row)
	}
	drop(code)
}

// lay turns a column of numbers of one type, nearly all different, into a
// plain one, where a dictionary costs three times as much.
func (c *column) lay(kind Kind, distinct int) {
	if c.mixed || kind == Text || kind == URL || distinct&(distinct-1) != 0 || distinct < c.codes.rows()/c.shape.rows {
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
			p.keys.Set(row, key(c.dict.value(code)))
		}
	}
	p.order = slice(c.has, &p.keys)
	c.plain, c.dict, c.codes, c.sets = p, newDictionary(c.dict.seed), codes{}, nil
}

// uncover gives a plain column its dictionary back.
func (c *column) uncover() {
	p := c.plain
	c.plain, c.mixed = nil, true
	for row := range uint32(p.keys.Len()) {
		if c.has.has(row) {
			code, _ := c.dict.take(p.get(row))
			c.codes.set(row, code)
		}
	}
}

func (c *column) size() int {
	bytes := 8*cap(c.has) + c.dict.size() + c.codes.size() + 32*cap(c.sets)
	for i := range c.sets {
		bytes += c.sets[i].size()
	}
	if c.plain != nil {
		bytes += c.plain.size()
	}
	return bytes
}
