package index

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Bins follow the keys: those that rise all the time, or gather at one place,
// do not end in one bin, and every range keeps what looking at each key keeps.
func TestBinsFollowTheKeys(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const rows = blockRows + 3000
	for name, next := range map[string]func(i int) int64{
		"rising":  func(i int) int64 { return int64(i) * 1000 },
		"uniform": func(int) int64 { return int64(random.Uint64()) },
		"heavy":   func(int) int64 { return int64(random.ExpFloat64() * 3) },
		"ends":    func(int) int64 { return []int64{math.MinInt64, math.MaxInt64, 0, 1, -1}[random.IntN(5)] },
	} {
		var has marks
		p := &plain{kind: Integer, order: slice(nil, &Cells[int64]{})}
		put := func(row uint32, key int64) {
			p.set(has, row, key)
			has.set(row)
		}
		for i := range rows {
			put(uint32(i), next(i))
		}
		for i := range rows / 2 {
			row := uint32(random.IntN(rows))
			if put(row, next(rows+i)); random.IntN(9) == 0 {
				has.clear(row)
				p.order.clear(row)
			}
		}
		sum, largest := 0, 0
		for bin, n := range p.order.counts {
			sum += n
			if split := bin == 0 || bin == bins-1 || p.order.bounds[bin-1]+1 < p.order.bounds[bin]; split {
				largest = max(largest, n)
			}
		}
		if count := int(marksCount(has)); sum != count || name != "heavy" && name != "ends" && largest > rows/8 {
			t.Errorf("%s: %d rows in bins, %d have a key; the largest bin holds %d", name, sum, count, largest)
		}
		for range 40 {
			in := span{p.keys.At(uint32(random.IntN(rows))), p.keys.At(uint32(random.IntN(rows)))}
			if in.low > in.high {
				in.low, in.high = in.high, in.low
			}
			kept := 0
			for number := range uint32(2) {
				var got, asked words
				for w := range asked {
					asked[w] = random.Uint64()
					if w%3 == 0 {
						asked[w] &= 1 << random.IntN(64)
					}
				}
				has.keep(number, &asked)
				got = asked
				keys := p.keys.Block(number)
				p.order.keep(number, &got, keys, in)
				pick(&asked, func(low uint32) bool { return in.holds(keys[low]) })
				if got != asked {
					t.Fatalf("%s: %v keeps %d rows of block %d, want %d", name, in, got.count(), number, asked.count())
				}
				kept += got.count()
			}
			if within := p.order.within(in); within < kept {
				t.Errorf("%s: %v holds %d rows, about %d were expected", name, in, kept, within)
			}
		}
	}
}

func marksCount(m marks) (n int) {
	for row := range uint32(len(m) * 64) {
		if m.has(row) {
			n++
		}
	}
	return n
}
