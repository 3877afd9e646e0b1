package index

import (
	"flag"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

var benchRows = flag.Uint("rows", 10_000_000, "rows of the benchmarks")

// crowd is the rows that targets are measured on: uniformly random, so that no
// run of equal ones helps.
func crowd(rows uint32) (x *Index, around *Around, all, reachable *roaring.Bitmap) {
	random := rand.New(rand.NewPCG(1, 1))
	x, around, all, reachable = New(), &Around{Now: epoch}, roaring.New(), roaring.New()
	all.AddRange(0, uint64(rows))
	around.Zone = zonesOf()
	countries := []string{"FR", "DE", "ES", "IT", "GB", "US", "BE", "CH", "CA", "MA", "SN", "JP"}
	share := func(part float64) bool { return random.Float64() < part }
	for row := range rows {
		country := "FR"
		if !share(0.08) {
			country = countries[1+random.IntN(len(countries)-1)]
		}
		x.Set(row, "country", Value{Kind: Text, Text: country})
		active := uint32(epoch.Add(-time.Duration(random.IntN(30*24*3600)) * time.Second).Unix())
		if !share(0.6) {
			active -= 31 * 24 * 3600
		}
		around.Active.Set(row, active)
		var tags []string
		if share(0.12) {
			tags = append(tags, "politics")
		}
		if share(0.25) {
			tags = append(tags, "sport")
		}
		x.ChangeTags(row, "tags", true, tags, nil, nil)
		in := !share(0.05)
		x.Set(row, "opted_in", FlagValue(in))
		if in {
			reachable.Add(row)
		}
		x.Set(row, "zone", Value{Kind: Text, Text: zones[random.IntN(7)]})
		x.Set(row, "age", Value{Kind: Integer, Bits: int64(14 + random.IntN(80))})
		x.Set(row, "city", Value{Kind: Text, Text: cities[random.IntN(len(cities))]})
		x.Set(row, "since", Value{Kind: Time, Bits: epoch.Add(-time.Duration(random.Int64N(int64(3 * 365 * 24 * time.Hour)))).UnixNano()})
		x.Set(row, "home", LocationValue(41+10*random.Float64(), -5+13*random.Float64()))
		x.Set(row, "mail", Value{Kind: Text, Text: fmt.Sprintf("%s.%d@example.org", cities[random.IntN(len(cities))], row)})
		x.Set(row, "app_version", Value{Kind: Text, Text: fmt.Sprintf("%d.%d.%d", 3+random.IntN(3), random.IntN(12), random.IntN(9))})
	}
	return x, around, all, reachable
}

func many(n int, one func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = one(i)
	}
	return strings.Join(parts, ",")
}

var cities = func() (all [3000]string) {
	for i := range all {
		all[i] = fmt.Sprintf("city-%04d", i)
	}
	return all
}()

