package index

import (
	"math/bits"
	"slices"
)

// doers finds, among the rows of some Events, those that a test lets pass: a block
// at a time, each once.
type doers struct {
	test   *eventTest
	events *Events // nil: nobody did anything
	event  *event  // nil: nobody did it
	since  uint32  // of which day on fields are kept
	tally  *tally
	blocks []doneBlock
	wanted map[*occurrences]wantedFields
}

// doneBlock is what was found of a block, as long as nothing of it changes.
type doneBlock struct {
	rows    *words
	version uint64
}

// wantedFields are the values of a day that pass, as long as the day gets no others.
type wantedFields struct {
	fields  []wantedField
	changes int
}

// wantedField is a field's clause on one day.
type wantedField struct {
	field int      // -1: no time of the day has it
	codes []uint64 // bit set; bit 0 is what has no such field
}

func doersOf(e *Events, name string, test *eventTest, t *tally) doers {
	d := doers{test: test, tally: t, wanted: make(map[*occurrences]wantedFields)}
	d.renew(e, name)
	return d
}

// renew looks up what may have changed since.
func (d *doers) renew(e *Events, name string) {
	if d.events = e; e != nil {
		d.event, d.since = e.names[name], e.since
	}
}

// block returns the rows of a block that pass.
func (d *doers) block(number uint32) *words {
	for int(number) >= len(d.blocks) {
		d.blocks = append(d.blocks, doneBlock{})
	}
	b, version := &d.blocks[number], uint64(0)
	if d.events != nil {
		version = d.events.version(number)
	}
	if b.rows == nil || b.version != version {
		b.rows, b.version = new(words), version
		d.evaluate(number, b.rows)
	}
	return b.rows
}

func (d *doers) evaluate(number uint32, rows *words) {
	t := d.test
	if d.event == nil {
		if (!t.counted || t.count.holds(0)) && !t.timed {
			rows.fill()
		}
		return
	}
	switch {
	case t.counted && t.byDay() && len(t.where) == 0 && t.count == atLeastOnce:
		for _, day := range d.days() {
			if b := day.rows.set.block(number); b != nil {
				b.join(rows)
			}
		}
	case t.counted && t.byDay():
		rows.fill()
		d.tally.reset()
		for _, day := range d.days() {
			d.count(day, number)
		}
		d.tally.join()
		d.tally.within(t.count, rows)
	default:
		rows.fill()
	}
	if byTotals := t.counted && !t.byDay(); byTotals || t.timed {
		d.byTotals(number, rows, byTotals)
	}
}

func (w *words) fill() {
	for i := range w {
		w[i] = ^uint64(0)
	}
}

// byTotals leaves the rows whose totals pass; counted tells that their count is
// asked for.
func (d *doers) byTotals(number uint32, rows *words, counted bool) {
	t, never := d.test, uint64(0)
	if !t.timed && t.count.holds(0) {
		never = ^uint64(0)
	}
	const parts = blockRows / partRows
	for part := range uint32(parts) {
		at := int(number*parts + part)
		first := int(part) * partRows / 64
		var passed, did [partRows / 64]uint64
		if at < len(d.event.totals) {
			for _, one := range d.event.totals[at].list {
				w, bit := one.low>>6, uint64(1)<<(one.low&63)
				did[w] |= bit
				if (!counted || t.count.holds(int64(one.count))) && t.first.holds(int64(one.first)) && t.last.holds(int64(one.last)) {
					passed[w] |= bit
				}
			}
		}
		for w := range passed {
			rows[first+w] &= passed[w] | never&^did[w]
		}
	}
}

// days are those that are looked at.
func (d *doers) days() []*eventDay {
	from, days := d.test.from, d.event.days
	if len(d.test.where) > 0 {
		from = max(from, d.since)
	}
	first, _ := d.event.dayAt(from)
	last, found := d.event.dayAt(d.test.to)
	if found {
		last++
	}
	return days[first:max(first, last)]
}

