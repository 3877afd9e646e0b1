package index

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"strings"
)

// Days are those of UTC, numbered from 1970. What is kept of a day goes when the
// day of the log lies so many days after it.
const (
	CountedDays = 90 // how often each row did it
	FieldDays   = 30 // the fields of each time
)

const daySeconds = 24 * 60 * 60

// Fields may cost so much, by a measure that depends on the log alone; beyond it
// those of the oldest days go.
const (
	fieldRoom    = 4 << 20
	fieldRoomRow = 64 // and that for each row
)

// Events is what some rows did, and when: of each event and row how often in all,
// the first time and the last; of each day how often; and the fields of each time.
//
// It costs 12 bytes for each row and event, up to 2 bytes for each row and day, 4
// more where it was more than once, and 2 for each time that had fields, with 1
// to 4 for each of them and the values of a day once.
type Events struct {
	seed  maphash.Seed
	names map[string]*event
	today uint32
	since uint32 // the oldest day of which fields are kept
	cost  int    // of those

	changes []uint32 // by block of rows, how often one of them did something or was forgotten
	dropped uint32   // how often days went
}

// event is everything about one name.
type event struct {
	totals []totals // by row / partRows
	rows   int      // that ever did it
	days   []*eventDay
}

const partRows = 4096

// totals are those of the rows of a part, in order.
type totals struct {
	list   []total
	shared bool // a snapshot may have the list too: it is copied before it changes
	sum    *Sum // nil since it changed
}

type total struct {
	low         uint16 // of the row, in its part
	count       uint16 // in all, and those of a day: at most mostCounted
	first, last uint32 // seconds
}

const mostCounted = 1<<16 - 1

// eventDay is one event on one day.
type eventDay struct {
	number uint32
	shared bool // this and sum as in totals
	sum    *Sum
	rows   Rows        // that did it
	more   []moreOften // by block
	fields *occurrences
}

// moreOften tells which rows of a block did it more than once, and how often but
// for that once.
type moreOften struct {
	number uint32
	list   []extra
}

type extra struct{ low, times uint16 }

// Field is one of an event, with its value.
type Field struct {
	Name  string
	Value Value
}

// NewEvents returns what nobody did.
func NewEvents() *Events {
	return &Events{seed: maphash.MakeSeed(), names: make(map[string]*event)}
}

// Add notes that a row did something, at an instant in seconds. rows is how many
// there are: it bounds what fields may cost.
func (e *Events) Add(row uint32, name string, at uint32, fields []Field, rows int) {
	e.put(row, name, total{count: 1, first: at, last: at})
	day := at / daySeconds
	if day+CountedDays <= e.today {
		return
	}
	d := e.names[name].day(day)
	d.add(row, 1)
	if len(fields) > 0 && day >= e.since {
		e.cost += d.keep(row, fields, e.seed)
		e.bound(rows)
	}
}

// version changes whenever something of a block of rows may have.
func (e *Events) version(number uint32) uint64 {
	v := uint64(e.dropped) << 32
	if int(number) < len(e.changes) {
		v |= uint64(e.changes[number])
	}
	return v
}

func (e *Events) change(row uint32) {
	for int(row>>16) >= len(e.changes) {
		e.changes = append(e.changes, 0)
	}
	e.changes[row>>16]++
}

// put adds to the totals of a row.
func (e *Events) put(row uint32, name string, t total) {
	e.change(row)
	one := e.names[name]
	if one == nil {
		one = &event{}
		e.names[strings.Clone(name)] = one
	}
	if one.add(row, t) {
		one.rows++
	}
}

// add adds to the totals of a row, and reports whether it had none.
func (e *event) add(row uint32, t total) (anew bool) {
	part := int(row / partRows)
	for len(e.totals) <= part {
		e.totals = append(e.totals, totals{})
	}
	p := &e.totals[part]
	p.own()
	t.low = uint16(row % partRows)
	at, found := p.find(t.low)
	if !found {
		p.list = slices.Insert(p.list, at, t)
		return true
	}
	have := &p.list[at]
	have.count = uint16(min(mostCounted, int(have.count)+int(t.count)))
	have.first, have.last = min(have.first, t.first), max(have.last, t.last)
	return false
}

func (p *totals) find(low uint16) (at int, found bool) {
	if n := len(p.list); n > 0 && p.list[n-1].low < low { // rows mostly come in order
		return n, false
	}
	return slices.BinarySearchFunc(p.list, low, func(t total, low uint16) int { return cmp.Compare(t.low, low) })
}

// own makes the list one that may be changed.
func (p *totals) own() {
	if p.shared {
		p.list, p.shared, p.sum = slices.Clone(p.list), false, nil
	}
}

// of returns the totals of a row.
func (e *event) of(row uint32) (total, bool) {
	if int(row/partRows) >= len(e.totals) {
		return total{}, false
	}
	p := &e.totals[row/partRows]
	at, found := p.find(uint16(row % partRows))
	if !found {
		return total{}, false
	}
	return p.list[at], true
}

// day finds or makes a day that may be changed.
func (e *event) day(number uint32) *eventDay {
	at, found := e.dayAt(number)
	if !found {
		e.days = slices.Insert(e.days, at, &eventDay{number: number})
	}
	if e.days[at].shared {
		e.days[at] = e.days[at].clone()
	}
	return e.days[at]
}

