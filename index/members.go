package index

import (
	"iter"
	"math/bits"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Rows is a set of rows that stands beside an index, as the members of a list.
// It takes 2 bytes a row at most, and an eighth of a byte for each row there is.
type Rows struct{ set rowSet }

// RowsOf is the set that a bitmap holds.
func RowsOf(all *roaring.Bitmap) *Rows {
	r := new(Rows)
	if all.IsEmpty() || uint64(all.Maximum()) > 64*all.GetCardinality() {
		for it := all.Iterator(); it.HasNext(); {
			r.set.add(it.Next())
		}
		return r
	}
	dense := Dense(all)
	blocks(dense, 0, len(dense), func(number uint32, rows *words) {
		b := block{number: number, count: int32(rows.count())}
		r.set.count += int(b.count)
		if b.count > maxListed {
			set := *rows
			b.set = &set
		} else {
			b.listed = rows.list(int(b.count))
		}
		r.set.blocks = append(r.set.blocks, b)
	})
	return r
}

// Has reports whether a row is in the set.
func (r *Rows) Has(row uint32) bool { return r.set.has(row) }

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

// All yields the rows in their order. The set must not change meanwhile.
func (r *Rows) All() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range r.set.blocks {
			b := &r.set.blocks[i]
			from := b.number << 16
			for _, low := range b.listed {
				if !yield(from | uint32(low)) {
					return
				}
			}
			if b.set == nil {
				continue
			}
			for w, word := range b.set {
				for ; word != 0; word &= word - 1 {
					if !yield(from | uint32(w<<6|bits.TrailingZeros64(word))) {
						return
					}
				}
			}
		}
	}
}

// Clone returns a set of its own.
func (r *Rows) Clone() *Rows {
	c := &Rows{rowSet{slices.Clone(r.set.blocks), r.set.count}}
	for i := range c.set.blocks {
		b := &c.set.blocks[i]
		b.listed = slices.Clone(b.listed)
		if b.set != nil {
			words := *b.set
			b.set = &words
		}
	}
	return c
}

// Encode writes the set into a snapshot: of each block its number and what it
// holds, a list of rows or a bit for each.
func (r *Rows) Encode(e *Encoder) {
	e.Number(uint64(len(r.set.blocks)))
	for i := range r.set.blocks {
		b := &r.set.blocks[i]
		e.Number(uint64(b.number))
		EncodeColumn(e, b.listed)
		if b.set != nil {
			EncodeColumn(e, b.set[:])
		}
	}
}

// DecodeRows reads a set back. Its rows are below limit, or the snapshot is
// damaged.
func DecodeRows(d *Decoder, limit int) *Rows {
	r := new(Rows)
	before := -1
	for range d.Length(limit>>16 + 1) {
		number := d.Length(limit >> 16)
		listed := DecodeColumn[uint16](d)
		b := block{number: uint32(number), count: int32(len(listed)), listed: listed}
		if len(listed) == 0 {
			set := DecodeColumn[uint64](d)
			if len(set) != blockWords {
				d.Fail("a set of rows has a block of %d words", len(set))
				return r
			}
			b.set, b.listed = (*words)(set), nil
			b.count = int32(b.set.count())
		}
		last := number << 16
		for i, low := range listed {
			if i > 0 && listed[i-1] >= low {
				d.Fail("rows of a set stand in no order")
				return r
			}
			last = number<<16 | int(low)
		}
		if b.set != nil {
			for w, word := range b.set {
				if word != 0 {
					last = number<<16 | w<<6 | 63 - bits.LeadingZeros64(word)
				}
			}
		}
		if d.err != nil || number <= before || b.count == 0 || last >= limit {
			d.Fail("a set of rows has a block that cannot be")
			return r
		}
		before = number
		r.set.blocks = append(r.set.blocks, b)
		r.set.count += int(b.count)
	}
	return r
}
