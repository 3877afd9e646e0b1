package index

import (
	"math"
	"math/big"
	"testing"

	"github.com/tocsin-push/tocsin/target"
)

// Numbers of different types are compared exactly, where floats have gaps and
// at the ends of what 64 bits hold.
func TestBoundsAreExact(t *testing.T) {
	integers := []int64{0, 1, -1, 1<<53 - 1, 1 << 53, 1<<53 + 1, -(1 << 53) - 1, math.MaxInt64, math.MaxInt64 - 511, math.MaxInt64 - 512, math.MinInt64, math.MinInt64 + 1}
	reals := []float64{0, 0.5, -0.5, 1, 1 << 53, 1<<53 + 2, -(1<<53 + 2), 1 << 63, -(1 << 63), math.Nextafter(1<<63, 0), 1e300, -1e300, 5e-324, -5e-324}
	var stored []Value
	var asked []target.Value
	for _, i := range integers {
		stored = append(stored, Value{Kind: Integer, Bits: i})
		asked = append(asked, target.Value{Kind: target.Integer, Integer: i})
	}
	for _, f := range reals {
		stored = append(stored, RealValue(f))
		if f != math.Trunc(f) || f >= 1<<63 || f < -(1<<63) {
			asked = append(asked, target.Value{Kind: target.Real, Real: f})
		}
	}
	exact := func(stored Value, asked target.Value) int {
		a, b := new(big.Float), new(big.Float)
		if stored.Kind == Integer {
			a.SetInt64(stored.Bits)
		} else {
			a.SetFloat64(stored.Real())
		}
		if asked.Kind == target.Integer {
			b.SetInt64(asked.Integer)
		} else {
			b.SetFloat64(asked.Real)
		}
		return a.Cmp(b)
	}
	for _, v := range asked {
		for op, want := range map[target.Op]func(int) bool{
			target.Greater: func(c int) bool { return c > 0 }, target.GreaterEqual: func(c int) bool { return c >= 0 },
			target.Less: func(c int) bool { return c < 0 }, target.LessEqual: func(c int) bool { return c <= 0 },
		} {
			ranges := spansOf(&target.Node{Op: op, Values: []target.Value{v}}, epoch, nil)
			for _, s := range stored {
				if got := ranges[s.Kind].holds(key(s)); got != want(exact(s, v)) {
					t.Errorf("%v %v %v is %v", s, op, v, got)
				}
			}
		}
	}
	for nanos, want := range map[int64][2]int64{0: {0, 1}, 1: {1, 1}, -1: {0, 0}, 1e9: {1, 2}, -1e9: {-1, 0}, -1e9 - 1: {-1, -1}} {
		if got := [2]int64{firstSecond(nanos, false), firstSecond(nanos, true)}; got != want {
			t.Errorf("%d ns: %v, want %v", nanos, got, want)
		}
	}
}
