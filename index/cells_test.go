package index

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// A column is what was set, however it was frozen and read back meanwhile; and
// what was frozen stays as it was, until its moment is over.
func TestCells(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	type old struct {
		stream Stream
		moment *Moment
		want   []uint32
	}
	for range 3 {
		var c Cells[uint32]
		var want []uint32
		var frozen []old
		for range 30 {
			for range random.IntN(200) {
				row, cell := uint32(random.IntN(len(want)+10)), uint32(random.IntN(3))
				if random.IntN(2000) == 0 {
					row = uint32(random.IntN(3 * blockRows)) // leaves a gap
				}
				c.Set(row, cell)
				for int(row) >= len(want) {
					want = append(want, 0)
				}
				want[row] = cell
			}
			switch random.IntN(4) {
			case 0:
				for _, o := range frozen {
					o.moment.End()
				}
				frozen = frozen[:0]
			case 1: // one moment at a time
				if len(frozen) == 0 {
					m := new(Moment)
					frozen = append(frozen, old{c.Freeze("c", m), m, slices.Clone(want)})
				}
			case 2:
				from := SavedOf([]Stream{c.Freeze("c", new(Moment))})
				c = LoadCells[uint32](from, "c")
				if from.Err() != nil {
					t.Fatal(from.Err())
				}
				for _, o := range frozen {
					o.moment.End()
				}
				frozen = frozen[:0]
			}
			if got := c.flat(); !slices.Equal(got, want) {
				t.Fatal("the column is not what was set")
			}
			for row := range min(len(want), 300) {
				if c.At(uint32(row)) != want[row] {
					t.Fatalf("row %d has %d, want %d", row, c.At(uint32(row)), want[row])
				}
			}
			for _, o := range frozen {
				back := LoadCells[uint32](SavedOf([]Stream{o.stream}), "c")
				if !slices.Equal(back.flat(), o.want) {
					t.Fatal("what was frozen has changed")
				}
			}
		}
	}
}

// A part that did not change is known by the sum that it had, and one that
// changed has another.
func TestSumsFollowTheParts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var c Cells[uint64]
	var a Arena
	content := map[[16]byte][]byte{}
	kept := 0
	for range 60 {
		for range random.IntN(10) {
			c.Set(uint32(random.IntN(4*blockRows)), uint64(random.IntN(2)))
			a.Add(make([]byte, random.IntN(60_000)))
		}
		m := new(Moment)
		for _, s := range []Stream{c.Freeze("c", m), a.Freeze("a")} {
			for i := range s.Parts {
				part := &s.Parts[i]
				if part.known {
					kept++
				}
				id := part.ID()
				if before, seen := content[id]; seen && !bytes.Equal(before, part.Content()) {
					t.Fatalf("part %d of %s has the sum of other bytes", i, s.Name)
				}
				content[id] = slices.Clone(part.Content())
			}
		}
		m.End()
	}
	if kept == 0 {
		t.Error("no part was known")
	}
}
