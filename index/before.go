package index

// Decode reads an index of a snapshot before version 3: one stream of bytes.
func Decode(d *Decoder) *Index {
	x := New()
	for range d.Length(maxNames) {
		name := d.Text(maxName)
		c := &column{shape: x.shape, dict: decodeDictionary(d, x.seed)}
		c.codes.narrow, c.codes.middle = CellsOf(DecodeColumn[uint8](d)), CellsOf(DecodeColumn[uint16](d))
		c.codes.wide = CellsOf(DecodeColumn[uint32](d))
		c.codes.measure()
		switch d.Number() {
		case 1:
			c.decodePlain(d)
		case 2:
			c.mixed = true
		}
		if d.err != nil {
			return nil
		}
		if c.plain == nil {
			c.rebuild(d.Fail, name)
		}
		x.columns[name] = c
	}
	for range d.Length(maxNames) {
		name := d.Text(maxName)
		s := &set{dict: decodeDictionary(d, x.seed), lists: CellsOf(DecodeColumn[Ref](d)), arena: DecodeArena(d)}
		if d.err != nil {
			return nil
		}
		s.rebuild(d.Fail, name)
		x.sets[name] = s
	}
	return x
}

// decodePlain reads the Bits of all rows, and which have some.
func (c *column) decodePlain(d *Decoder) {
	c.plain = &plain{kind: Kind(d.Number())}
	values := DecodeColumn[int64](d)
	for i, bits := range values {
		values[i] = key(Value{Kind: c.plain.kind, Bits: bits})
	}
	c.plain.keys, c.has = CellsOf(values), DecodeColumn[uint64](d)
	if len(c.has) != (len(values)+63)/64 {
		d.Fail("a column has %d values and %d words", len(values), len(c.has))
		return
	}
	c.plain.order = slice(c.has, &c.plain.keys)
}
