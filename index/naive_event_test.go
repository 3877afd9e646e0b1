package index

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// happening is one time of an event.
type happening struct {
	name   string
	at     uint32
	fields map[string]Value
}

func (h happening) day() uint32 { return h.at / (24 * 60 * 60) }

// people are those of a naive world, behind all rows.
const people = 1 << 31

// doer is whose a row is: a person, or itself.
func (p seen) doer() *person {
	if person := p.around.Profile.At(p.row); person != 0 {
		return p.all.row(people | (person - 1))
	}
	return p.person
}

// did reads a clause on an event off its description.
func (p seen) did(e *target.Event) bool {
	first, last := uint32(math.MaxUint32), uint32(0)
	for _, h := range p.doer().events {
		if h.name == e.Name {
			first, last = min(first, h.at), max(last, h.at)
		}
	}
	passes := func(nodes []target.Node, v Value) bool {
		return !slices.ContainsFunc(nodes, func(n target.Node) bool {
			n.Name = "it"
			return !(seen{&person{attributes: map[string]Value{"it": v}}, p.row, p.around, p.query}).matches(&n)
		})
	}
	ofSecond := func(at uint32) Value { return Value{Kind: Time, Bits: int64(at) * int64(time.Second)} }
	if len(e.First)+len(e.Last) > 0 && (last == 0 || !passes(e.First, ofSecond(first)) || !passes(e.Last, ofSecond(last))) {
		return false
	}
	switch times := p.times(e); {
	case len(e.Count) > 0:
		return passes(e.Count, Value{Kind: Integer, Bits: int64(times)})
	case len(e.Where)+len(e.Within) == 0 && len(e.First)+len(e.Last) > 0:
		return true
	default:
		return times > 0
	}
}

// times is how often the clause counts that somebody did it.
func (p seen) times(e *target.Event) (times int) {
	kept := uint32(math.MaxUint32)
	if len(e.Within) > 0 {
		kept = 90
	}
	if len(e.Where) > 0 {
		kept = 30
	}
	low, high := int64(0), int64(math.MaxInt64)
	for _, n := range e.Within {
		at := func(i int) int64 {
			v := n.Values[i]
			if v.Anchor == target.Now {
				return p.around.Now.UnixNano() + v.Integer
			}
			return v.Integer
		}
		switch n.Op {
		case target.Greater:
			low = max(low, at(0)+1)
		case target.GreaterEqual:
			low = max(low, at(0))
		case target.Less:
			high = min(high, at(0)-1)
		case target.LessEqual:
			high = min(high, at(0))
		case target.Between:
			low, high = max(low, at(0)), min(high, at(1))
		}
	}
	const day = int64(24 * time.Hour)
	for _, h := range p.doer().events {
		counted := h.name == e.Name && p.around.Own.today-min(h.day(), p.around.Own.today) < kept && low <= high && low/day <= int64(h.day()) && int64(h.day()) <= high/day
		if counted && !slices.ContainsFunc(e.Where, func(n target.Node) bool {
			return !(seen{&person{attributes: h.fields}, p.row, p.around, p.query}).matches(&n)
		}) {
			times++
		}
	}
	return times
}

// agreesOn compares everything that is kept of events with all that happened.
func (p *person) agreesOn(deeds []Deed, today uint32) bool {
	byName := make(map[string][]happening)
	for _, h := range p.events {
		byName[h.name] = append(byName[h.name], h)
	}
	if len(deeds) != len(byName) {
		return false
	}
	text := func(fields map[string]Value) string {
		parts := []string{}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			parts = append(parts, fmt.Sprint(name, fields[name]))
		}
		return strings.Join(parts, ",")
	}
	for _, deed := range deeds {
		first, last, days := uint32(math.MaxUint32), uint32(0), make(map[uint32]uint16)
		var want, have []string
		for _, h := range byName[deed.Name] {
			first, last = min(first, h.at), max(last, h.at)
			if h.day()+90 > today {
				days[h.day()]++
			}
			if h.day()+30 > today && len(h.fields) > 0 {
				want = append(want, fmt.Sprint(h.day(), text(h.fields)))
			}
		}
		for _, d := range deed.Days {
			if days[d.Day] != d.Times {
				return false
			}
		}
		for _, o := range deed.Times {
			fields := make(map[string]Value)
			for _, f := range o.Fields {
				fields[f.Name] = f.Value
			}
			have = append(have, fmt.Sprint(o.Day, text(fields)))
		}
		slices.Sort(want)
		slices.Sort(have)
		if int(deed.Count) != len(byName[deed.Name]) || deed.First != first || deed.Last != last || len(deed.Days) != len(days) || !slices.Equal(have, want) {
			return false
		}
	}
	return true
}

