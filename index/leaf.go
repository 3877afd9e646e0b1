package index

import (
	"math/bits"
	"slices"
)

// A leaf is one clause that looks at one column.
type leaf interface {
	// narrow leaves of the rows of a block those that match.
	narrow(number uint32, rows *words)
}

// narrow of marks asks for a value, whatever it is.
func (m marks) narrow(number uint32, rows *words) { m.keep(number, rows) }

// listed is the rows of some values or tags, taken together. Where few rows of
// a block are asked about, their codes are looked at instead.
type listed struct {
	sets  []*rowSet
	codes *coded // nil for tags
}

// Costs in nanoseconds, for choosing between ways; measured on one machine, only
// their ratios matter.
const (
	costWords = 400 // joining a bit set of one block
	costRow   = 1   // joining a listed row, or looking at a row of a column in order
	costLook  = 3   // looking at one row that was picked
)

func (l *listed) narrow(number uint32, rows *words) {
	var only *block
	cost, blocks := 0, 0
	for _, s := range l.sets {
		if b := s.block(number); b != nil {
			only = b
			blocks++
			if cost += len(b.listed) * costRow; b.set != nil {
				cost += costWords
			}
		}
	}
	switch {
	case blocks == 0:
		clear(rows[:])
	case blocks == 1 && only.set != nil:
		for i, word := range only.set {
			rows[i] &= word
		}
	case l.codes != nil && cost > 2*costWords && rows.count()*costLook < cost:
		l.codes.narrow(number, rows)
	default:
		var some words
		for _, s := range l.sets {
			if b := s.block(number); b != nil {
				b.join(&some)
			}
		}
		for i, word := range some {
			rows[i] &= word
		}
	}
}

// coded is the rows of a column whose values pass a test. Codes that are wanted
// are found once for all rows; as long as few rows are asked about, or where the
// distinct values are more than can be tested at a stretch, those of the rows are
// tested instead.
type coded struct {
	codes  *codes
	wanted []uint64 // bit set of codes; nil as long as it was not needed
	dict   *dictionary
	passes func(Value) bool
	tested int
}

func (c *coded) narrow(number uint32, rows *words) {
	if c.wanted == nil {
		if c.tested += rows.count(); c.tested <= c.dict.distinct() || c.dict.distinct() > stretch {
			pick(rows, func(low uint32) bool {
				code := c.codes.get(number<<16 | low)
				return code != 0 && c.passes(c.dict.value(code))
			})
			return
		}
		c.wanted = make([]uint64, len(c.dict.kinds)/64+1)
		for code, kind := range c.dict.kinds {
			if kind != 0 && c.passes(c.dict.value(uint32(code))) {
				c.wanted[code>>6] |= 1 << (code & 63)
			}
		}
	}
	switch c.codes.width {
	case 1:
		choose(rows, c.codes.narrow.Block(number), c.wanted)
	case 2:
		choose(rows, c.codes.middle.Block(number), c.wanted)
	case 4:
		choose(rows, c.codes.wide.Block(number), c.wanted)
	default:
		clear(rows[:])
	}
}

// stretch is how many values are tested at once: for 10 ms at most.
const stretch = 2 * blockRows

// few is the number of rows of a word up to which they are looked at one by one.
const few = 12

// pick leaves the rows that a test lets pass, looking at each alone.
func pick(rows *words, passes func(low uint32) bool) {
	for w := range rows {
		for word := rows[w]; word != 0; word &= word - 1 {
			if bit := bits.TrailingZeros64(word); !passes(uint32(w<<6 | bit)) {
				rows[w] &^= 1 << bit
			}
		}
	}
}

// choose leaves the rows whose code is wanted; code 0 never is.
func choose[T uint8 | uint16 | uint32](rows *words, column []T, wanted []uint64) {
	for w := range rows {
		asked := rows[w]
		if asked == 0 {
			continue
		}
		cells := column[min(w<<6, len(column)):]
		var found uint64
		if len(cells) < 64 || bits.OnesCount64(asked) <= few {
			for ; asked != 0; asked &= asked - 1 {
				bit := bits.TrailingZeros64(asked)
				if bit >= len(cells) {
					break
				}
				found |= (wanted[cells[bit]>>6] >> (cells[bit] & 63) & 1) << bit
			}
			rows[w] = found
			continue
		}
		for i, code := range cells[:64] {
			found |= (wanted[code>>6] >> (code & 63) & 1) << (i & 63)
		}
		rows[w] = asked & found
	}
}

// between leaves the rows whose cell lies in a range.
func between(rows *words, column []uint32, low, high uint32) {
	for w := range rows {
		asked := rows[w]
		if asked == 0 {
			continue
		}
		cells := column[min(w<<6, len(column)):]
		var found uint64
		if len(cells) < 64 || bits.OnesCount64(asked) <= few {
			for ; asked != 0; asked &= asked - 1 {
				bit := bits.TrailingZeros64(asked)
				if bit >= len(cells) {
					break
				}
				found |= inside(cells[bit], low, high) << (bit & 63)
			}
			rows[w] = found
			continue
		}
		for i, cell := range cells[:64] {
			found |= inside(cell, low, high) << (i & 63)
		}
		rows[w] = asked & found
	}
}

// inside is 1 for a cell in a range. It is one comparison and no branch, which
// nobody could foretell.
func inside(cell, low, high uint32) (in uint64) {
	if cell-low <= high-low {
		in = 1
	}
	return in
}

// seconds is a native field that the owner of the rows keeps: 0 is no value.
type seconds struct {
	column    *Cells[uint32]
	low, high uint32 // at least 1
}

func (s *seconds) narrow(number uint32, rows *words) {
	between(rows, s.column.Block(number), s.low, s.high)
}

// numbers is the rows of a plain column whose key lies in a range and passes a
// test, if there is one.
type numbers struct {
	has    marks
	plain  *plain
	span   span
	passes func(key int64) bool
}

func (n *numbers) narrow(number uint32, rows *words) {
	n.has.keep(number, rows)
	cells := n.plain.keys.Block(number)
	n.plain.order.keep(number, rows, cells, n.span)
	if n.passes != nil {
		pick(rows, func(low uint32) bool { return n.passes(cells[low]) })
	}
}

// keySet is some keys. Most others are told apart by a bit of their hash.
type keySet struct {
	sorted []int64
	filter words
}

func keySetOf(keys []int64) *keySet {
	slices.Sort(keys)
	s := &keySet{sorted: slices.Compact(keys)}
	for _, k := range s.sorted {
		h := hashKey(k)
		s.filter[h>>6] |= 1 << (h & 63)
	}
	return s
}

// hashKey is the top 16 bits of a Fibonacci hash.
func hashKey(key int64) uint64 { return uint64(key) * 0x9e3779b97f4a7c15 >> 48 }

func (s *keySet) holds(key int64) bool {
	h := hashKey(key)
	if s.filter[h>>6]>>(h&63)&1 == 0 {
		return false
	}
	_, ok := slices.BinarySearch(s.sorted, key)
	return ok
}
