package index

// plain is a column of numbers of one kind, as they are.
type plain struct {
	kind  Kind
	keys  Cells[int64]
	order *sliced
}

// key is a number whose order is that of the values of one kind.
func key(v Value) int64 {
	if v.Kind == Real {
		return orderReal(v.Bits)
	}
	return v.Bits
}

// orderReal turns the bits of a float64 into a number of the same order, and
// back again.
func orderReal(bits int64) int64 { return bits ^ int64(uint64(bits>>63)>>1) }

func (p *plain) get(row uint32) Value {
	v := Value{Kind: p.kind, Bits: p.keys.At(row)}
	v.Bits = key(v)
	return v
}

// set gives a row a value; has tells who had one before.
func (p *plain) set(has marks, row uint32, bits int64) {
	k := key(Value{Kind: p.kind, Bits: bits})
	p.keys.Set(row, k)
	if !p.order.set(row, has.has(row), k, p.keys.Len()) {
		had := has.has(row)
		p.order = slice(has, &p.keys)
		if !had {
			p.order.put(row, p.order.bin(k))
		}
	}
}

func (p *plain) size() int { return p.keys.Size() + p.order.size() }