// happens makes the person of a row do something, or forgets or joins people.
func (w *world) happens(row uint32) {
	of, number, p := w.around.Own, row, w.n.row(row)
	if person := w.around.Profile.At(row); person != 0 {
		of, number = w.around.People, person-1
		p = w.n.row(people | number)
	}
	switch w.IntN(60) {
	case 0:
		of.Clear(number)
		p.events = nil
		return
	case 1: // moves to another shard, and back
		deeds := of.Of(number)
		of.Clear(number)
		of.Join(number, deeds, len(w.rows))
		return
	case 2:
		if next := w.around.Own.today + uint32(w.IntN(3)); w.IntN(4) == 0 {
			w.around.Own.Advance(next * daySeconds)
			w.around.People.Advance(next * daySeconds)
		}
		return
	}
	h := happening{name: w.pick("read", "bought", "opened"), at: uint32(w.around.Now.Unix() - int64(w.IntN(5*3600)*(1<<w.IntN(11))))}
	if w.IntN(3) == 0 {
		h.fields = make(map[string]Value)
		for range w.IntN(4) {
			name := w.pick("amount", "page", "currency")
			h.fields[name] = w.value(Kind(1+w.IntN(int(Time))), w.IntN(12))
		}
	}
	var fields []Field
	for name, v := range h.fields {
		fields = append(fields, Field{name, v})
	}
	of.Add(number, h.name, h.at, fields, len(w.rows))
	p.events = append(p.events, h)
}

// restart reads events back from a snapshot, which changes after it was begun
// do not alter.
func (w *world) restart() {
	freeze := func() []Stream { return slices.Concat(w.around.Own.Freeze("own/"), w.around.People.Freeze("people/")) }
	content := func(streams []Stream) (all []byte) {
		for _, s := range streams {
			for i := range s.Parts {
				all = append(all, s.Parts[i].Content()...)
			}
		}
		return all
	}
	later, now := freeze(), content(freeze())
	for range 20 {
		w.happens(w.rows[w.IntN(len(w.rows))])
	}
	if !bytes.Equal(content(later), now) {
		panic("a snapshot changes while it is written")
	}
	from := SavedOf(freeze())
	w.around.Own, w.around.People = LoadEvents(from, "own/"), LoadEvents(from, "people/")
	if from.Err() != nil {
		panic(from.Err())
	}
}

// eventsAgree compares what is kept of everybody's events.
func (w *world) eventsAgree() bool {
	for row, p := range w.n {
		of := w.around.Own
		if row >= people {
			of = w.around.People
		}
		if !p.agreesOn(of.Of(row&^people), of.today) {
			return false
		}
	}
	return true
}

// event writes a clause on an event.
func (w *world) event() string {
	moment := func() string {
		return w.pick(`"now"`, `"2026-11-20T00:00:00Z"`, fmt.Sprintf(`"now-%dh"`, w.IntN(100)), fmt.Sprintf(`"now-%dd"`, w.IntN(95)))
	}
	times := func() string {
		switch op := w.pick("$gt", "$gte", "$lt", "$lte", "$between"); op {
		case "$between":
			return fmt.Sprintf(`{"$between":["now-%dd","now-%dh"]}`, 3+w.IntN(90), w.IntN(72))
		default:
			return fmt.Sprintf(`{"%s":%s}`, op, moment())
		}
	}
	count := func() string {
		switch op := w.pick("$eq", "$gt", "$gte", "$lt", "$lte", "$between"); op {
		case "$between":
			low := w.IntN(4)
			return fmt.Sprintf(`{"$between":[%d,%d]}`, low, low+w.IntN(5))
		default:
			return fmt.Sprintf(`{"%s":%d}`, op, w.IntN(1<<w.IntN(7)))
		}
	}
	field := func() string {
		f := field{"x", []Kind{Text, URL, Integer, Real, Flag, Time}, 12}
		name := strconv.Quote(w.pick("amount", "page", "currency", "nothing"))
		switch w.IntN(5) {
		case 0:
			return fmt.Sprintf(`%s:{"$exists":%v}`, name, w.IntN(2) == 0)
		case 1:
			return fmt.Sprintf(`%s:{"%s":%s}`, name, w.pick("$in", "$nin"), w.list(4, func() string { return w.literal(f) }))
		case 2:
			return fmt.Sprintf(`%s:%s`, name, strings.NewReplacer("today-1d", "now-1d", "today", "now").Replace(w.range_(f, w.IntN(2) == 0)))
		case 3:
			return fmt.Sprintf(`%s:{"$startsWith":"%s"}`, name, w.pick("a", "ab", "https://", "1"))
		}
		return fmt.Sprintf(`%s:{"%s":%s}`, name, w.pick("$eq", "$ne"), w.literal(f))
	}
	parts := []string{fmt.Sprintf(`"name":"%s"`, w.pick("read", "read", "bought", "opened", "never"))}
	for _, part := range []struct {
		name  string
		write func() string
	}{{"count", count}, {"first", times}, {"last", times}, {"where", func() string { return "{" + field() + "}" }},
		{"within", func() string {
			return w.pick(times(), fmt.Sprintf(`"%dd"`, w.IntN(40)), fmt.Sprintf(`"%dh"`, w.IntN(40)))
		}}} {
		if w.IntN(3) == 0 {
			parts = append(parts, fmt.Sprintf(`"%s":%s`, part.name, part.write()))
		}
	}
	return `{"event":{` + strings.Join(parts, ",") + `}}`
}
