package audience

import "github.com/tocsin-push/tocsin/index"

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

func (h *heard) size() int { return h.now.slots.Size() + h.before.slots.Size() }

func (h *heard) freeze(m *index.Moment) []index.Stream {
	return []index.Stream{index.Whole("done/heard", func(e *index.Encoder) {
		e.Number(uint64(h.day))
		for _, n := range [...]*numbers{&h.now, &h.before} {
			e.Number(uint64(n.size))
			e.Number(uint64(n.count))
		}
	}), h.now.slots.Freeze("done/heard/now", m), h.before.slots.Freeze("done/heard/before", m)}
}

func loadHeard(from *index.Saved) (h heard) {
	from.Whole("done/heard", func(d *index.Decoder) {
		h.day = uint32(d.Number())
		for _, n := range [...]*numbers{&h.now, &h.before} {
			n.size, n.count = d.Length(4*mostHeard), d.Length(mostHeard)
			if n.size < 2*n.count || n.size&(n.size-1) != 0 {
				d.Fail("%d numbers in %d slots", n.count, n.size)
			}
		}
	})
	h.now.slots = index.LoadCells[uint64](from, "done/heard/now")
	h.before.slots = index.LoadCells[uint64](from, "done/heard/before")
	return h
}

// numbers is a set of numbers that are not 0 and look random: an open table,
// half full at most.
type numbers struct {
	slots index.Cells[uint64] // 0 is empty
	size  int                 // how many slots there are
	count int
}

// place is where a number stands, or would.
func (n *numbers) place(number uint64) uint32 {
	mask := uint32(n.size - 1)
	at := uint32(number) & mask
	for slot := n.slots.At(at); slot != 0 && slot != number; slot = n.slots.At(at) {
		at = (at + 1) & mask
	}
	return at
}

func (n *numbers) has(number uint64) bool { return n.count > 0 && n.slots.At(n.place(number)) != 0 }

// add puts a number in, and reports whether it was not there.
func (n *numbers) add(number uint64) bool {
	if n.has(number) {
		return false
	}
	if 2*(n.count+1) > n.size {
		old := n.slots
		n.slots, n.size = index.Cells[uint64]{}, max(16, 2*n.size)
		for at := range uint32(old.Len()) {
			if one := old.At(at); one != 0 {
				n.slots.Set(n.place(one), one)
			}
		}
	}
	n.slots.Set(n.place(number), number)
	n.count++
	return true
}
