package index

import (
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// eventTest is a clause on an event, made ready for one instant.
type eventTest struct {
	counted     bool
	count       span
	windowed    bool
	from, to    uint32 // days, when windowed
	first, last span   // seconds; everything when the clause does not ask
	timed       bool   // it asks for the first or the last time
	where       []fieldTest
	bare        bool // a time without any field passes
}

// fieldTest is a clause on one field.
type fieldTest struct {
	name    string
	values  []Value          // passes those, or all others ...
	others  bool             // ... or
	passes  func(Value) bool // what this lets pass
	missing bool             // passes what has no such field
}

var (
	everything  = span{math.MinInt64, math.MaxInt64}
	atLeastOnce = span{1, math.MaxInt64}
)

// byDay reports whether times are counted day by day, not in all.
func (t *eventTest) byDay() bool { return t.windowed || len(t.where) > 0 }

func testOf(e *target.Event, now time.Time) *eventTest {
	t := &eventTest{counted: e.Counted(), count: atLeastOnce, from: 0, to: math.MaxUint32, first: everything, last: everything,
		timed: len(e.First)+len(e.Last) > 0, windowed: len(e.Within) > 0, bare: true}
	if len(e.Count) > 0 {
		t.count = everything
	}
	for i := range e.Count {
		n := &e.Count[i]
		if n.Op == target.Equal {
			t.count = t.count.and(span{n.Values[0].Integer, n.Values[0].Integer})
			continue
		}
		t.count = t.count.and(spanOf(n.Op, func(i int, above bool) (int64, bool) { return firstAfter(n.Values[i].Integer, above) }))
	}
	for _, part := range [...]struct {
		nodes []target.Node
		to    *span
	}{{e.First, &t.first}, {e.Last, &t.last}} {
		for i := range part.nodes {
			n := &part.nodes[i]
			*part.to = part.to.and(spanOf(n.Op, func(i int, above bool) (int64, bool) { return firstSecond(n.Values[i].At(now, time.UTC), above), true }))
		}
	}
	window := everything
	for i := range e.Within {
		n := &e.Within[i]
		window = window.and(spanOf(n.Op, func(i int, above bool) (int64, bool) { return firstAfter(n.Values[i].At(now, time.UTC), above) }))
	}
	if t.windowed {
		t.from, t.to = dayOf(window.low), dayOf(window.high)
		if window.low > window.high || window.high < 0 {
			t.from, t.to = 1, 0
		}
	}
	for i := range e.Where {
		f := fieldOf(&e.Where[i], now)
		t.where, t.bare = append(t.where, f), t.bare && f.missing
	}
	return t
}

func (s span) and(other span) span { return span{max(s.low, other.low), min(s.high, other.high)} }

// dayOf is the day of an instant of Unix nanoseconds; the first for those before.
func dayOf(nanos int64) uint32 {
	return uint32(max(nanos, 0) / int64(daySeconds*time.Second))
}

// fieldOf makes a clause on a field ready.
func fieldOf(n *target.Node, now time.Time) fieldTest {
	f := fieldTest{name: n.Name}
	switch {
	case n.Op == target.Exists:
		f.missing = !n.Values[0].Flag
		f.passes = func(Value) bool { return n.Values[0].Flag }
	case n.Version:
		f.passes = versionTest(n)
	case n.Op == target.StartsWith:
		f.passes = func(v Value) bool { return v.textual() && strings.HasPrefix(v.Text, n.Values[0].Text) }
	case n.Op <= target.NotIn:
		f.others = n.Op == target.NotEqual || n.Op == target.NotIn
		for _, v := range n.Values {
			f.values = append(f.values, candidates(v)...)
		}
	default:
		ranges := spansOf(n, now, time.UTC)
		f.passes = func(v Value) bool { return ranges[v.Kind].holds(key(v)) }
	}
	return f
}

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

// did is a clause on what people did: a row is looked up as its person, or as
// itself when it is nobody's.
type did struct {
	own, people doers
	profile     *Cells[uint32]
	few         int // rows of a block that are looked up one by one
}

func (d *did) narrow(number uint32, rows *words) {
	if rows.count() <= d.few {
		pick(rows, func(low uint32) bool {
			of, row := d.doer(number<<16 | low)
			return of.passes(row)
		})
		return
	}
	cells := d.profile.Block(number)
	var own, people *words
	block := uint32(math.MaxUint32) // of people
	for w := range rows {
		asked, found, alone := rows[w], uint64(0), uint64(0)
		if bits.OnesCount64(asked) <= few {
			for left := asked; left != 0; left &= left - 1 {
				of, row := d.doer(number<<16 | uint32(w<<6|bits.TrailingZeros64(left)))
				found |= of.block(row >> 16)[uint16(row)>>6] >> (row & 63) & 1 << bits.TrailingZeros64(left)
			}
			rows[w] = found
			continue
		}
		here := cells[min(w<<6, len(cells)):]
		if len(here) < 64 {
			alone = ^uint64(0) << len(here)
		}
		for i, person := range here[:min(64, len(here))] {
			// Nobody is looked up as the first of the block, and then taken out:
			// nobody could foretell a branch.
			nobody := uint32((uint64(person) - 1) >> 63)
			number := person - 1 + nobody*(block<<16+1)
			if number>>16 != block {
				if alone |= uint64(nobody) << i; asked>>i&1 == 0 || nobody != 0 {
					continue
				}
				block = number >> 16
				people = d.people.block(block)
			}
			found |= people[uint16(number)>>6] >> (number & 63) & 1 << i
			alone |= uint64(nobody) << i
		}
		if alone &= asked; alone != 0 {
			if own == nil {
				own = d.own.block(number)
			}
			found = found&^alone | own[w]&alone
		}
		rows[w] = found & asked
	}
}

// doer finds whose a row is.
func (d *did) doer(row uint32) (of *doers, number uint32) {
	if person := d.profile.At(row); person != 0 {
		return &d.people, person - 1
	}
	return &d.own, row
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

// times is how often the person of a row did what a clause counts.
func (c *compiler) times(e *target.Event, row uint32) int {
	of, number := c.didLeaf(e).doer(row)
	return of.times(number)
}

// Memo keeps what was found of people for the next time that the same query is
// compiled, for the same instant: whoever lets the writer go on between two blocks
// needs not find it again. It is used by one evaluation at a time.
type Memo struct{ did map[*target.Event]*did }

func (c *compiler) didLeaf(e *target.Event) *did {
	memo := c.around.Memo
	if memo != nil && memo.did[e] != nil {
		d := memo.did[e]
		d.own.renew(c.around.Own, e.Name)
		d.people.renew(c.around.People, e.Name)
		d.profile = &c.around.Profile
		return d
	}
	test, t := testOf(e, c.around.Now), new(tally)
	d := &did{own: doersOf(c.around.Own, e.Name, test, t), people: doersOf(c.around.People, e.Name, test, t), profile: &c.around.Profile,
		few: c.x.shape.doers}
	if memo != nil {
		if memo.did == nil {
			memo.did = make(map[*target.Event]*did)
		}
		memo.did[e] = d
	}
	return d
}

// event compiles a clause on what somebody did.
func (c *compiler) event(e *target.Event) *node {
	d := c.didLeaf(e)
	test := d.own.test
	n := &node{leaf: d, cost: blockRows * costRow}
	rows := float64(max(c.around.Created.Len(), 1))
	for _, part := range [...]*doers{&d.own, &d.people} {
		if part.event == nil {
			continue
		}
		share, times := float64(part.event.rows)/rows, 0.0
		if test.byDay() {
			for _, day := range part.days() {
				times += float64(day.rows.Len()) / rows
			}
			n.cost += float64(len(part.days())) * costWords
			share = min(share, times)
		}
		n.share += share
		n.cost += times * blockRows * costRow
	}
	if n.share = min(n.share, 1); test.counted && test.count.holds(0) && !test.timed {
		n.share = 1 - n.share/2
	}
	return n
}
