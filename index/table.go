package index

// Table is a hash table from keys to numbers that holds the numbers only: the
// owner keeps the keys, hashes them and compares them. A byte of the hash
// stands beside each number, so that keys are rarely looked at in vain. 7 to
// 14 bytes an entry.
type Table struct {
	slots []uint32 // number + 1; 0 is empty
	marks []uint8
	count int
}

func mark(hash uint64) uint8 { return uint8(hash >> 56) }

// Find returns the number under the hash for which equal holds.
func (t *Table) Find(hash uint64, equal func(number uint32) bool) (number uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; t.slots[at] != 0; at = (at + 1) & mask {
		if n := t.slots[at] - 1; t.marks[at] == mark(hash) && equal(n) {
			return n, true
		}
	}
	return 0, false
}

// Fetch reads what Find looks at first under each of some hashes. Of a large table
// that is far from the processor, which fetches several places at the same time only
// where no work lies between.
func (t *Table) Fetch(hashes []uint64) {
	if len(t.slots) == 0 {
		return
	}
	mask, seen := uint64(len(t.slots)-1), uint32(0)
	for _, hash := range hashes {
		seen += t.slots[hash&mask] + uint32(t.marks[hash&mask])
	}
	keep(seen)
}

// first is the number that Find looks at first under a hash, if there is one with
// its mark.
func (t *Table) first(hash uint64) (number uint32, ok bool) {
	at := hash & uint64(len(t.slots)-1)
	return t.slots[at] - 1, t.slots[at] != 0 && t.marks[at] == mark(hash)
}

// keep is not looked into by the compiler, which would leave out reads that come to
// nothing.
//
//go:noinline
func keep(uint32) {}

// Fill makes a table of the numbers from first to below end, but for those for
// which hashOf says no. It sorts them by where they go, a region at a time: to
// write all over a large table takes three times as long.
func (t *Table) Fill(first, end uint32, hashOf func(number uint32) (hash uint64, in bool)) {
	size := 8
	for int(end-first)*4 > size*3 {
		size *= 2
	}
	t.fill(size, int(end-first), first, end, hashOf)
}

// fill is Fill with so many slots, for about so many numbers.
func (t *Table) fill(size, count int, first, end uint32, hashOf func(number uint32) (hash uint64, in bool)) {
	const region = 13 // bits of the slots that are written together: 40 KiB
	type entry struct {
		at, slot uint32
		mark     uint8
	}
	entries := make([]entry, 0, count)
	starts := make([]uint32, size>>region+2)
	for number := first; number < end; number++ {
		if hash, in := hashOf(number); in {
			e := entry{uint32(hash & uint64(size-1)), number + 1, mark(hash)}
			entries = append(entries, e)
			starts[e.at>>region+1]++
		}
	}
	for i := 1; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	sorted := make([]entry, len(entries))
	for _, e := range entries {
		place := &starts[e.at>>region]
		sorted[*place] = e
		*place++
	}
	*t = Table{slots: make([]uint32, size), marks: make([]uint8, size), count: len(sorted)}
	for _, e := range sorted {
		t.placeAt(uint64(e.at), e.mark, e.slot)
	}
}

// Insert adds a number that Find does not find; hashOf gives any number's
// hash again, for when the table grows.
func (t *Table) Insert(hash uint64, number uint32, hashOf func(number uint32) uint64) {
	if (t.count+1)*4 > len(t.slots)*3 {
		t.grow(hashOf)
	}
	t.place(hash, number+1)
	t.count++
}

// grow doubles the slots. The keys are looked at in the order of their numbers, which
// is mostly how they lie in memory: in that of the slots each would be far from the last.
func (t *Table) grow(hashOf func(number uint32) uint64) {
	last := uint32(0)
	for _, slot := range t.slots {
		last = max(last, slot)
	}
	in := make([]uint64, last/64+1)
	for _, slot := range t.slots {
		if slot != 0 {
			in[(slot-1)/64] |= 1 << ((slot - 1) % 64)
		}
	}
	t.fill(max(8, 2*len(t.slots)), t.count, 0, last, func(number uint32) (uint64, bool) {
		if in[number/64]>>(number%64)&1 == 0 {
			return 0, false
		}
		return hashOf(number), true
	})
}

func (t *Table) place(hash uint64, slot uint32) {
	t.placeAt(hash&uint64(len(t.slots)-1), mark(hash), slot)
}

func (t *Table) placeAt(at uint64, mark uint8, slot uint32) {
	mask := uint64(len(t.slots) - 1)
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at], t.marks[at] = slot, mark
}

// Delete removes a number if it is there. Entries behind it move up, so that
// no marks of deleted ones pile up.
func (t *Table) Delete(hash uint64, number uint32, hashOf func(number uint32) uint64) {
	if len(t.slots) == 0 {
		return
	}
	mask := uint64(len(t.slots) - 1)
	at := hash & mask
	for t.slots[at] != number+1 {
		if t.slots[at] == 0 {
			return
		}
		at = (at + 1) & mask
	}
	t.count--
	for next := (at + 1) & mask; ; next = (next + 1) & mask {
		slot := t.slots[next]
		if slot == 0 {
			break
		}
		// It may move to the hole unless its home lies behind the hole.
		home := hashOf(slot-1) & mask
		if (next-home)&mask >= (next-at)&mask {
			t.slots[at], t.marks[at] = slot, t.marks[next]
			at = next
		}
	}
	t.slots[at] = 0
}

// Len is the number of entries.
func (t *Table) Len() int { return t.count }

// Size is the memory in use, in bytes.
func (t *Table) Size() int { return 5 * len(t.slots) }
