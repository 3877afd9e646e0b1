package index

import "math/bits"

// tally counts the rows of a block. A count stands as bits across the 64 rows of
// a word, the lowest first, so that sets of rows are added 64 rows at a time. What
// comes row by row is counted by row, and joined to that in the end.
type tally struct {
	counts [blockWords][tallyBits]uint64
	over   words // rows whose count has more bits
	used   int   // bits of the largest
	sets   []*words
	single [blockRows / 8]uint64 // a byte a row
	taken  []uint16
}

// tallyBits hold counts of more than target.MaxCount.
const tallyBits = 16

func (t *tally) reset() { *t = tally{sets: t.sets[:0], taken: t.taken[:0]} }

// addBlock counts the rows of a block once. The block must stay as it is until
// join.
func (t *tally) addBlock(b *block) {
	if b.set != nil {
		t.sets = append(t.sets, b.set)
		return
	}
	for _, low := range b.listed {
		t.add(low, 1)
	}
}

// add counts a row so many times.
func (t *tally) add(low uint16, times uint16) {
	cell, shift := &t.single[low>>3], low&7*8
	sum := uint64(uint8(*cell>>shift)) + uint64(times)
	*cell = *cell&^(0xff<<shift) | sum&0xff<<shift
	if sum > 0xff {
		t.carryCount(low, sum>>8, 8)
	}
}

// take counts a row once less; it is counted before or after.
func (t *tally) take(low uint16) { t.taken = append(t.taken, low) }

// join makes one count of what was added in either way.
func (t *tally) join() {
	for sets := t.sets; len(sets) > 0; {
		const together = 31 // counts of five bits
		some := sets[:min(together, len(sets))]
		sets = sets[len(some):]
		for w := range uint32(blockWords) {
			var a, b, c, d, e uint64
			for _, s := range some {
				rows := s[w]
				a, rows = a^rows, a&rows
				b, rows = b^rows, b&rows
				c, rows = c^rows, c&rows
				d, rows = d^rows, d&rows
				e ^= rows
			}
			for bit, rows := range [...]uint64{a, b, c, d, e} {
				t.carry(w, bit, rows)
			}
		}
	}
	const lowest = 0x0101010101010101 // bit of each byte
	for w := range uint32(blockWords) {
		cells := t.single[w*8 : w*8+8]
		any := uint64(0)
		for _, cell := range cells {
			any |= cell
		}
		any |= any >> 32
		any |= any >> 16
		for bit := range bits.Len8(uint8(any | any>>8)) {
			rows := uint64(0)
			for i, cell := range cells { // a multiplication gathers one bit of each byte
				rows |= (cell >> bit & lowest * 0x0102040810204080 >> 56) << (8 * i)
			}
			t.carry(w, bit, rows)
		}
	}
	for _, low := range t.taken {
		t.borrow(low)
	}
}

// carryCount adds to the count of a row, from a bit on.
func (t *tally) carryCount(low uint16, times uint64, bit int) {
	for ; times != 0; bit, times = bit+1, times>>1 {
		if times&1 != 0 {
			t.carry(uint32(low>>6), bit, 1<<(low&63))
		}
	}
}

// borrow takes one from the count of a row.
func (t *tally) borrow(low uint16) {
	counts, mask := &t.counts[low>>6], uint64(1)<<(low&63)
	for bit := range t.used {
		counts[bit] ^= mask
		if counts[bit]&mask == 0 {
			return
		}
	}
}

// carry adds a bit to the counts of some rows of a word.
func (t *tally) carry(w uint32, bit int, rows uint64) {
	if rows == 0 {
		return
	}
	counts := &t.counts[w%blockWords]
	for ; rows != 0 && bit < tallyBits; bit++ {
		counts[bit], rows = counts[bit]^rows, counts[bit]&rows
	}
	t.over[w%blockWords] |= rows
	t.used = max(t.used, bit)
}

// within leaves the rows whose count lies in a range, which ends at
// target.MaxCount at most or not at all.
func (t *tally) within(counts span, rows *words) {
	low, high := uint64(max(counts.low, 0)), uint64(max(counts.high, 0))
	if counts.low > counts.high || counts.high < 0 {
		clear(rows[:])
		return
	}
	for w := range rows {
		have := &t.counts[w]
		above, below := ^uint64(0), ^uint64(0) // not under low, not over high
		if bits.Len64(low) > t.used {
			above = 0
		} else if low > 0 {
			greater, equal := uint64(0), ^uint64(0)
			for i := t.used - 1; i >= 0; i-- {
				if low>>i&1 == 1 {
					equal &= have[i]
				} else {
					greater |= equal & have[i]
				}
			}
			above = greater | equal
		}
		if bits.Len64(high) <= t.used {
			less, equal := uint64(0), ^uint64(0)
			for i := t.used - 1; i >= 0; i-- {
				if high>>i&1 == 1 {
					less |= equal &^ have[i]
				} else {
					equal &^= have[i]
				}
			}
			below = less | equal
		}
		match := above & below
		if over := t.over[w]; over != 0 {
			if match &^= over; high >= 1<<tallyBits {
				match |= over
			}
		}
		rows[w] &= match
	}
}
