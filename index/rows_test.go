package index

import (
	"math/rand/v2"
	"testing"
)

// A block goes from a list to bits and back as rows come and go.
func TestRowsComeAndGo(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var s rowSet
	want := make(map[uint32]bool)
	check := func() {
		t.Helper()
		if s.count != len(want) {
			t.Fatalf("%d rows, want %d", s.count, len(want))
		}
		n := 0
		for number := range uint32(3) {
			var rows words
			if b := s.block(number); b != nil {
				b.join(&rows)
			}
			n += rows.count()
			for row := range want {
				if row>>16 == number && rows[uint16(row)>>6]>>(row&63)&1 == 0 {
					t.Fatalf("row %d is missing", row)
				}
			}
		}
		if n != len(want) {
			t.Fatalf("%d rows in blocks, want %d", n, len(want))
		}
	}
	wide := 0
	for _, share := range []float64{0.9, 0.1, 0.95, 0} { // of changes that add
		for range 30_000 {
			row := uint32(random.IntN(2))<<17 | uint32(random.IntN(6000))
			switch add := random.Float64() < share; {
			case add && !want[row]:
				want[row] = true
				s.add(row)
			case !add && want[row]:
				delete(want, row)
				s.remove(row)
			}
		}
		check()
		if b := s.block(0); b != nil && b.set != nil {
			wide++
		}
		for row := range want { // those that chance left over
			if share == 0 {
				delete(want, row)
				s.remove(row)
			}
		}
	}
	if check(); wide != 2 || len(s.blocks) != 0 {
		t.Errorf("%d times bits, %d blocks left", wide, len(s.blocks))
	}
}
