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

// Fill makes a table of the numbers from first to below end, but for those for
// which hashOf says no. It sorts them by where they go, a region at a time: to
// write all over a large table takes three times as long.
func (t *Table) Fill(first, end uint32, hashOf func(number uint32) (hash uint64, in bool)) {
	const region = 13 // bits of the slots that are written together: 40 KiB
	type entry struct {
		at, slot uint32
		mark     uint8
	}
	entries := make([]entry, 0, end-first)
	size := 8
	for int(end-first)*4 > size*3 {
		size *= 2
	}
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
		old := t.slots
		t.slots = make([]uint32, max(8, 2*len(old)))
		t.marks = make([]uint8, len(t.slots))
		for _, slot := range old {
			if slot != 0 {
				t.place(hashOf(slot-1), slot)
			}
		}
	}
	t.place(hash, number+1)
	t.count++
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
