package index

import (
	"hash/maphash"
	"maps"
	"slices"
)

// Freeze returns the events as they are now, for a snapshot: streams whose names
// begin with prefix. It shares what is kept, and what changes afterwards is copied
// then, a day or the totals of 4,096 rows at a time.
func (e *Events) Freeze(prefix string) []Stream {
	names := slices.Sorted(maps.Keys(e.names))
	streams := []Stream{Whole(prefix+"names", func(to *Encoder) {
		to.Number(uint64(e.today))
		to.Number(uint64(e.since))
		to.Number(uint64(e.cost))
		to.Number(uint64(len(names)))
		for _, name := range names {
			to.Text(name)
		}
	})}
	for _, name := range names {
		one := e.names[name]
		sums, days := Stream{Name: totalsOf(prefix, name)}, Stream{Name: daysOf(prefix, name)}
		for i := range one.totals {
			p := &one.totals[i]
			if p.shared = true; p.sum == nil {
				p.sum = new(Sum)
			}
			list := p.list
			sums.Parts = append(sums.Parts, Part{Sum: p.sum, write: func(to *Encoder) { encodeTotals(to, list) }})
		}
		for _, d := range one.days {
			if d.shared = true; d.sum == nil {
				d.sum = new(Sum)
			}
			days.Parts = append(days.Parts, Part{Sum: d.sum, write: d.encode})
		}
		streams = append(streams, sums, days)
	}
	return streams
}

func totalsOf(prefix, name string) string { return prefix + "event/" + name + "/totals" }
func daysOf(prefix, name string) string   { return prefix + "event/" + name + "/days" }

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

// LoadEvents reads events back.
func LoadEvents(from *Saved, prefix string) *Events {
	e := NewEvents()
	from.Whole(prefix+"names", func(d *Decoder) {
		e.today, e.since, e.cost = uint32(d.Number()), uint32(d.Number()), int(d.Number())
		for range d.Length(maxNames) {
			e.names[d.Text(maxName)] = &event{}
		}
	})
	for name, one := range e.names {
		from.Each(totalsOf(prefix, name), func(sum *Sum, d *Decoder) {
			list := decodeTotals(d)
			one.rows += len(list)
			one.totals = append(one.totals, totals{list: list, shared: true, sum: sum})
		})
		from.Each(daysOf(prefix, name), func(sum *Sum, d *Decoder) {
			day := decodeDay(d, e.seed)
			day.shared, day.sum = true, sum
			one.days = append(one.days, day)
		})
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
