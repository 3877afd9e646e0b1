package index

import (
	"math"
	"strconv"
	"time"
	"unsafe"

	"github.com/tocsin-push/tocsin/target"
)

// Kind is the type of an attribute's value. The numbers are kept in snapshots.
type Kind uint8

const (
	Text Kind = iota + 1
	URL
	Integer
	Real
	Flag
	Time     // Unix nanoseconds
	Location // a place on Earth
)

// Value is one attribute value: Text for Text and URL, Bits for the others
// (an integer, the bits of a float64, 0 or 1, nanoseconds, a place).
type Value struct {
	Kind Kind
	Text string
	Bits int64
}

// RealValue makes a value of a finite float; both zeros are one value.
func RealValue(f float64) Value {
	if f == 0 {
		f = 0
	}
	return Value{Kind: Real, Bits: int64(math.Float64bits(f))}
}

// FlagValue makes a value of a boolean.
func FlagValue(b bool) Value {
	if b {
		return Value{Kind: Flag, Bits: 1}
	}
	return Value{Kind: Flag}
}

// Real is the number of a Real.
func (v Value) Real() float64 { return math.Float64frombits(uint64(v.Bits)) }

func (v Value) textual() bool { return v.Kind == Text || v.Kind == URL }

// String is the form that templates show: numbers without exponent, times in
// RFC 3339 and UTC, places as degrees north and east.
func (v Value) String() string {
	switch v.Kind {
	case Integer:
		return strconv.FormatInt(v.Bits, 10)
	case Real:
		return strconv.FormatFloat(v.Real(), 'f', -1, 64)
	case Flag:
		return strconv.FormatBool(v.Bits != 0)
	case Time:
		return time.Unix(0, v.Bits).UTC().Format(time.RFC3339Nano)
	case Location:
		return placeText(v)
	}
	return v.Text
}

// candidates lists the stored values that a query's value equals; the rules
// are those of package target.
func candidates(v target.Value) []Value {
	const exact = 1 << 53
	switch v.Kind {
	case target.Text:
		equal := []Value{{Kind: Text, Text: v.Text}, {Kind: URL, Text: v.Text}}
		if nanos, ok := v.Time(); ok {
			equal = append(equal, Value{Kind: Time, Bits: nanos})
		}
		return equal
	case target.Integer:
		equal := []Value{{Kind: Integer, Bits: v.Integer}}
		if f := float64(v.Integer); -exact <= v.Integer && v.Integer <= exact || f < 1<<63 && int64(f) == v.Integer {
			equal = append(equal, RealValue(f))
		}
		return equal
	case target.Real:
		return []Value{RealValue(v.Real)}
	case target.Flag:
		return []Value{FlagValue(v.Flag)}
	}
	return nil
}

// text views arena bytes as a string; arena entries never change.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
