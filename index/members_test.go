package index

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

// A set of rows is what was put in and not taken out, also when it is copied
// and read back.
func TestRows(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	const limit = 3 * blockRows
	r, want := new(Rows), map[uint32]bool{}
	check := func(r *Rows) {
		t.Helper()
		var have []uint32
		for row := range r.All() {
			have = append(have, row)
		}
		if !slices.IsSorted(have) || len(have) != len(want) || r.Len() != len(want) {
			t.Fatalf("seed %d: %d rows, %d counted, want %d", seed, len(have), r.Len(), len(want))
		}
		for _, row := range have {
			if !want[row] {
				t.Fatalf("seed %d: row %d was taken out", seed, row)
			}
		}
	}
	for step := range 60 {
		in := random.IntN(3) > 0
		from, width := random.IntN(limit), 1+random.IntN(2*maxListed)
		for row := from; row < min(from+width, limit); row += 1 + random.IntN(3) {
			low := uint32(row)
			if in {
				if r.Add(low) == want[low] {
					t.Fatalf("seed %d: adding %d", seed, low)
				}
				want[low] = true
			} else {
				if r.Remove(low) != want[low] {
					t.Fatalf("seed %d: removing %d", seed, low)
				}
				delete(want, low)
			}
		}
		check(r)
		if step%10 != 9 {
			continue
		}
		var b bytes.Buffer
		e := NewEncoder(&b)
		frozen := r.Clone()
		r.Add(limit) // the copy is not told
		r.Remove(limit)
		frozen.Encode(e)
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		whole := b.Bytes()
		d := NewDecoder(bytes.NewReader(whole))
		read := DecodeRows(d, limit)
		if d.Err() != nil {
			t.Fatal(d.Err())
		}
		check(read)
		all := roaring.New()
		for row := range want {
			all.Add(row)
		}
		check(RowsOf(all))
		if d := NewDecoder(bytes.NewReader(whole)); all.GetCardinality() > 0 && DecodeRows(d, int(all.Maximum())) != nil && d.Err() == nil {
			t.Fatalf("seed %d: a row beyond the limit was read", seed)
		}
	}
}
