package index

import (
	"maps"
	"slices"
)

// Deed is everything that a row did under one name, as it goes with a person to
// another shard, or to whoever asks what is known.
type Deed struct {
	Name        string
	Count       uint16 // up to 65,535
	First, Last uint32 // seconds
	Days        []DayCount
	Times       []Occurrence // that had fields
}

// DayCount is how often it was on a day of UTC, numbered from 1970.
type DayCount struct {
	Day   uint32
	Times uint16
}

// Occurrence is one time, with its fields.
type Occurrence struct {
	Day    uint32
	Fields []Field
}

// Of returns what a row did, in the order of names.
func (e *Events) Of(row uint32) (deeds []Deed) {
	for _, name := range slices.Sorted(maps.Keys(e.names)) {
		one := e.names[name]
		t, did := one.of(row)
		if !did {
			continue
		}
		deed := Deed{Name: name, Count: t.count, First: t.first, Last: t.last}
		for _, d := range one.days {
			times := d.of(row)
			if times == 0 {
				continue
			}
			deed.Days = append(deed.Days, DayCount{d.number, times})
			if d.fields == nil {
				continue
			}
			d.fields.each(row, func(b *fieldBlock, place uint32) {
				deed.Times = append(deed.Times, Occurrence{d.number, d.fields.at(b, place)})
			})
		}
		deeds = append(deeds, deed)
	}
	return deeds
}

// at returns the fields of one time.
func (f *occurrences) at(b *fieldBlock, place uint32) (fields []Field) {
	for n := range b.codes {
		if code := b.codes[n].get(place); code != 0 {
			fields = append(fields, Field{f.names[n], f.values[n].value(code)})
		}
	}
	return fields
}

// Join adds what somebody did elsewhere to what a row did. rows is as in Add.
func (e *Events) Join(row uint32, deeds []Deed, rows int) {
	for _, deed := range deeds {
		e.put(row, deed.Name, total{count: deed.Count, first: deed.First, last: deed.Last})
		for _, d := range deed.Days {
			if d.Day+CountedDays > e.today && d.Times > 0 {
				e.names[deed.Name].day(d.Day).add(row, d.Times)
			}
		}
		for _, o := range deed.Times {
			if o.Day >= e.since {
				e.cost += e.names[deed.Name].day(o.Day).keep(row, o.Fields, e.seed)
			}
		}
	}
	e.bound(rows)
}

// Known returns the names that some row did.
func (e *Events) Known() []string { return slices.Collect(maps.Keys(e.names)) }

// Has reports whether some row did it.
func (e *Events) Has(name string) bool { return e.names[name] != nil }

// Size is the memory in use, in bytes, but for small fixed parts.
func (e *Events) Size() (bytes int) {
	for _, one := range e.names {
		bytes += 32 * cap(one.totals)
		for i := range one.totals {
			bytes += 12 * cap(one.totals[i].list)
		}
		for _, d := range one.days {
			bytes += d.rows.Size()
			for i := range d.more {
				bytes += 32 + 4*cap(d.more[i].list)
			}
			if d.fields != nil {
				bytes += d.fields.size()
			}
		}
	}
	return bytes
}
