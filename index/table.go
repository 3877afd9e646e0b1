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

// Reserve makes an empty table large enough for so many entries.
func (t *Table) Reserve(entries int) {
	size := 8
	for entries*4 > size*3 {
		size *= 2
	}
	t.slots, t.marks = make([]uint32, size), make([]uint8, size)
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
	mask := uint64(len(t.slots) - 1)
	at := hash & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at], t.marks[at] = slot, mark(hash)
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
