package index

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"slices"
)

const (
	maxNames = 1 << 16
	maxName  = 1 << 10
)

// How a column stands in a snapshot.
const (
	storedCodes = iota // and a dictionary
	storedPlain        // keys, and which rows have one
	storedMixed        // as storedCodes, and to stay so
)

// Freeze returns the index as it is now, for a snapshot: streams whose names
// begin with prefix. Tables, counts and sets of rows are not in it.
func (x *Index) Freeze(prefix string, m *Moment) []Stream {
	columns, sets := slices.Sorted(maps.Keys(x.columns)), slices.Sorted(maps.Keys(x.sets))
	streams := []Stream{Whole(prefix+"names", func(e *Encoder) {
		e.Number(uint64(len(columns)))
		for _, name := range columns {
			c := x.columns[name]
			e.Text(name)
			switch {
			case c.plain != nil:
				e.Number(storedPlain)
				e.Number(uint64(c.plain.kind))
				continue
			case c.mixed:
				e.Number(storedMixed)
			default:
				e.Number(storedCodes)
			}
			e.Number(uint64(c.codes.width))
		}
		e.Number(uint64(len(sets)))
		for _, name := range sets {
			e.Text(name)
		}
	})}
	for _, name := range columns {
		streams = x.columns[name].freeze(streams, columnPrefix(prefix, name), m)
	}
	for _, name := range sets {
		s, prefix := x.sets[name], setPrefix(prefix, name)
		streams = append(s.dict.freeze(streams, prefix, m), s.lists.Freeze(prefix+"lists", m), s.arena.Freeze(prefix+"tags"))
	}
	return streams
}

// Names may hold any character: the last part of a stream's name holds none, so
// that no two streams have one name.
func columnPrefix(prefix, name string) string { return prefix + "column/" + name + "/" }
func setPrefix(prefix, name string) string    { return prefix + "set/" + name + "/" }

func (c *column) freeze(streams []Stream, prefix string, m *Moment) []Stream {
	if c.plain != nil {
		words := min(len(c.has), (c.plain.keys.Len()+63)/64) // rows behind the values had one once
		has := slices.Clone(c.has[:words])                   // a bit a row: it costs no more than to follow its changes
		return append(streams, c.plain.keys.Freeze(prefix+"keys", m), Stream{prefix + "has", []Part{PartOf(raw(has))}})
	}
	streams = c.dict.freeze(streams, prefix, m)
	switch c.codes.width {
	case 1:
		return append(streams, c.codes.narrow.Freeze(prefix+"codes", m))
	case 2:
		return append(streams, c.codes.middle.Freeze(prefix+"codes", m))
	}
	return append(streams, c.codes.wide.Freeze(prefix+"codes", m))
}

func (d *dictionary) freeze(streams []Stream, prefix string, m *Moment) []Stream {
	kinds := Stream{Name: prefix + "kinds"}
	for part := range slices.Chunk(slices.Clone(d.kinds), blockRows) {
		kinds.Parts = append(kinds.Parts, PartOf(raw(part)))
	}
	return append(streams, kinds, d.values.Freeze(prefix+"values", m), d.arena.Freeze(prefix+"text"))
}

// Load reads an index back; tables, counts and sets of rows are built anew. What
// it reads was verified by checksum: it refuses what is torn, not what is forged.
func Load(from *Saved, prefix string) *Index { return load(from, prefix, usual) }

func load(from *Saved, prefix string, s shape) *Index {
	x := New()
	x.shape = s
	var sets []string
	from.Whole(prefix+"names", func(d *Decoder) {
		for range d.Length(maxNames) {
			name := d.Text(maxName)
			c := &column{shape: s}
			switch d.Number() {
			case storedPlain:
				c.plain = &plain{kind: Kind(d.Number())}
			case storedMixed:
				c.mixed = true
				fallthrough
			default:
				c.codes.width = uint8(d.Number())
			}
			x.columns[name] = c
		}
		for range d.Length(maxNames) {
			sets = append(sets, d.Text(maxName))
		}
	})
	for name, c := range x.columns {
		c.load(from, columnPrefix(prefix, name), x.seed)
	}
	for _, name := range sets {
		prefix := setPrefix(prefix, name)
		s := &set{dict: loadDictionary(from, prefix, x.seed), lists: LoadCells[Ref](from, prefix+"lists"), arena: LoadArena(from, prefix+"tags")}
		if from.err != nil {
			break
		}
		s.rebuild(from.Fail, name)
		x.sets[name] = s
	}
	return x
}

