package audience

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// population writes the changes of n registrations with 5 attributes, in
// records of 1,000, as the log holds them: 60 % FCM, 30 % APNs, 10 % Web Push.
func population(seed uint64, n int) (log [][]byte) {
	random := rand.New(rand.NewPCG(seed, 2))
	writer := record.NewWriter(1)
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	word := func(n int) string {
		b := bytes(n)
		for i := range b {
			b[i] = letters[b[i]&63]
		}
		return string(b)
	}
	countries := []string{"FR", "DE", "BE", "CH", "ES", "IT", "GB", "US", "CA", "MA"}
	plans := []string{"free", "basic", "premium"}
	for start := 0; start < n; start += 1000 {
		changes := make([]*record.Change, min(1000, n-start))
		for i := range changes {
			number := start + i
			u := &record.Upsert{Profile: UserKey(fmt.Sprintf("reader-%08d", number)),
				Language: []string{"fr", "en", "de"}[random.IntN(3)], Zone: []string{"Europe/Paris", "Europe/Berlin", "America/Montreal"}[random.IntN(3)],
				Active: noon.Add(-time.Duration(random.IntN(60*24)) * time.Hour).UnixNano()}
			id := tocsin.MakeID[tocsin.SubscriptionID](noon.Add(time.Duration(number)), [10]byte(binary.BigEndian.AppendUint64([]byte{0, 0}, random.Uint64())))
			u.Subscription = id.Bytes()
			switch kind := random.IntN(10); {
			case kind < 6:
				u.Provider, u.Address = uint32(tocsin.FCM), []byte(word(22)+":APA91b"+word(134))
			case kind < 9:
				u.Provider, u.Address, u.Topic = uint32(tocsin.APNs), bytes(32), "org.example.app"
			default:
				u.Provider, u.Host = uint32(tocsin.WebPush), "https://updates.push.services.mozilla.com"
				u.Address = browser(u.Host+"/wpush/v2/"+word(140), bytes(65), bytes(16))
			}
			text := func(name, v string) *record.Attribute {
				return &record.Attribute{Name: name, Value: &record.Attribute_Text{Text: v}}
			}
			u.Attributes = []*record.Attribute{
				text("country", countries[min(random.IntN(16), 9)]), text("plan", plans[random.IntN(3)]), text("city", fmt.Sprintf("city %d", random.IntN(3000))),
				{Name: "age", Value: &record.Attribute_Integer{Integer: int64(18 + random.IntN(70))}},
				{Name: "since", Value: &record.Attribute_Time{Time: noon.Add(-time.Duration(random.IntN(1000*24*3600)) * time.Second).UnixNano()}},
			}
			changes[i] = upsert(u)
		}
		log = append(log, record.Encode(writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}},
			noon, record.Scope{Project: news, Environment: tocsin.Production})))
	}
	return log
}

func replay(b *testing.B, log [][]byte) *Shard {
	shard := NewShard(0)
	for i, data := range log {
		e, err := record.Decode(data)
		if err != nil {
			b.Fatal(err)
		}
		if err := shard.Apply(uint64(i+1), e); err != nil {
			b.Fatal(err)
		}
	}
	return shard
}

// processor is the CPU time of the process so far: it says more than the clock
// on a machine that is shared.
func processor(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// One iteration applies a million registrations with 5 attributes to 8 shards,
// from the bytes of their logs, and says what one costs in memory, everything
// included.
func BenchmarkApply(b *testing.B) {
	const n, shards = 1_000_000, 8
	var logs [shards][][]byte
	for i := range logs {
		logs[i] = population(uint64(i), n/shards)
	}
	before := heap()
	var spent time.Duration
	for b.Loop() {
		var all [shards]*Shard
		var running sync.WaitGroup
		began := processor(b)
		for i := range all {
			running.Go(func() { all[i] = replay(b, logs[i]) })
		}
		running.Wait()
		spent += processor(b) - began
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/n, "B/subscription")
		runtime.KeepAlive(all)
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(spent.Seconds()/float64(b.N), "CPU-s/M")
}

// One iteration counts, evaluates or loads on a million subscriptions.
func BenchmarkRead(b *testing.B) {
	shard := replay(b, population(1, 1_000_000))
	q, err := target.Parse(target.Default(), []byte(`{"country":"FR","plan":{"$in":["basic","premium"]},"$or":[{"age":30},{"language":"fr"}],"$not":{"city":"city 7"},"opted_in":true}`))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if _, err := shard.Count(b.Context(), news, q, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("everyone", func(b *testing.B) {
		for b.Loop() {
			evaluated(b, shard, nil)
		}
	})
	b.Run("page", func(b *testing.B) {
		route := Route{Provider: tocsin.FCM}
		ordinals := evaluated(b, shard, nil).Lots
		page := ordinals[len(ordinals)-1].Ordinals.ToArray()[:tocsin.PageSize]
		var into Recipients
		for b.Loop() {
			shard.Load(news, route, page, []string{"city"}, &into)
		}
	})
}
