package audience

import (
	"slices"

	"github.com/tocsin-push/tocsin/index"
)

// heard knows what stood for the identifiers of a project's events of late, so
// that one that is told again does nothing. It remembers those of this day of
// the log (UTC) and of the day before; where more than mostHeard come in a day,
// the last of them, from as many to twice as many. Each costs 16 to 32 bytes. One
// that was never told before is taken for a repeat once in 2^43 at most.
type heard struct {
	day         uint32
	now, before numbers
}

const mostHeard = 1 << 20

func (h *heard) advance(second uint32) {
	const day = 24 * 60 * 60
	if second/day > h.day {
		h.turn()
		if second/day > h.day+1 {
			h.turn()
		}
		h.day = second / day
	}
}

func (h *heard) turn() { h.now, h.before = numbers{}, h.now }

// first reports whether a number, not 0, comes for the first time.
func (h *heard) first(number uint64) bool {
	if h.before.has(number) || !h.now.add(number) {
		return false
	}
	if h.now.count == mostHeard {
		h.turn()
	}
	return true
}

func (h *heard) size() int { return 8 * (len(h.now.slots) + len(h.before.slots)) }

func (h *heard) freeze() heard {
	return heard{h.day, numbers{slices.Clone(h.now.slots), h.now.count}, numbers{slices.Clone(h.before.slots), h.before.count}}
}

func (h *heard) encode(e *index.Encoder) {
	e.Number(uint64(h.day))
	for _, n := range [...]*numbers{&h.now, &h.before} {
		index.EncodeColumn(e, slices.DeleteFunc(slices.Clone(n.slots), func(slot uint64) bool { return slot == 0 }))
	}
}

func decodeHeard(d *index.Decoder) (h heard) {
	h.day = uint32(d.Number())
	for _, to := range [...]*numbers{&h.now, &h.before} {
		for _, number := range index.DecodeColumn[uint64](d) {
			to.add(number)
		}
	}
	return h
}

// numbers is a set of numbers that are not 0 and look random: an open table,
// half full at most.
type numbers struct {
	slots []uint64 // 0 is empty
	count int
}

// place is where a number stands, or would.
func (n *numbers) place(number uint64) int {
	mask := uint64(len(n.slots) - 1)
	at := number & mask
	for n.slots[at] != 0 && n.slots[at] != number {
		at = (at + 1) & mask
	}
	return int(at)
}

func (n *numbers) has(number uint64) bool { return n.count > 0 && n.slots[n.place(number)] != 0 }

// add puts a number in, and reports whether it was not there.
func (n *numbers) add(number uint64) bool {
	if n.has(number) {
		return false
	}
	if 2*(n.count+1) > len(n.slots) {
		old := n.slots
		n.slots = make([]uint64, max(16, 2*len(old)))
		for _, one := range old {
			if one != 0 {
				n.slots[n.place(one)] = one
			}
		}
	}
	n.slots[n.place(number)] = number
	n.count++
	return true
}
