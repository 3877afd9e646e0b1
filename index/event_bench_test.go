package index

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// readers is what the rows of benchmarks did in 30 days: a fifth of the rows is
// nobody's, and few people do most. Every reading has a section and every
// purchase three fields.
func readers(rows uint32) (around *Around, all *roaring.Bitmap, times int) {
	random := rand.New(rand.NewPCG(1, 2))
	around, all = &Around{Now: epoch, Own: NewEvents(), People: NewEvents()}, roaring.New()
	all.AddRange(0, uint64(rows))
	person := uint32(0)
	for row := range rows {
		around.Created.Set(row, 1)
		if around.Profile.Set(row, 0); random.IntN(5) > 0 {
			person++
			around.Profile.Set(row, person)
		}
	}
	sections := make([]Value, 40)
	for i := range sections {
		sections[i] = Value{Kind: Text, Text: cities[i]}
	}
	around.Own.Advance(uint32(epoch.Unix()))
	around.People.Advance(uint32(epoch.Unix()))
	fields := make([]Field, 0, 3)
	for day := range 30 {
		at := uint32(epoch.AddDate(0, 0, day-29).Unix())
		for row := range rows {
			of, number := around.Own, row
			if person := around.Profile.At(row); person != 0 {
				of, number = around.People, person-1
			}
			activity := float64(number*2654435761>>8) / (1 << 24) // of the person, the same every day
			share := 0.3 * math.Pow(activity, 3)                  // 7.5 % of all on a day, 30 % of the most active
			if random.Float64() >= share {
				continue
			}
			for range 1 + random.IntN(3)/2 + random.IntN(12)/11*random.IntN(8) {
				of.Add(number, "read", at-uint32(random.IntN(12*3600)), append(fields, Field{"section", sections[random.IntN(len(sections))]}), int(rows))
				times++
			}
			if random.IntN(2) == 0 {
				of.Add(number, "opened", at-uint32(random.IntN(12*3600)), nil, int(rows))
				times++
			}
			if random.IntN(25) == 0 {
				of.Add(number, "bought", at-uint32(random.IntN(12*3600)), append(fields, Field{"amount", RealValue(float64(random.IntN(20_000)) / 100)},
					Field{"currency", sections[random.IntN(3)]}, Field{"article", Value{Kind: Integer, Bits: int64(random.IntN(10_000))}}), int(rows))
				times++
			}
		}
	}
	return around, all, times
}

// One iteration counts a target on all rows, on one core.
func BenchmarkEvents(b *testing.B) {
	began := time.Now()
	around, all, times := readers(uint32(*benchRows))
	b.Logf("%d times in %v, %.1f bytes a row", times, time.Since(began).Round(time.Second), float64(around.Own.Size()+around.People.Size())/float64(*benchRows))
	for _, of := range []*Events{around.Own, around.People} {
		for name, one := range of.names {
			alone, sum := Events{names: map[string]*event{name: one}}, 0
			for i := range one.totals {
				for _, t := range one.totals[i].list {
					sum += int(t.count)
				}
			}
			b.Logf("%s: %d times by %d rows, %.1f bytes a row of all", name, sum, one.rows, float64(alone.Size())/float64(*benchRows))
		}
	}
	x := New()
	for _, c := range []struct{ name, query string }{
		{"ever", `{"event":{"name":"read"}}`},
		{"in 30 days", `{"event":{"name":"read","within":"30d"}}`},
		{"in 7 days", `{"event":{"name":"read","within":"7d"}}`},
		{"three times in 30 days", `{"event":{"name":"read","count":{"$gte":3},"within":"30d"}}`},
		{"not in 30 days", `{"$not":{"event":{"name":"opened","within":"30d"}}}`},
		{"last in 7 days", `{"event":{"name":"read","last":{"$gte":"now-7d"}}}`},
		{"one section of 40, twice in 30 days", `{"event":{"name":"read","where":{"section":"city-0007"},"count":{"$gte":2},"within":"30d"}}`},
		{"bought for 10 in one currency, in 30 days", `{"event":{"name":"bought","where":{"amount":{"$gte":10},"currency":"city-0001"},"within":"30d"}}`},
	} {
		q, err := target.Parse(target.Default(), []byte(c.query))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			var matched uint64
			for b.Loop() {
				matched = 0
				rows := Dense(all)
				x.Compile(b.Context(), q, around).Narrow(rows, 0, len(rows))
				for _, word := range rows {
					matched += uint64(bits.OnesCount64(word))
				}
			}
			b.ReportMetric(float64(matched), "matched")
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
		})
	}
}
