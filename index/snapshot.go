package index

import (
	"hash/maphash"
	"maps"
	"slices"
)

const (
	maxNames = 1 << 16
	maxName  = 1 << 10
	maxChunk = 64 << 20
)

// Freeze returns a copy of one moment: columns of numbers are copied, bytes
// are shared, as they never change. It may be encoded while the index goes on.
func (x *Index) Freeze() *Index {
	frozen := &Index{seed: x.seed, columns: make(map[string]*column, len(x.columns)), sets: make(map[string]*set, len(x.sets))}
	for name, c := range x.columns {
		copied := &column{dict: c.dict.freeze(), mixed: c.mixed, codes: codes{
			narrow: slices.Clone(c.codes.narrow), middle: slices.Clone(c.codes.middle), wide: slices.Clone(c.codes.wide),
			width: c.codes.width}}
		if c.plain != nil {
			copied.has, copied.plain = slices.Clone(c.has), &plain{kind: c.plain.kind, keys: slices.Clone(c.plain.keys)}
		}
		frozen.columns[name] = copied
	}
	for name, s := range x.sets {
		frozen.sets[name] = &set{dict: s.dict.freeze(), lists: slices.Clone(s.lists), arena: s.arena.Freeze()}
	}
	return frozen
}

func (d *dictionary) freeze() *dictionary {
	return &dictionary{seed: d.seed, kinds: slices.Clone(d.kinds), values: slices.Clone(d.values), arena: d.arena.Freeze()}
}

// Freeze returns a copy that stays as it is while the arena grows.
func (a *Arena) Freeze() Arena {
	return Arena{chunks: slices.Clone(a.chunks), used: a.used, dead: a.dead}
}

// Encode writes the index, or a frozen one.
func (x *Index) Encode(e *Encoder) {
	e.Number(uint64(len(x.columns)))
	for _, name := range slices.Sorted(maps.Keys(x.columns)) {
		c := x.columns[name]
		e.Text(name)
		c.dict.encode(e)
		EncodeColumn(e, c.codes.narrow)
		EncodeColumn(e, c.codes.middle)
		EncodeColumn(e, c.codes.wide)
		switch {
		case c.plain != nil:
			e.Number(1)
			e.Number(uint64(c.plain.kind))
			EncodeColumn(e, c.plain.bits())
			EncodeColumn(e, c.has[:(len(c.plain.keys)+63)/64])
		case c.mixed:
			e.Number(2)
		default:
			e.Number(0)
		}
	}
	e.Number(uint64(len(x.sets)))
	for _, name := range slices.Sorted(maps.Keys(x.sets)) {
		s := x.sets[name]
		e.Text(name)
		s.dict.encode(e)
		EncodeColumn(e, s.lists)
		s.arena.Encode(e)
	}
}

func (d *dictionary) encode(e *Encoder) {
	EncodeColumn(e, d.kinds)
	EncodeColumn(e, d.values)
	d.arena.Encode(e)
}

// Encode writes the arena; references stay valid.
func (a *Arena) Encode(e *Encoder) {
	e.Number(uint64(a.dead))
	e.Number(uint64(len(a.chunks)))
	for _, chunk := range a.chunks {
		e.Bytes(chunk)
	}
}

// DecodeArena reads an arena back.
func DecodeArena(d *Decoder) Arena {
	a := Arena{dead: int(d.Number())}
	for range d.Length(maxChunks) {
		if d.err != nil {
			break
		}
		chunk := d.Bytes(maxChunk)
		a.used += len(chunk)
		a.chunks = append(a.chunks, chunk)
	}
	return a
}

// Holds reports whether a reference read from outside names an entry.
func (a *Arena) Holds(ref Ref) bool {
	return ref == 0 || int(ref>>16) < len(a.chunks) && int(ref&0xffff)<<2 < len(a.chunks[ref>>16])
}

