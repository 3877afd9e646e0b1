package index

import (
	"math/bits"
	"slices"
)

// bins is how many parts the keys of a plain column are divided into.
const bins = 256

// sliced is the order of a plain column's keys in short: for each row the number
// of the bin that its key falls into, a byte a row, kept as eight words for each
// 64 rows, the highest bit first. A comparison works on 64 rows at a time, and
// looks at the keys of those in its first and its last bin only. Bins hold about
// as many rows each when they are made; they are made anew when one has grown
// large.
type sliced struct {
	bounds  [bins - 1]int64 // least key of each bin but the first
	counts  [bins]int
	planes  []uint64
	changes int // since the bins were made
}

// bin is the number of the bin that a key falls into.
func (s *sliced) bin(key int64) int {
	low := 0
	for step := bins / 2; step > 0; step /= 2 {
		if s.bounds[low+step-1] <= key {
			low += step
		}
	}
	return low
}

// slice makes the bins of all rows that have a key.
func slice(has marks, keys *Cells[int64]) *sliced {
	const sample = 8 * bins
	rows := keys.Len()
	s := &sliced{planes: make([]uint64, (rows+63)/64*8)}
	var some []int64
	for i := range min(sample, rows) { // at even distances
		if row := uint32(i * rows / min(sample, rows)); has.has(row) {
			some = append(some, keys.At(row))
		}
	}
	slices.Sort(some)
	for i := range s.bounds {
		if len(some) > 0 {
			s.bounds[i] = some[(i+1)*len(some)/bins]
		}
	}
	for row := range uint32(rows) {
		if has.has(row) {
			s.put(row, s.bin(keys.At(row)))
		}
	}
	return s
}

// put gives a row its bin; its bits are 0.
func (s *sliced) put(row uint32, bin int) {
	s.counts[bin]++
	at := s.planes[row>>6<<3:][:8]
	for i := range at {
		at[i] |= uint64(bin>>(7-i)&1) << (row & 63)
	}
}

// clear takes a row out of its bin.
func (s *sliced) clear(row uint32) {
	at, bin := s.planes[row>>6<<3:][:8], 0
	for i := range at {
		bin = bin<<1 | int(at[i]>>(row&63)&1)
		at[i] &^= 1 << (row & 63)
	}
	s.counts[bin]--
}

// set moves a row that had a key, or had none, to another; false asks for new
// bins.
func (s *sliced) set(row uint32, had bool, key int64, rows int) (fits bool) {
	for int(row>>6<<3)+8 > len(s.planes) {
		s.planes = append(s.planes, 0)
	}
	if had {
		s.clear(row)
	}
	bin := s.bin(key)
	s.put(row, bin)
	s.changes++
	one := bin > 0 && bin < bins-1 && s.bounds[bin-1]+1 >= s.bounds[bin] // holds one key, and cannot be parted
	return one || s.counts[bin] < 1024+rows/16 || s.changes < rows/16
}

// within is about how many rows lie in a range.
func (s *sliced) within(in span) (rows int) {
	for bin := s.bin(in.low); bin <= s.bin(in.high); bin++ {
		rows += s.counts[bin]
	}
	return rows
}

// keep leaves the rows of a block whose key lies in a range.
func (s *sliced) keep(number uint32, rows *words, keys []int64, in span) {
	low, high := s.bin(in.low), s.bin(in.high)
	planes := s.planes[min(int(number)*blockWords*8, len(s.planes)):]
	for w := range rows {
		asked := rows[w]
		if asked == 0 {
			continue
		}
		look := asked
		rows[w] = 0
		if bits.OnesCount64(asked) > few {
			at := planes[w*8:][:8]
			above, below, isLow, isHigh := uint64(0), uint64(0), asked, asked
			for i, plane := range at {
				if low>>(7-i)&1 == 0 {
					above |= isLow & plane
					isLow &^= plane
				} else {
					isLow &= plane
				}
				if high>>(7-i)&1 != 0 {
					below |= isHigh &^ plane
					isHigh &= plane
				} else {
					isHigh &^= plane
				}
			}
			rows[w] = above & below
			look = isLow | isHigh
		}
		for ; look != 0; look &= look - 1 {
			if bit := bits.TrailingZeros64(look); in.holds(keys[w<<6|bit]) {
				rows[w] |= 1 << bit
			}
		}
	}
}

func (s *sliced) size() int { return 8*cap(s.planes) + 16*bins }
