package index

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// plain is a column of numbers of one kind, as they are.
type plain struct {
	kind   Kind
	values []int64
	has    []uint64 // bit set of the rows that have one
}

func (p *plain) get(row uint32) (Value, bool) {
	if int(row) >= len(p.values) || p.has[row>>6]>>(row&63)&1 == 0 {
		return Value{}, false
	}
	return Value{Kind: p.kind, Bits: p.values[row]}, true
}

func (p *plain) set(row uint32, bits int64) {
	p.values = put(p.values, row, bits)
	word := row >> 6
	if int(word) >= len(p.has) {
		p.has = put(p.has, word, 0)
	}
	p.has[word] |= 1 << (row & 63)
}

func (p *plain) remove(row uint32) {
	if int(row) < len(p.values) {
		p.has[row>>6] &^= 1 << (row & 63)
	}
}

func (p *plain) matches(values []target.Value) *roaring.Bitmap {
	wanted := make(map[int64]struct{}, len(values))
	var only int64
	for _, v := range values {
		for _, candidate := range candidates(v) {
			if candidate.Kind == p.kind {
				only = candidate.Bits
				wanted[only] = struct{}{}
			}
		}
	}
	dense := make([]uint64, len(p.has))
	switch len(wanted) {
	case 0:
		return roaring.New()
	case 1:
		for row, bits := range p.values {
			if bits == only {
				dense[row>>6] |= 1 << (row & 63)
			}
		}
	default:
		for row, bits := range p.values {
			if _, ok := wanted[bits]; ok {
				dense[row>>6] |= 1 << (row & 63)
			}
		}
	}
	for i := range dense {
		dense[i] &= p.has[i]
	}
	return roaring.FromDense(dense, false)
}

func (p *plain) present() *roaring.Bitmap { return roaring.FromDense(p.has, true) }
