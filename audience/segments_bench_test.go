package audience

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// One iteration applies a record of 100 changes of one attribute, each of somebody
// else, to a shard of 250,000, with so many segments kept; the CPU time of the
// process is told for one change. What CatchUp spends on them is told apart, for
// one change and one segment.
func BenchmarkChangesWithSegments(b *testing.B) {
	const people, changes = 250_000, 100
	log := population(1, people)
	ids := make([][]byte, 0, people)
	for _, data := range log {
		e, err := record.Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		for _, change := range e.GetChanges().Changes {
			ids = append(ids, change.GetUpsert().Subscription)
		}
	}
	for _, segments := range []int{0, 1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("segments=%d", segments), func(b *testing.B) {
			shard := replay(b, log)
			for n := range segments {
				text := fmt.Sprintf(`{"$or":[{"country":"%s","age":{"$gte":%d}},{"plan":"premium","age":%d}]}`, []string{"FR", "DE", "BE", "CH", "MA"}[n%5], 18+n/5%70, 18+n%70)
				q, err := target.NewLibrary(target.Default(), func(string) ([]byte, bool) { return []byte(text), true }, nil).Parse(fmt.Appendf(nil, `{"segment":"s%d"}`, n))
				for range 2 {
					if err == nil {
						_, err = shard.Count(b.Context(), news, q, noon)
					}
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			catchUp := func() (spent time.Duration) {
				began := processor(b)
				for worked := true; worked; {
					var err error
					if worked, err = shard.CatchUp(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				return processor(b) - began
			}
			catchUp()
			random, writer := rand.New(rand.NewPCG(1, 3)), record.NewWriter(2)
			var applied, caught time.Duration
			for i := range b.N {
				part := make([]*record.Change, changes)
				for n := range part {
					part[n] = upsert(&record.Upsert{Subscription: ids[random.IntN(people)],
						Attributes: []*record.Attribute{{Name: "age", Value: &record.Attribute_Integer{Integer: int64(18 + random.IntN(70))}}}})
				}
				e := writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: part}}}, noon,
					record.Scope{Project: news, Environment: tocsin.Production})
				began := processor(b)
				if err := shard.Apply(uint64(len(log)+1+i), e); err != nil {
					b.Fatal(err)
				}
				applied += processor(b) - began
				if i%40 == 39 { // as often as the task is told
					caught += catchUp()
				}
			}
			b.ReportMetric(float64(applied.Nanoseconds())/float64(b.N*changes), "ns/change")
			b.ReportMetric(float64(caught.Nanoseconds())/float64(b.N*changes*max(segments, 1)), "ns/change/segment")
			b.ReportMetric(float64(shard.projects[news].segments.size())/max(float64(segments), 1)/people, "B/row/segment")
		})
	}
}

// One iteration counts a segment: evaluated, or kept.
func BenchmarkCountSegment(b *testing.B) {
	const people = 1_000_000
	log := population(1, people)
	for _, how := range []string{"evaluated", "kept"} {
		b.Run(how, func(b *testing.B) {
			shard := replay(b, log)
			const text = `{"$or":[{"country":"FR","age":{"$gte":40}},{"plan":"premium","city":{"$startsWith":"city 1"}}]}`
			q, err := target.NewLibrary(target.Default(), func(string) ([]byte, bool) { return []byte(text), true }, nil).Parse([]byte(`{"segment":"s"}`))
			if how == "evaluated" {
				q, err = target.Parse(target.Default(), []byte(text))
			}
			for i := range b.N + 3 {
				if i == 3 {
					b.ResetTimer()
				}
				if err == nil {
					_, err = shard.Count(b.Context(), news, q, noon)
				}
				if err == nil && i < 3 {
					_, err = shard.CatchUp(b.Context())
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
