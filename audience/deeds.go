package audience

import (
	"cmp"
	"slices"

	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// deedsOf are what a subscription did, as they go with it.
func deedsOf(all []index.Deed) (deeds []*record.Deed) {
	for _, d := range all {
		deed := &record.Deed{Name: d.Name, Count: uint32(d.Count), First: d.First, Last: d.Last}
		times := d.Times
		for _, day := range d.Days {
			one := &record.Day{Day: day.Day, Times: uint32(day.Times)}
			for len(times) > 0 && times[0].Day <= day.Day {
				var fields record.Fields
				for _, f := range times[0].Fields {
					fields.Fields = append(fields.Fields, attributeOf(f.Name, f.Value))
				}
				one.Fields, times = append(one.Fields, &fields), times[1:]
			}
			deed.Days = append(deed.Days, one)
		}
		deeds = append(deeds, deed)
	}
	return deeds
}

// did gives a subscription, or the person that has it now, what it did elsewhere.
func (p *project) did(ordinal uint32, all []*record.Deed) {
	var deeds []index.Deed
	for _, d := range all {
		deed := index.Deed{Name: d.Name, Count: uint16(d.Count), First: d.First, Last: d.Last}
		for _, day := range d.Days {
			deed.Days = append(deed.Days, index.DayCount{Day: day.Day, Times: uint16(day.Times)})
			for _, one := range day.Fields {
				deed.Times = append(deed.Times, index.Occurrence{Day: day.Day, Fields: fieldsOf(one.Fields)})
			}
		}
		deeds = append(deeds, deed)
	}
	if len(deeds) == 0 {
		return
	}
	p.done.own.Join(ordinal, deeds, p.rows.ids.Len())
	if person := p.rows.profile.At(ordinal); person != 0 {
		p.joins(ordinal, person-1)
	}
	p.touch(ordinal)
}

func fieldsOf(all []*record.Attribute) (fields []index.Field) {
	for _, f := range all {
		if v, ok := valueOf(f); ok {
			fields = append(fields, index.Field{Name: f.Name, Value: v})
		}
	}
	return fields
}

// mostState bounds what a subscription takes along in bytes: a record must hold it.
const mostState = journal.MaxRecord / 2

// fit leaves the oldest out of what a subscription did, as far as the rest needs
// the room: first fields of events, then opened sends, then days. What it is and
// how often it did something always fit.
func fit(s *record.State) {
	over := s.SizeVT() - mostState
	if over <= 0 {
		return
	}
	const least = 2 // bytes of the tag and the length of what is within a message
	var days []*record.Day
	for _, deed := range s.Deeds {
		days = append(days, deed.Days...)
	}
	slices.SortStableFunc(days, func(a, b *record.Day) int { return cmp.Compare(a.Day, b.Day) })
	for _, day := range days {
		for ; over > 0 && len(day.Fields) > 0; day.Fields = day.Fields[1:] {
			over -= day.Fields[0].SizeVT() + least
		}
	}
	for ; over > 0 && len(s.Opened) > 0; s.Opened = s.Opened[1:] {
		over -= len(s.Opened[0]) + least
	}
	for _, day := range days {
		if over > 0 {
			over -= day.SizeVT() + least
			day.Times = 0
		}
	}
	for _, deed := range s.Deeds {
		deed.Days = slices.DeleteFunc(deed.Days, func(d *record.Day) bool { return d.Times == 0 })
	}
}