// Decode reads an index back; tables, counts and sets of rows are built anew. What
// it reads was verified by checksum: it refuses what is torn, not what is forged.
func Decode(d *Decoder) *Index { return decode(d, usual) }

func decode(d *Decoder, s shape) *Index {
	x := New()
	x.shape = s
	for range d.Length(maxNames) {
		name := d.Text(maxName)
		c := &column{shape: x.shape, dict: decodeDictionary(d, x.seed)}
		c.codes.narrow = DecodeColumn[uint8](d)
		c.codes.middle = DecodeColumn[uint16](d)
		c.codes.wide = DecodeColumn[uint32](d)
		switch d.Number() {
		case 1:
			c.plain = &plain{kind: Kind(d.Number()), keys: DecodeColumn[int64](d)}
			c.has = DecodeColumn[uint64](d)
			if len(c.has) != (len(c.plain.keys)+63)/64 {
				d.Fail("column %.40q has %d values and %d words", name, len(c.plain.keys), len(c.has))
			}
			c.plain.keys = c.plain.bits()
			c.plain.order = slice(c.has, c.plain.keys)
		case 2:
			c.mixed = true
		}
		if d.err != nil {
			return nil
		}
		c.rebuild(d, name)
		x.columns[name] = c
	}
	for range d.Length(maxNames) {
		name := d.Text(maxName)
		s := &set{dict: decodeDictionary(d, x.seed), lists: DecodeColumn[Ref](d), arena: DecodeArena(d)}
		if d.err != nil {
			return nil
		}
		s.rebuild(d, name)
		x.sets[name] = s
	}
	return x
}

func decodeDictionary(d *Decoder, seed maphash.Seed) *dictionary {
	dict := &dictionary{seed: seed, kinds: DecodeColumn[Kind](d), values: DecodeColumn[uint64](d), arena: DecodeArena(d)}
	dict.counts = make([]uint32, len(dict.kinds))
	if len(dict.kinds) == 0 || len(dict.kinds) != len(dict.values) {
		d.Fail("dictionary has %d kinds and %d values", len(dict.kinds), len(dict.values))
		return dict
	}
	for i, kind := range dict.kinds[1:] {
		code := uint32(i + 1)
		switch {
		case kind == 0:
			dict.free = append(dict.free, code)
			continue
		case (kind == Text || kind == URL) && !dict.arena.Holds(Ref(dict.values[code])):
			d.Fail("dictionary refers to text that is not there")
			return dict
		}
		dict.table.Insert(dict.hashOf(code), code, dict.hashOf)
	}
	return dict
}

// rebuild counts the codes and fills the sets of rows.
func (c *column) rebuild(d *Decoder, name string) {
	c.codes.measure()
	c.sets = nil
	if c.plain == nil && c.dict.distinct() <= c.shape.sets && !c.mixed {
		c.sets = make([]rowSet, len(c.dict.kinds))
	}
	for row := range uint32(c.codes.rows()) {
		code := c.codes.get(row)
		if code == 0 {
			continue
		}
		if int(code) >= len(c.dict.kinds) || c.dict.kinds[code] == 0 {
			d.Fail("column %.40q has a code without a value", name)
			return
		}
		c.dict.counts[code]++
		c.has.set(row)
		if c.sets != nil {
			c.sets[code].add(row)
		}
	}
}

func (s *set) rebuild(d *Decoder, name string) {
	s.tagged = make([]rowSet, len(s.dict.kinds))
	for row, ref := range s.lists {
		if !s.arena.Holds(ref) {
			d.Fail("tag set %.40q refers to a list that is not there", name)
			return
		}
		if ref != 0 {
			s.has.set(uint32(row))
		}
		for _, code := range s.codesOf(uint32(row), nil) {
			if int(code) >= len(s.dict.kinds) || s.dict.kinds[code] == 0 {
				d.Fail("tag set %.40q has a code without a tag", name)
				return
			}
			s.tagged[code].add(uint32(row))
			s.dict.counts[code]++
		}
	}
}
