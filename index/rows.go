package index

import (
	"math/bits"
	"slices"
)

const (
	blockRows  = 1 << 16 // rows that are stored and evaluated together
	blockWords = blockRows / 64
	maxListed  = 4096 // rows of a block that are listed; more stand in a bit set
)

// words are rows of one block, a bit each.
type words [blockWords]uint64

func (w *words) empty() bool {
	for _, word := range w {
		if word != 0 {
			return false
		}
	}
	return true
}

// list tells which rows they are, when there are so many.
func (w *words) list(count int) []uint16 {
	listed := make([]uint16, 0, count)
	for i, word := range w {
		for ; word != 0; word &= word - 1 {
			listed = append(listed, uint16(i<<6|bits.TrailingZeros64(word)))
		}
	}
	return listed
}

func (w *words) count() (n int) {
	for _, word := range w {
		n += bits.OnesCount64(word)
	}
	return n
}

// rowSet is a set of rows: blocks in order, each a sorted list or a bit set,
// whichever is smaller. 2 bytes a row at most, an eighth of a byte a row of the
// index at most, and 40 bytes a block in use.
//
// It is what a roaring bitmap is, with its blocks in reach of the evaluation:
// that works through all clauses a block at a time, where a bitmap for each
// clause would be built by the library.
type rowSet struct {
	blocks []block
	count  int
}

type block struct {
	number uint32
	count  int32
	listed []uint16
	set    *words // instead of the list
}

// at finds the block of a number, or its place.
func (s *rowSet) at(number uint32) (place int, found bool) {
	if last := len(s.blocks) - 1; last >= 0 && s.blocks[last].number <= number { // rows mostly come in order
		if s.blocks[last].number == number {
			return last, true
		}
		return last + 1, false
	}
	return slices.BinarySearchFunc(s.blocks, number, func(b block, number uint32) int { return int(b.number) - int(number) })
}

// block returns the block of a number; nil when no row is in it.
func (s *rowSet) block(number uint32) *block {
	if place, ok := s.at(number); ok {
		return &s.blocks[place]
	}
	return nil
}

func (s *rowSet) has(row uint32) bool {
	b := s.block(row >> 16)
	if b == nil {
		return false
	}
	low := uint16(row)
	if b.set != nil {
		return b.set[low>>6]>>(low&63)&1 != 0
	}
	_, in := slices.BinarySearch(b.listed, low)
	return in
}

// add puts a row in that is not there.
func (s *rowSet) add(row uint32) {
	if last := len(s.blocks) - 1; last >= 0 && s.blocks[last].number == row>>16 { // nearly all come behind the others
		b, low := &s.blocks[last], uint16(row)
		if n := len(b.listed); b.set != nil || n < maxListed && b.listed[n-1] < low {
			s.next(row)
			return
		}
	}
	place, ok := s.at(row >> 16)
	if !ok {
		s.blocks = slices.Insert(s.blocks, place, block{number: row >> 16})
	}
	b, low := &s.blocks[place], uint16(row)
	s.count++
	b.count++
	switch n := len(b.listed); {
	case b.set != nil:
		b.set[low>>6] |= 1 << (low & 63)
	case n == maxListed:
		b.set = new(words)
		for _, r := range b.listed {
			b.set[r>>6] |= 1 << (r & 63)
		}
		b.set[low>>6] |= 1 << (low & 63)
		b.listed = nil
	case n == 0 || b.listed[n-1] < low:
		b.listed = append(b.listed, low)
	default:
		at, _ := slices.BinarySearch(b.listed, low)
		b.listed = slices.Insert(b.listed, at, low)
	}
}

// makeRoom gives each set a block for so many rows, which next then puts in. The
// number of the block is above all others.
func makeRoom(sets []rowSet, number uint32, counts []uint32) {
	for i := range sets {
		if counts[i] == 0 {
			continue
		}
		b := block{number: number}
		if counts[i] > maxListed {
			b.set = new(words)
		} else {
			b.listed = make([]uint16, 0, counts[i])
		}
		sets[i].blocks = append(sets[i].blocks, b)
	}
}

// next puts a row in that is not there, into the last block, which is its own: if that
// lists its rows, behind those.
func (s *rowSet) next(row uint32) {
	b, low := &s.blocks[len(s.blocks)-1], uint16(row)
	s.count++
	b.count++
	if b.set != nil {
		b.set[low>>6] |= 1 << (low & 63)
	} else {
		b.listed = append(b.listed, low)
	}
}

// remove takes a row out that is there.
func (s *rowSet) remove(row uint32) {
	place, _ := s.at(row >> 16)
	b, low := &s.blocks[place], uint16(row)
	s.count--
	b.count--
	switch {
	case b.count == 0:
		s.blocks = slices.Delete(s.blocks, place, place+1)
	case b.set == nil:
		at, _ := slices.BinarySearch(b.listed, low)
		b.listed = slices.Delete(b.listed, at, at+1)
	default:
		b.set[low>>6] &^= 1 << (low & 63)
		if b.count > maxListed/2 { // half, so that it does not go to and fro
			return
		}
		b.listed, b.set = b.set.list(int(b.count)), nil
	}
}

// join adds the rows of a block to others.
func (b *block) join(to *words) {
	if b.set != nil {
		for i, word := range b.set {
			to[i] |= word
		}
		return
	}
	for _, r := range b.listed {
		to[r>>6] |= 1 << (r & 63)
	}
}

func (s *rowSet) size() (bytes int) {
	bytes = 40 * cap(s.blocks)
	for i := range s.blocks {
		if bytes += 2 * cap(s.blocks[i].listed); s.blocks[i].set != nil {
			bytes += blockRows / 8
		}
	}
	return bytes
}

// marks is a bit a row.
type marks []uint64

func (m marks) has(row uint32) bool {
	return int(row>>6) < len(m) && m[row>>6]>>(row&63)&1 != 0
}

func (m *marks) set(row uint32) {
	if word := row >> 6; int(word) >= len(*m) {
		*m = append(*m, make(marks, int(word)+1-len(*m))...)
	}
	(*m)[row>>6] |= 1 << (row & 63)
}

func (m marks) clear(row uint32) {
	if int(row>>6) < len(m) {
		m[row>>6] &^= 1 << (row & 63)
	}
}

// keep leaves of the rows of a block those that are marked.
func (m marks) keep(number uint32, rows *words) {
	from := min(int(number)*blockWords, len(m))
	here := m[from:min(from+blockWords, len(m))]
	for i, word := range here {
		rows[i] &= word
	}
	clear(rows[len(here):])
}