func (e *event) dayAt(number uint32) (at int, found bool) {
	return slices.BinarySearchFunc(e.days, number, func(d *eventDay, number uint32) int { return cmp.Compare(d.number, number) })
}

func (d *eventDay) clone() *eventDay {
	c := &eventDay{number: d.number, rows: *d.rows.Clone(), more: slices.Clone(d.more)}
	for i := range c.more {
		c.more[i].list = slices.Clone(c.more[i].list)
	}
	if d.fields != nil {
		c.fields = d.fields.clone()
	}
	return c
}

// add counts a row so many times more.
func (d *eventDay) add(row uint32, times uint16) {
	if d.rows.Add(row) {
		times--
	}
	if times == 0 {
		return
	}
	at, found := d.moreAt(row >> 16)
	if !found {
		d.more = slices.Insert(d.more, at, moreOften{number: row >> 16})
	}
	m := &d.more[at]
	at, found = m.find(uint16(row))
	if !found {
		m.list = slices.Insert(m.list, at, extra{uint16(row), times})
		return
	}
	m.list[at].times = uint16(min(mostCounted-1, int(m.list[at].times)+int(times)))
}

func (d *eventDay) moreAt(number uint32) (at int, found bool) {
	return slices.BinarySearchFunc(d.more, number, func(m moreOften, number uint32) int { return cmp.Compare(m.number, number) })
}

func (m *moreOften) find(low uint16) (at int, found bool) {
	if n := len(m.list); n > 0 && m.list[n-1].low < low {
		return n, false
	}
	return slices.BinarySearchFunc(m.list, low, func(x extra, low uint16) int { return cmp.Compare(x.low, low) })
}

// of is how often a row did it on the day.
func (d *eventDay) of(row uint32) uint16 {
	if !d.rows.Has(row) {
		return 0
	}
	if at, found := d.moreAt(row >> 16); found {
		if i, found := d.more[at].find(uint16(row)); found {
			return 1 + d.more[at].list[i].times
		}
	}
	return 1
}

// remove forgets a row.
func (d *eventDay) remove(row uint32) {
	d.rows.Remove(row)
	if at, found := d.moreAt(row >> 16); found {
		if i, found := d.more[at].find(uint16(row)); found {
			d.more[at].list = slices.Delete(d.more[at].list, i, i+1)
		}
	}
}

// Advance says that the log has come to an instant, in seconds: what is kept of
// older days goes.
func (e *Events) Advance(at uint32) {
	if at/daySeconds <= e.today {
		return
	}
	e.today = at / daySeconds
	e.dropped++
	e.dropFields(max(e.since, e.today+1-min(e.today, FieldDays)))
	for _, one := range e.names {
		one.days = slices.DeleteFunc(one.days, func(d *eventDay) bool { return d.number+CountedDays <= e.today })
	}
}

// bound makes room for fields: the oldest day goes, whatever its events.
func (e *Events) bound(rows int) {
	for e.cost > fieldRoom+rows*fieldRoomRow {
		oldest := uint32(math.MaxUint32)
		for _, one := range e.names {
			for _, d := range one.days {
				if d.fields != nil {
					oldest = min(oldest, d.number)
				}
			}
		}
		e.dropFields(oldest + 1)
	}
}

// dropFields says that fields of the days before one are not kept.
func (e *Events) dropFields(since uint32) {
	e.since = since
	e.dropped++
	for _, one := range e.names {
		for i := 0; i < len(one.days) && one.days[i].number < since; i++ {
			one.days[i] = e.withoutFields(one.days[i])
		}
	}
}

// FieldsSince is the oldest day of which fields are kept.
func (e *Events) FieldsSince() uint32 { return e.since }

// withoutFields is a day without its fields.
func (e *Events) withoutFields(d *eventDay) *eventDay {
	if d.fields == nil {
		return d
	}
	e.cost -= d.fields.cost
	if d.shared { // its rows still are
		return &eventDay{number: d.number, shared: true, rows: d.rows, more: d.more}
	}
	d.fields = nil
	return d
}

// Clear forgets everything that a row did.
func (e *Events) Clear(row uint32) {
	for name, one := range e.names {
		if int(row/partRows) >= len(one.totals) {
			continue
		}
		p := &one.totals[row/partRows]
		at, found := p.find(uint16(row % partRows))
		if !found {
			continue
		}
		e.change(row)
		first, last := p.list[at].first/daySeconds, p.list[at].last/daySeconds
		p.own()
		p.list = slices.Delete(p.list, at, at+1)
		if one.rows--; one.rows == 0 {
			for _, d := range one.days {
				e.withoutFields(d)
			}
			delete(e.names, name)
			continue
		}
		for _, d := range one.days {
			if d.number < first || d.number > last || !d.rows.Has(row) {
				continue
			}
			d = one.day(d.number)
			d.remove(row)
			if d.fields != nil {
				e.cost -= d.fields.remove(row)
			}
		}
		one.days = slices.DeleteFunc(one.days, func(d *eventDay) bool {
			if d.rows.Len() > 0 {
				return false
			}
			e.withoutFields(d)
			return true
		})
	}
}
