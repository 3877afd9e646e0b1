package index

import "slices"

// Rows is a set of rows that stands beside an index, as the members of a list.
// It takes 2 bytes a row at most, and an eighth of a byte for each row there is.
type Rows struct{ set rowSet }

// Has reports whether a row is in the set.
func (r *Rows) Has(row uint32) bool {
	b := r.set.block(row >> 16)
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

// Add puts a row in, and reports whether it was not there.
func (r *Rows) Add(row uint32) bool {
	if r.Has(row) {
		return false
	}
	r.set.add(row)
	return true
}

// Remove takes a row out, and reports whether it was there.
func (r *Rows) Remove(row uint32) bool {
	if !r.Has(row) {
		return false
	}
	r.set.remove(row)
	return true
}

// Len is how many rows are in the set.
func (r *Rows) Len() int { return r.set.count }

// Size is the memory in use, in bytes.
func (r *Rows) Size() int { return r.set.size() }
