package index

import (
	"math"
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