// One iteration counts a target on all rows, on one core.
func BenchmarkCount(b *testing.B) {
	x, around, all, reachable := crowd(uint32(*benchRows))
	for _, c := range []struct{ name, query string }{
		{"five clauses", `{"country":"FR","last_active":{"$gte":"now-30d"},"tags":{"$contains":["politics","sport"]},"$not":{"opted_in":false}}`},
		{"one value", `{"country":"FR"}`},
		{"one tag", `{"tags":{"$contains":"sport"}}`},
		{"active", `{"last_active":{"$gte":"now-30d"}}`},
		{"active today, where they live", `{"last_active":{"$gte":"today"}}`},
		{"range, 80 values", `{"age":{"$between":[25,49]}}`},
		{"range, all different", `{"since":{"$gte":"now-365d"}}`},
		{"range, all different, narrow", `{"since":{"$between":["now-100d","now-99d"]}}`},
		{"one of 3,000", `{"city":"city-0007"}`},
		{"prefix, 3,000 values", `{"city":{"$startsWith":"city-00"}}`},
		{"prefix, all different", `{"mail":{"$startsWith":"city-00"}}`},
		{"version", `{"app_version":{"$version":{"$gte":"4.10.2"}}}`},
		{"near", `{"home":{"$near":{"lat":48.8566,"lon":2.3522,"km":50}}}`},
		{"near, in one country", `{"home":{"$near":{"lat":48.8566,"lon":2.3522,"km":50}},"country":"FR"}`},
		{"8,000 of values that all differ", `{"mail":{"$in":[` + many(8_000, func(i int) string { return fmt.Sprintf(`"%s.%d@example.org"`, cities[i%3000], i*997) }) + `]}}`},
		{"10,000 times", `{"since":{"$in":[` + many(10_000, func(i int) string {
			return strconv.Quote(epoch.Add(-time.Duration(i) * time.Hour).Format(time.RFC3339))
		}) + `]}}`},
		{"256 prefixes, all different", `{"$or":[` + many(256, func(i int) string { return fmt.Sprintf(`{"mail":{"$startsWith":"x%d"}}`, i) }) + `]}`},
		{"256 days in all zones", `{"$or":[` + many(256, func(i int) string { return fmt.Sprintf(`{"since":{"$between":["today-%dd","now-%dd"]}}`, 4*i+1, 4*i) }) + `]}`},
		{"256 ranges of versions", `{"$or":[` + many(256, func(i int) string {
			return fmt.Sprintf(`{"app_version":{"$version":{"$between":["9.%d","9.%d.1"]}}}`, i, i)
		}) + `]}`},
		{"256 distances", `{"$or":[` + many(256, func(i int) string { return fmt.Sprintf(`{"home":{"$near":{"lat":%d,"lon":2,"km":2}}}`, i%90) }) + `]}`},
	} {
		q, err := target.Parse(target.Default(), []byte(c.query))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			var matched, also uint64
			for b.Loop() {
				matched = 0
				rows := Dense(all)
				x.Compile(b.Context(), q, around).Narrow(rows, 0, len(rows))
				for i, word := range Dense(reachable) {
					matched += uint64(bits.OnesCount64(rows[i]))
					also += uint64(bits.OnesCount64(rows[i] & word))
				}
			}
			b.ReportMetric(float64(matched), "matched")
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
			p := x.Compile(b.Context(), q, around)
			b.ReportMetric((x.Setup(q)+p.Cost()*time.Duration(len(Dense(all))/blockWords)).Seconds()*1000, "estimated-ms")
			b.ReportMetric(x.Setup(q).Seconds()*1e6, "setup-us")
		})
	}
	b.Run("five clauses on kept bitmaps of roaring", func(b *testing.B) { onRoaring(b, x, around, all) })
	b.Logf("%.1f bytes a row", float64(x.Size())/float64(*benchRows))
	for _, name := range []string{"country", "opted_in", "zone", "age", "city", "since", "home", "mail", "app_version"} {
		b.Logf("%-12s %5.1f", name, float64(x.columns[name].size())/float64(*benchRows))
	}
	b.Logf("%-12s %5.1f", "tags", float64(x.sets["tags"].size())/float64(*benchRows))
}

// onRoaring counts the five clauses as limits of the library were measured: one
// bitmap for each value, and one for "active in 30 days".
func onRoaring(b *testing.B, x *Index, around *Around, all *roaring.Bitmap) {
	kept := make(map[string]*roaring.Bitmap)
	for name, query := range map[string]string{"FR": `{"country":"FR"}`, "active": `{"last_active":{"$gte":"now-30d"}}`,
		"politics": `{"tags":{"$contains":"politics"}}`, "sport": `{"tags":{"$contains":"sport"}}`, "out": `{"opted_in":false}`} {
		q, err := target.Parse(target.Default(), []byte(query))
		if err != nil {
			b.Fatal(err)
		}
		if kept[name], err = x.Run(b.Context(), q, all, around); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		rows := roaring.Or(kept["politics"], kept["sport"])
		rows.And(kept["FR"])
		rows.AndNot(kept["out"])
		rows.AndCardinality(kept["active"])
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
}