func (c *column) load(from *Saved, prefix string, seed maphash.Seed) {
	if c.plain != nil {
		c.dict = newDictionary(seed)
		c.plain.keys = LoadCells[int64](from, prefix+"keys")
		c.has = make(marks, (c.plain.keys.Len()+63)/64)
		if lengths := from.Parts(prefix + "has"); len(lengths) != 1 || lengths[0] > len(raw(c.has)) {
			from.Fail("%.60q has %d values and marks of %d bytes", prefix, c.plain.keys.Len(), lengths)
			return
		} else {
			from.Read(prefix+"has", 0, raw(c.has)[:lengths[0]])
		}
		c.plain.order = slice(c.has, &c.plain.keys)
		return
	}
	c.dict = loadDictionary(from, prefix, seed)
	switch c.codes.width {
	case 1:
		c.codes.narrow = LoadCells[uint8](from, prefix+"codes")
	case 2:
		c.codes.middle = LoadCells[uint16](from, prefix+"codes")
	default:
		c.codes.wide = LoadCells[uint32](from, prefix+"codes")
	}
	if from.err == nil {
		c.rebuild(from.Fail, prefix)
	}
}

func loadDictionary(from *Saved, prefix string, seed maphash.Seed) *dictionary {
	d := &dictionary{seed: seed, values: LoadCells[uint64](from, prefix+"values"), arena: LoadArena(from, prefix+"text")}
	for i, length := range from.Parts(prefix + "kinds") {
		part := make([]Kind, length)
		from.Read(prefix+"kinds", i, raw(part))
		d.kinds = append(d.kinds, part...)
	}
	if from.err == nil {
		d.rebuild(from.Fail)
	}
	return d
}

// rebuild fills the table with what has a value.
func (d *dictionary) rebuild(fail func(string, ...any)) {
	d.counts = make([]uint32, len(d.kinds))
	if len(d.kinds) == 0 || len(d.kinds) != d.values.Len() {
		fail("dictionary has %d kinds and %d values", len(d.kinds), d.values.Len())
		return
	}
	for i, kind := range d.kinds[1:] {
		switch code := uint32(i + 1); {
		case kind == 0:
			d.free = append(d.free, code)
		case (kind == Text || kind == URL) && !d.arena.Holds(Ref(d.values.At(code))):
			fail("dictionary refers to text that is not there")
			return
		}
	}
	d.table.Fill(1, uint32(len(d.kinds)), func(code uint32) (uint64, bool) {
		if d.kinds[code] == 0 {
			return 0, false
		}
		return d.hashOf(code), true
	})
}

// rebuild counts the codes and fills the sets of rows.
func (c *column) rebuild(fail func(string, ...any), name string) {
	c.sets = nil
	if c.dict.distinct() <= c.shape.sets && !c.mixed {
		c.sets = make([]rowSet, len(c.dict.kinds))
	}
	rows, counts := c.codes.rows(), make([]uint32, len(c.dict.kinds))
	for from := 0; from < rows; from += blockRows {
		clear(counts)
		for row := from; row < min(from+blockRows, rows); row++ {
			code := c.codes.get(uint32(row))
			if int(code) >= len(c.dict.kinds) || code != 0 && c.dict.kinds[code] == 0 {
				fail("column %.40q has a code without a value", name)
				return
			}
			counts[code]++
		}
		counts[0] = 0
		for code, n := range counts {
			c.dict.counts[code] += n
		}
		makeRoom(c.sets, uint32(from>>16), counts)
		for row := from; row < min(from+blockRows, rows); row++ {
			if code := c.codes.get(uint32(row)); code != 0 {
				c.has.set(uint32(row))
				if c.sets != nil {
					c.sets[code].next(uint32(row))
				}
			}
		}
	}
}

func (s *set) rebuild(fail func(string, ...any), name string) {
	s.tagged = make([]rowSet, len(s.dict.kinds))
	counts := make([]uint32, len(s.dict.kinds))
	for from := 0; from < s.lists.Len(); from += blockRows {
		clear(counts)
		block := s.lists.Block(uint32(from >> 16))
		for _, ref := range block {
			if !s.arena.Holds(ref) {
				fail("tag set %.40q refers to a list that is not there", name)
				return
			}
			for list := s.arena.Get(ref); len(list) > 0; {
				code, n := binary.Uvarint(list)
				if list = list[max(n, 1):]; n <= 0 || code >= uint64(len(s.dict.kinds)) || s.dict.kinds[code] == 0 {
					fail("tag set %.40q has a code without a tag", name)
					return
				}
				counts[code]++
			}
		}
		for code, n := range counts {
			s.dict.counts[code] += n
		}
		makeRoom(s.tagged, uint32(from>>16), counts)
		for low, ref := range block {
			if ref == 0 {
				continue
			}
			s.has.set(uint32(from + low))
			for list := s.arena.Get(ref); len(list) > 0; {
				code, n := binary.Uvarint(list)
				list = list[n:]
				s.tagged[code].next(uint32(from + low))
			}
		}
	}
}
