package index

import (
	"hash/maphash"
	"maps"
	"slices"
)

// Freeze returns a copy of one moment. It shares what is kept, and what changes
// afterwards is copied then, a day or the totals of 4,096 rows at a time. Readers
// may read meanwhile; the writer waits.
func (e *Events) Freeze() *Events {
	e.freezing.Lock()
	defer e.freezing.Unlock()
	frozen := &Events{seed: e.seed, names: make(map[string]*event, len(e.names)), today: e.today, cost: e.cost}
	for name, one := range e.names {
		for i := range one.totals {
			one.totals[i].shared = true
		}
		for _, d := range one.days {
			d.shared = true
		}
		frozen.names[name] = &event{totals: slices.Clone(one.totals), rows: one.rows, days: slices.Clone(one.days)}
	}
	return frozen
}

// Encode writes the events, or frozen ones.
func (e *Events) Encode(to *Encoder) {
	to.Number(uint64(e.today))
	to.Number(uint64(e.cost))
	to.Number(uint64(len(e.names)))
	for _, name := range slices.Sorted(maps.Keys(e.names)) {
		one := e.names[name]
		to.Text(name)
		to.Number(uint64(len(one.totals)))
		for i := range one.totals {
			encodeTotals(to, one.totals[i].list)
		}
		to.Number(uint64(len(one.days)))
		for _, d := range one.days {
			d.encode(to)
		}
	}
}

func encodeTotals(to *Encoder, list []total) {
	flat := make([]uint32, 0, 3*len(list))
	for _, t := range list {
		flat = append(flat, uint32(t.low)<<16|uint32(t.count), t.first, t.last)
	}
	EncodeColumn(to, flat)
}

func (d *eventDay) encode(to *Encoder) {
	to.Number(uint64(d.number))
	d.rows.Encode(to)
	to.Number(uint64(len(d.more)))
	for i := range d.more {
		flat := make([]uint32, 0, len(d.more[i].list))
		for _, x := range d.more[i].list {
			flat = append(flat, uint32(x.low)<<16|uint32(x.times))
		}
		to.Number(uint64(d.more[i].number))
		EncodeColumn(to, flat)
	}
	if d.fields == nil {
		to.Number(0)
		return
	}
	to.Number(1)
	d.fields.encode(to)
}

func (f *occurrences) encode(to *Encoder) {
	to.Number(uint64(f.cost))
	to.Number(uint64(len(f.names)))
	for n, name := range f.names {
		to.Text(name)
		f.values[n].encode(to)
	}
	to.Number(uint64(len(f.blocks)))
	for i := range f.blocks {
		b := &f.blocks[i]
		to.Number(uint64(b.number))
		EncodeColumn(to, b.rows)
		to.Number(uint64(len(b.codes)))
		for n := range b.codes {
			EncodeColumn(to, b.codes[n].narrow.flat())
			EncodeColumn(to, b.codes[n].middle.flat())
			EncodeColumn(to, b.codes[n].wide.flat())
		}
	}
}

const (
	maxParts = 1<<32/partRows + 1
	maxDays  = 1 << 18
)

// DecodeEvents reads events back.
func DecodeEvents(from *Decoder) *Events {
	e := NewEvents()
	e.today, e.cost = uint32(from.Number()), int(from.Number())
	for range from.Length(maxNames) {
		name, one := from.Text(maxName), &event{}
		for range from.Length(maxParts) {
			list := decodeTotals(from)
			if from.err != nil {
				return e
			}
			one.rows += len(list)
			one.totals = append(one.totals, totals{list: list})
		}
		for range from.Length(maxDays) {
			one.days = append(one.days, decodeDay(from, e.seed))
			if from.err != nil {
				return e
			}
		}
		e.names[name] = one
	}
	return e
}

func decodeTotals(from *Decoder) []total {
	flat := DecodeColumn[uint32](from)
	if len(flat) == 0 {
		return nil
	}
	list := make([]total, len(flat)/3)
	for i := range list {
		list[i] = total{uint16(flat[3*i] >> 16), uint16(flat[3*i]), flat[3*i+1], flat[3*i+2]}
	}
	return list
}

func decodeDay(from *Decoder, seed maphash.Seed) *eventDay {
	d := &eventDay{number: uint32(from.Number()), rows: *DecodeRows(from, 1<<32)}
	for range from.Length(maxBlocks) {
		m := moreOften{number: uint32(from.Number())}
		for _, x := range DecodeColumn[uint32](from) {
			m.list = append(m.list, extra{uint16(x >> 16), uint16(x)})
		}
		if from.err != nil {
			return d
		}
		d.more = append(d.more, m)
	}
	if from.Length(1) == 1 {
		d.fields = decodeFields(from, seed)
	}
	return d
}

const maxBlocks = 1 << 16

func decodeFields(from *Decoder, seed maphash.Seed) *occurrences {
	f := &occurrences{cost: int(from.Number())}
	for range from.Length(maxNames) {
		f.names = append(f.names, from.Text(maxName))
		f.values = append(f.values, decodeDictionary(from, seed))
		if from.err != nil {
			return f
		}
	}
	for range from.Length(maxBlocks) {
		b := fieldBlock{number: uint32(from.Number()), rows: DecodeColumn[uint16](from)}
		for n := range from.Length(len(f.names)) {
			c := codes{narrow: CellsOf(DecodeColumn[uint8](from)), middle: CellsOf(DecodeColumn[uint16](from)), wide: CellsOf(DecodeColumn[uint32](from))}
			c.measure()
			for place := range uint32(c.rows()) {
				if code := c.get(place); int(code) >= len(f.values[n].kinds) {
					from.Fail("field %.40q of an event has a code without a value", f.names[n])
				} else if code != 0 {
					f.values[n].counts[code]++
				}
				if from.err != nil {
					return f
				}
			}
			b.codes = append(b.codes, c)
		}
		if from.err != nil {
			return f
		}
		f.blocks = append(f.blocks, b)
	}
	return f
}
