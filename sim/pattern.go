package sim

import "bytes"

// pattern is what the last header block looked like. Most blocks of a sender are
// like the one before but for the path and the push's id. When the other bytes
// are the same, nothing needs to be decoded.
type pattern struct {
	block  []byte         // empty: no block may be taken for one like it
	values []literalValue // path and id; while a block is decoded, all
	spoilt bool
}

// literalValue is where in the block a value lies that was written out.
type literalValue struct {
	field    field
	from, to int
}

func (p *pattern) begin() { p.block, p.values, p.spoilt = p.block[:0], p.values[:0], false }

// spoil says that the block changes the table.
func (p *pattern) spoil() { p.spoilt = true }

// literal notes a value that ends at an offset of the block and is not Huffman
// coded. Those that are have memory of their own, and must be the same.
func (p *pattern) literal(e *entry, end int) {
	p.values = append(p.values, literalValue{e.field, end - len(e.value), end})
}

// keep remembers the block of a request, whose values that stay the same then
// lie in the pattern's memory. It does not when a field came twice: which value
// holds is then a matter of order.
func (p *pattern) keep(block []byte, r *request) {
	if p.spoilt || r.duplicate || r.malformed {
		return
	}
	p.block = append(p.block, block...)
	own := p.values[:0]
	for _, v := range p.values {
		if v.field == fieldPath || v.field == fieldAPNsID {
			own = append(own, v)
		} else {
			r.values[v.field] = p.block[v.from:v.to]
		}
	}
	p.values = own
}

// likeLast reads a block that is like the last one into the last request.
func (d *decoder) likeLast(block []byte) bool {
	p := &d.pattern
	if len(p.block) == 0 || len(block) != len(p.block) {
		return false
	}
	at := 0
	for i := range p.values {
		v := &p.values[i]
		if !bytes.Equal(block[at:v.from], p.block[at:v.from]) {
			return false
		}
		at = v.to
	}
	if !bytes.Equal(block[at:], p.block[at:]) {
		return false
	}
	for i := range p.values {
		v := &p.values[i]
		d.request.values[v.field] = block[v.from:v.to:v.to]
	}
	return true
}
