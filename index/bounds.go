package index

import (
	"math"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// span is a range of keys, both ends included; low above high is none.
type span struct{ low, high int64 }

var nothing = span{1, 0}

func (s span) holds(key int64) bool { return s.low <= key && key <= s.high }

// spans are the ranges of a comparison, by kind of value.
type spans [Location + 1]span

// spansOf reads a comparison with numbers or times; zone is the person's.
func spansOf(n *target.Node, now time.Time, zone *time.Location) (all spans) {
	for kind := range all {
		all[kind] = nothing
	}
	kinds := []Kind{Integer, Real}
	if n.Values[0].Kind == target.Moment {
		kinds = []Kind{Time}
	}
	for _, kind := range kinds {
		first := func(i int, above bool) (int64, bool) {
			v := n.Values[i]
			switch kind {
			case Integer:
				return firstInteger(v, above)
			case Real:
				return firstReal(v, above)
			}
			return firstAfter(v.At(now, zone), above)
		}
		all[kind] = spanOf(n.Op, first)
	}
	return all
}

// spanOf makes the range of a comparison; first gives the least key that is not
// below, or is above, one of its values, if there is any.
func spanOf(op target.Op, first func(value int, above bool) (int64, bool)) span {
	s, last := span{math.MinInt64, math.MaxInt64}, 0
	if op == target.Between {
		last = 1
	}
	if op == target.Greater || op == target.GreaterEqual || op == target.Between {
		low, ok := first(0, op == target.Greater)
		if !ok {
			return nothing
		}
		s.low = low
	}
	if op == target.Less || op == target.LessEqual || op == target.Between {
		if beyond, ok := first(last, op != target.Less); ok {
			if beyond == math.MinInt64 {
				return nothing
			}
			s.high = beyond - 1
		}
	}
	return s
}

func firstAfter(key int64, above bool) (int64, bool) {
	if above {
		return key + 1, key < math.MaxInt64
	}
	return key, true
}

// firstInteger is the least integer that is not below, or is above, a number.
func firstInteger(v target.Value, above bool) (int64, bool) {
	switch {
	case v.Kind == target.Integer:
		return firstAfter(v.Integer, above)
	case v.Real >= 1<<63:
		return 0, false
	case v.Real < -(1 << 63):
		return math.MinInt64, true
	}
	return int64(math.Ceil(v.Real)), true // a Real is whole only where no integer reaches
}

// firstReal is the key of the least float64 that is not below, or is above, a
// number.
func firstReal(v target.Value, above bool) (int64, bool) {
	if v.Kind == target.Real {
		return firstAfter(key(RealValue(v.Real)), above)
	}
	f := float64(v.Integer)
	switch c := compareReal(f, v.Integer); {
	case c < 0: // f was rounded down
		f, above = math.Nextafter(f, math.Inf(1)), false
	case c > 0:
		above = false
	}
	return firstAfter(key(RealValue(f)), above)
}

// compareReal compares a whole float64 of at most 2^63 with an integer, exactly.
func compareReal(f float64, i int64) int {
	switch {
	case f >= 1<<63 || int64(f) > i:
		return 1
	case int64(f) < i:
		return -1
	}
	return 0
}

// firstSecond is the least whole second that is not before, or is after, an
// instant of Unix nanoseconds.
func firstSecond(nanos int64, above bool) int64 {
	seconds := nanos / int64(time.Second)
	if rest := nanos % int64(time.Second); rest < 0 {
		seconds--
	} else if rest == 0 && !above {
		return seconds
	}
	return seconds + 1
}