// count adds the times of a day to the tally.
func (d *doers) count(day *eventDay, number uint32) {
	t := d.tally
	if d.test.bare {
		if b := day.rows.set.block(number); b != nil {
			t.addBlock(b)
		}
		if at, found := day.moreAt(number); found {
			for _, x := range day.more[at].list {
				t.add(x.low, x.times)
			}
		}
	}
	if len(d.test.where) == 0 || day.fields == nil {
		return
	}
	at, found := day.fields.block(number)
	if !found {
		return
	}
	wanted := d.wantedOf(day.fields)
	b := &day.fields.blocks[at]
	if d.test.bare {
		for place, low := range b.rows {
			if !b.pass(wanted, uint32(place)) {
				t.take(low)
			}
		}
		return
	}
	for from := 0; from < len(b.rows); from += blockRows {
		passing := b.passing(wanted, from)
		for w, word := range passing[:(min(len(b.rows)-from, blockRows)+63)/64] {
			for ; word != 0; word &= word - 1 {
				t.add(b.rows[from+w<<6+bits.TrailingZeros64(word)], 1)
			}
		}
	}
}

// passing are the places from one on that pass, a bit each.
func (b *fieldBlock) passing(wanted []wantedField, from int) (places words) {
	count := min(len(b.rows)-from, blockRows)
	for w := range count / 64 {
		places[w] = ^uint64(0)
	}
	if rest := count % 64; rest > 0 {
		places[count/64] = 1<<rest - 1
	}
	for _, w := range wanted {
		switch {
		case w.codes[0]&1 != 0: // so does what has no such field
			pick(&places, func(at uint32) bool { return b.pass([]wantedField{w}, uint32(from)+at) })
		case w.field < 0 || w.field >= len(b.codes):
			return words{}
		default:
			c, number := &b.codes[w.field], uint32(from/blockRows)
			switch c.width {
			case 1:
				choose(&places, c.narrow.Block(number), w.codes)
			case 2:
				choose(&places, c.middle.Block(number), w.codes)
			default:
				choose(&places, c.wide.Block(number), w.codes)
			}
		}
	}
	return places
}

func (b *fieldBlock) pass(wanted []wantedField, place uint32) bool {
	for _, w := range wanted {
		code := uint32(0)
		if w.field >= 0 && w.field < len(b.codes) {
			code = b.codes[w.field].get(place)
		}
		if w.codes[code>>6]>>(code&63)&1 == 0 {
			return false
		}
	}
	return true
}

// wantedOf tests the values of a day, once.
func (d *doers) wantedOf(f *occurrences) []wantedField {
	if wanted, ok := d.wanted[f]; ok && wanted.changes == f.changes {
		return wanted.fields
	}
	var all []wantedField
	for _, test := range d.test.where {
		w := wantedField{slices.Index(f.names, test.name), []uint64{0}}
		if w.field >= 0 {
			values := f.values[w.field]
			w.codes = make([]uint64, len(values.kinds)/64+1)
			for code, kind := range values.kinds {
				if kind != 0 && (test.others || test.passes != nil && test.passes(values.value(uint32(code)))) {
					w.codes[code>>6] |= 1 << (code & 63)
				}
			}
			for _, v := range test.values {
				code := values.find(v)
				if w.codes[code>>6] &^= 1 << (code & 63); code != 0 && !test.others {
					w.codes[code>>6] |= 1 << (code & 63)
				}
			}
		}
		if test.missing {
			w.codes[0] |= 1
		}
		all = append(all, w)
	}
	d.wanted[f] = wantedFields{all, f.changes}
	return all
}

// times is how often a row did it, as far as the clause counts.
func (d *doers) times(row uint32) (times int) {
	if d.event == nil {
		return 0
	}
	if !d.test.byDay() {
		t, _ := d.event.of(row)
		return int(t.count)
	}
	for _, day := range d.days() {
		if d.test.bare {
			times += int(day.of(row))
		}
		if len(d.test.where) == 0 || day.fields == nil {
			continue
		}
		wanted := d.wantedOf(day.fields)
		day.fields.each(row, func(b *fieldBlock, place uint32) {
			switch passes := b.pass(wanted, place); {
			case passes && !d.test.bare:
				times++
			case !passes && d.test.bare:
				times--
			}
		})
	}
	return times
}

// passes is block for one row.
func (d *doers) passes(row uint32) bool {
	t := d.test
	if t.timed {
		if d.event == nil {
			return false
		}
		if total, did := d.event.of(row); !did || !t.first.holds(int64(total.first)) || !t.last.holds(int64(total.last)) {
			return false
		}
	}
	return !t.counted || t.count.holds(int64(d.times(row)))
}
