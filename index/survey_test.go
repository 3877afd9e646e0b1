package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func surveyed(x *Index, name string, tags bool, most int, between func()) *Survey {
	s := NewSurvey(name, tags, most)
	for s.Step(x) {
		between()
	}
	return s
}

// about is how many values a sketch tells of.
func about(s Sketch) float64 {
	sum, size := 0.0, float64(len(s))
	for _, rank := range s {
		sum += math.Ldexp(1, -int(rank))
	}
	return 0.7213 / (1 + 1.079/size) * size * size / sum
}

// Surveys of random rows are what the rows have, also after names were changed.
func TestSurveysTellWhatIsThere(t *testing.T) {
	for range 300 {
		seed := rand.Uint64()
		w := newWorld(rand.New(rand.NewPCG(seed, 0)), zonesOf())
		for range 200 {
			w.change()
		}
		for _, tags := range []bool{false, true} {
			for _, name := range []string{"a", "b", "c", "tags", "nobody"} {
				rows, values, kinds := 0, map[Value]int{}, [Location + 1]int{}
				for _, p := range w.n {
					if v, ok := p.attributes[name]; ok && !tags {
						rows++
						values[v]++
						kinds[v.Kind]++
					}
					if tags && len(p.tags[name]) > 0 {
						rows++
						for _, tag := range p.tags[name] {
							values[Value{Kind: Text, Text: tag}]++
							kinds[Text]++
						}
					}
				}
				s := surveyed(w.x, name, tags, 1000, func() {})
				if s.Rows != rows || s.Kinds != kinds {
					t.Fatalf("seed %d: %s: %d rows %v, want %d %v", seed, name, s.Rows, s.Kinds, rows, kinds)
				}
				if c := w.x.columns[name]; !tags && c != nil && c.plain != nil {
					continue
				}
				if !s.All || len(s.Top) != len(values) || !slices.IsSortedFunc(s.Top, func(a, b Counted) int { return b.Rows - a.Rows }) {
					t.Fatalf("seed %d: %s: %v, want %v", seed, name, s.Top, values)
				}
				for _, v := range s.Top {
					if values[v.Value] != v.Rows {
						t.Fatalf("seed %d: %s: %v, want %v", seed, name, s.Top, values)
					}
				}
			}
		}
	}
}

// A large column is looked at in steps, between which others write. What they
// leave alone is counted exactly.
func TestSurveysLetOthersWrite(t *testing.T) {
	const rows = 300_000
	x := New()
	for row := range uint32(rows) {
		x.Set(row, "email", Value{Kind: Text, Text: fmt.Sprintf("%d@example.org", row/2)}) // two of each
		x.Set(row, "at", Value{Kind: Time, Bits: int64(row) * 7})
		x.Set(row, "town", Value{Kind: Text, Text: fmt.Sprint("town ", min(row%30_000, 20_000+row%7))})
	}
	if x.columns["at"].plain == nil {
		t.Fatal("the times are not plain")
	}
	for name, want := range map[string]float64{"email": rows / 2, "at": rows, "town": 20_007} {
		steps := 0
		s := surveyed(x, name, false, 10, func() {
			steps++
			x.Set(rows+uint32(steps), "other", Value{Kind: Integer, Bits: int64(steps)})
		})
		if got := about(s.Sketch); s.All || s.Rows != rows || math.Abs(got-want) > want/15 || steps < 2 {
			t.Errorf("%s: %d rows in %d steps, about %.0f values, want %.0f", name, s.Rows, steps, got, want)
		}
		if name == "town" && (len(s.Top) != 10 || s.Top[0].Rows < 1000 || s.Top[7].Rows != 10) {
			t.Errorf("%v", s.Top)
		}
		if kindsOnly := surveyed(x, name, false, 0, func() {}); kindsOnly.Rows != rows || kindsOnly.Top != nil || kindsOnly.Sketch != nil {
			t.Errorf("%+v", kindsOnly)
		}
	}
	// A column that becomes another meanwhile is looked at anew, not for ever.
	turn := 0
	s := surveyed(x, "at", false, 10, func() {
		x.Rename("at", "away")
		x.Set(1, "at", Value{Kind: Time, Bits: int64(turn)})
		turn++
		x.Drop("at")
		x.Rename("away", "at")
	})
	if s.Rows != rows {
		t.Errorf("%d rows", s.Rows)
	}
	s = NewSurvey("email", false, 10)
	for turns := 0; s.Step(x); turns++ {
		c := *x.columns["email"]
		x.columns["email"] = &c
		if turns > 100 {
			t.Fatal("goes on for ever")
		}
	}
	if s.All {
		t.Error("says that it has seen all")
	}
}
