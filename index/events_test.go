package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/target"
)

// Counts of any size, added in any way, are found by any range.
func TestTallyCounts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var counter tally
	for range 20 {
		counter.reset()
		want := make([]int, blockRows)
		for range 1 + random.IntN(90) {
			var dense block
			if random.IntN(2) == 0 {
				dense.set = new(words)
			}
			for row := range want {
				if random.IntN(3) != 0 {
					continue
				}
				if want[row]++; dense.set != nil {
					dense.set[row>>6] |= 1 << (row & 63)
				} else {
					dense.listed = append(dense.listed, uint16(row))
				}
			}
			counter.addBlock(&dense)
		}
		for range 3000 {
			row, times := random.IntN(blockRows), random.IntN(1<<random.IntN(17))
			counter.add(uint16(row), uint16(times))
			if want[row] += times; want[row] > 0 && want[row] < 1<<tallyBits { // beyond, what is exact is not known
				counter.take(uint16(row))
				want[row]--
			}
		}
		counter.join()
		for range 40 {
			counts := span{int64(min(random.IntN(1<<random.IntN(15)), target.MaxCount)), math.MaxInt64}
			if random.IntN(2) == 0 {
				counts.high = min(counts.low+int64(random.IntN(1<<random.IntN(14)))-1, target.MaxCount)
			}
			var rows words
			rows.fill()
			counter.within(counts, &rows)
			for row, count := range want {
				if got := rows[row>>6]>>(row&63)&1 == 1; got != counts.holds(int64(count)) {
					t.Fatalf("row %d counted %d times is in %v: %v", row, count, counts, got)
				}
			}
		}
	}
}

// Fields that would take more than their room go with the oldest day, and do not
// come back; counters stay.
func TestFieldsAreBounded(t *testing.T) {
	e := NewEvents()
	const rows, day = 1000, uint32(20_000)
	e.Advance((day + 4) * daySeconds)
	fill := func(day uint32, times int) {
		for i := range times {
			e.Add(uint32(i%rows), "read", day*daySeconds, []Field{{"page", Value{Kind: Text, Text: fmt.Sprintf("%s%d.%d", strings.Repeat("x", 100), day, i)}}}, rows)
		}
	}
	fill(day, 15_000)
	fill(day+1, 10_000)
	if e.FieldsSince() > day || e.cost > fieldRoom+rows*fieldRoomRow {
		t.Fatalf("since %d, %d bytes", e.FieldsSince(), e.cost)
	}
	fill(day+2, 15_000)
	if e.FieldsSince() != day+1 || e.cost > fieldRoom+rows*fieldRoomRow {
		t.Fatalf("since %d, %d bytes", e.FieldsSince(), e.cost)
	}
	fill(day, 1)
	deeds := e.Of(0)
	days := map[uint32]int{}
	for _, o := range deeds[0].Times {
		days[o.Day]++
	}
	if days[day] != 0 || days[day+1] != 10 || days[day+2] != 15 || deeds[0].Days[0] != (DayCount{day, 16}) {
		t.Error(days, deeds[0].Days)
	}
	for row := range uint32(rows) {
		e.Clear(row)
	}
	if e.cost != 0 || len(e.Known()) != 0 {
		t.Errorf("%d bytes of %v after everybody is gone", e.cost, e.Known())
	}
}
