package index

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// What is written in changes of many names is what is written name by name,
// whatever order they come in, and whatever names are dropped and renamed between.
func TestApplyWritesWhatSetWrites(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	applied, set := New(), New()
	name := func() string { return fmt.Sprint("name_", r.IntN(40)) }
	few := func(x *Index) func(string) bool {
		return func(name string) bool {
			known, _ := x.Has(name)
			return known || len(x.Known()) < 30
		}
	}
	for step := range 3_000 {
		switch r.IntN(100) {
		case 0:
			n := name()
			applied.Drop(n)
			set.Drop(n)
		case 1:
			from, to := name(), name()
			applied.Rename(from, to)
			set.Rename(from, to)
		case 2:
			row := uint32(r.IntN(50))
			applied.Clear(row)
			set.Clear(row)
		}
		row, start := uint32(r.IntN(50)), r.IntN(30)
		var changes []Change
		for i := range r.IntN(20) {
			c := Change{Name: fmt.Sprint("name_", start+i), Value: Value{Kind: Integer, Bits: int64(r.IntN(5))}, Remove: r.IntN(4) == 0}
			if r.IntN(10) == 0 {
				c.Name = name()
			}
			if r.IntN(5) > 0 {
				changes = append(changes, c)
			}
		}
		applied.Apply(row, changes, few(applied))
		for _, c := range changes {
			switch {
			case !few(set)(c.Name):
			case c.Remove:
				set.Remove(row, c.Name)
			default:
				set.Set(row, c.Name, c.Value)
			}
		}
		for n := range 50 {
			name := fmt.Sprint("name_", n)
			got, ok := applied.Get(row, name)
			want, has := set.Get(row, name)
			if got != want || ok != has {
				t.Fatalf("seed %d, step %d: row %d has %v %v for %s, want %v %v", seed, step, row, got, ok, name, want, has)
			}
		}
	}
}
