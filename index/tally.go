package index

import "math/bits"

// tally counts the rows of a block. A count stands as bits across rows, the
// lowest plane first, so that a set of rows is added 64 rows at a time.
type tally struct {
	planes [tallyPlanes]words
	over   words // rows whose count the planes do not hold
	used   int   // planes that are not all 0
}

// tallyPlanes hold counts of more than target.MaxCount.
const tallyPlanes = 14

func (t *tally) reset() {
	clear(t.planes[:t.used])
	t.over, t.used = words{}, 0
}

// addBlock counts the rows of a block once.
func (t *tally) addBlock(b *block) {
	if b.set == nil {
		for _, low := range b.listed {
			t.add(low, 1)
		}
		return
	}
	for w, carry := range b.set {
		for i := 0; carry != 0; i++ {
			if i == tallyPlanes {
				t.over[w] |= carry
				break
			}
			if i == t.used {
				t.used++
			}
			plane := &t.planes[i][w]
			*plane, carry = *plane^carry, *plane&carry
		}
	}
}

// add counts a row so many times.
func (t *tally) add(low uint16, times uint16) {
	w, bit := low>>6, low&63
	for i, rest := 0, uint64(times); rest != 0; i++ {
		if i == tallyPlanes {
			t.over[w] |= 1 << bit
			return
		}
		if i == t.used {
			t.used++
		}
		plane := &t.planes[i][w]
		sum := *plane>>bit&1 + rest&1
		*plane = *plane&^(1<<bit) | sum&1<<bit
		rest = rest>>1 + sum>>1
	}
}

// take counts a row once less; it was counted before.
func (t *tally) take(low uint16) {
	w, mask := low>>6, uint64(1)<<(low&63)
	for i := range t.used {
		plane := &t.planes[i][w]
		*plane ^= mask
		if *plane&mask == 0 {
			return
		}
	}
}

// within leaves the rows whose count lies in a range.
func (t *tally) within(counts span, rows *words) {
	low, high := uint64(max(counts.low, 0)), uint64(max(counts.high, 0))
	if counts.low > counts.high || counts.high < 0 {
		clear(rows[:])
		return
	}
	for w := range rows {
		above, below := ^uint64(0), ^uint64(0) // not under low, not over high
		if bits.Len64(low) > t.used {
			above = 0
		} else if low > 0 {
			greater, equal := uint64(0), ^uint64(0)
			for i := t.used - 1; i >= 0; i-- {
				plane := t.planes[i][w]
				if low>>i&1 == 1 {
					equal &= plane
				} else {
					greater |= equal & plane
				}
			}
			above = greater | equal
		}
		if bits.Len64(high) <= t.used {
			less, equal := uint64(0), ^uint64(0)
			for i := t.used - 1; i >= 0; i-- {
				plane := t.planes[i][w]
				if high>>i&1 == 1 {
					less |= equal &^ plane
				} else {
					equal &^= plane
				}
			}
			below = less | equal
		}
		match := above & below
		if over := t.over[w]; over != 0 {
			if match &^= over; high >= 1<<tallyPlanes {
				match |= over
			}
		}
		rows[w] &= match
	}
}
