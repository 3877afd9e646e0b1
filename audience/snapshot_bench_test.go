package audience

import (
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/snapshot/disk"
)

var (
	benchRows   = flag.Int("rows", 1_000_000, "subscriptions of the benchmarks of snapshots")
	benchShards = flag.Int("shards", 1, "shards that they are on")
	benchFolder = flag.String("snapshots", "", "folder of snapshots that BenchmarkSnapshot leaves, and BenchmarkRestart reads; empty: a temporary one")
)

// reader is a registration with 20 attributes of mixed types and 5 sets of tags.
func reader(random *rand.Rand, number int) *record.Upsert {
	text := func(name, v string) *record.Attribute {
		return &record.Attribute{Name: name, Value: &record.Attribute_Text{Text: v}}
	}
	integer := func(name string, v int) *record.Attribute {
		return &record.Attribute{Name: name, Value: &record.Attribute_Integer{Integer: int64(v)}}
	}
	at := func(name string, days int) *record.Attribute {
		return &record.Attribute{Name: name, Value: &record.Attribute_Time{Time: noon.Add(-time.Duration(random.IntN(days*24*3600)) * time.Second).UnixNano()}}
	}
	flagged := func(name string, share float64) *record.Attribute {
		return &record.Attribute{Name: name, Value: &record.Attribute_Flag{Flag: random.Float64() < share}}
	}
	skewed := func(n int) int { return int(float64(n) * random.Float64() * random.Float64() * random.Float64()) }
	id := tocsin.MakeID[tocsin.SubscriptionID](noon.Add(time.Duration(number)), [10]byte(binary.BigEndian.AppendUint64([]byte{0, 0}, random.Uint64())))
	token := make([]byte, 32)
	for i := range token {
		token[i] = byte(random.Uint32())
	}
	u := &record.Upsert{Subscription: id.Bytes(), Provider: uint32(tocsin.APNs), Address: token, Topic: apns.Topic, Profile: UserKey(fmt.Sprintf("reader-%08d", number)),
		Language: []string{"fr", "en", "de"}[skewed(3)], Zone: []string{"Europe/Paris", "Europe/Berlin", "America/Montreal"}[skewed(3)],
		Active: noon.Add(-time.Duration(random.IntN(60*24)) * time.Hour).UnixNano(), City: fmt.Sprint("city ", skewed(30_000)), AppVersion: fmt.Sprintf("%d.%d.%d", 3+random.IntN(3), skewed(12), skewed(9)),
		Attributes: []*record.Attribute{text("country", fmt.Sprint("c", skewed(60))), text("plan", []string{"free", "basic", "premium"}[skewed(3)]),
			text("name", fmt.Sprintf("Name %d %d", skewed(5000), skewed(50_000))), text("source", fmt.Sprint("campaign ", skewed(2000))), text("author", fmt.Sprint("author ", skewed(900))),
			integer("age", 18+random.IntN(70)), integer("articles", skewed(100_000)), integer("score", random.IntN(1_000_000_000)), integer("visits", skewed(500)),
			{Name: "spent", Value: &record.Attribute_Real{Real: float64(skewed(100_000)) / 100}}, {Name: "rate", Value: &record.Attribute_Real{Real: random.Float64()}},
			at("since", 1000), at("renewal", 400), at("seen", 30), flagged("customer", 0.1), flagged("trial", 0.02), flagged("beta", 0.5), text("sex", []string{"f", "m", "x"}[random.IntN(3)]),
			integer("household", 1+skewed(8)), {Name: "home", Value: &record.Attribute_Location{Location: random.Uint64() >> 8}}}}
	for _, set := range []struct {
		name       string
		tags, most int
	}{{"topics", 40, 6}, {"teams", 500, 3}, {"authors", 2000, 3}, {"lists", 12, 3}, {"alerts", 100, 2}} {
		t := &record.TagSet{Name: set.name}
		for range random.IntN(set.most) {
			t.Add = append(t.Add, fmt.Sprint(set.name, skewed(set.tags)))
		}
		u.Tags = append(u.Tags, t)
	}
	return u
}

// filler applies changes to a shard, numbers of a thousand in a record.
type filler struct {
	b      *testing.B
	shard  *Shard
	random *rand.Rand
	writer *record.Writer
	next   uint64
	ids    [][]byte
}

func (f *filler) apply(changes []*record.Change) (took time.Duration) {
	e := f.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}}, noon, record.Scope{Project: news, Environment: tocsin.Production})
	began := time.Now()
	if err := f.shard.Apply(f.next, e); err != nil {
		f.b.Fatal(err)
	}
	f.next++
	return time.Since(began)
}

func (f *filler) fill(from, to int) {
	var changes []*record.Change
	for number := from; number < to; number++ {
		u := reader(f.random, number)
		f.ids = append(f.ids, u.Subscription)
		if changes = append(changes, upsert(u)); len(changes) == 1000 || number == to-1 {
			f.apply(changes)
			changes = changes[:0]
		}
	}
}

// touch changes something of so many subscriptions, one change a record, and
// returns how long each took.
func (f *filler) touch(n int, change func(*record.Upsert)) (took []time.Duration) {
	for range n {
		u := &record.Upsert{Subscription: f.ids[f.random.IntN(len(f.ids))]}
		change(u)
		took = append(took, f.apply([]*record.Change{upsert(u)}))
	}
	return took
}

func newFiller(b *testing.B, shard int) *filler {
	f := &filler{b: b, shard: NewShard(0), random: rand.New(rand.NewPCG(uint64(shard), 1)), writer: record.NewWriter(uint64(shard) + 1), next: 1}
	f.fill(shard**benchRows / *benchShards, (shard+1)**benchRows / *benchShards)
	return f
}

func benchSnapshots(b *testing.B) *snapshot.Keeper {
	dir := *benchFolder
	if dir == "" {
		dir = b.TempDir()
	}
	folder, err := disk.Open(vfs.Default, dir)
	if err != nil {
		b.Fatal(err)
	}
	keeper, err := snapshot.New("audience", folder, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	return keeper
}

// BenchmarkSnapshot writes snapshots of a shard: whole; after 1 % changed in
// several ways; and whole again while single changes are applied, which says how
// long the longest of them took, and how long without a snapshot.
func BenchmarkSnapshot(b *testing.B) {
	keeper := benchSnapshots(b)
	for n := range *benchShards {
		f := newFiller(b, n)
		size, count := f.shard.Size()
		kept, err := keeper.Open(b.Context(), tocsin.Shard(n), slog.New(slog.NewTextHandler(b.Output(), nil)), func(*snapshot.Saved) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
		save := func(what string, anew bool) {
			b.Log(what)
			if _, err := kept.Save(b.Context(), func() snapshot.Moment { return f.shard.begin() }, anew); err != nil {
				b.Fatal(err)
			}
		}
		b.Logf("%d subscriptions, %d MB in memory", count, size>>20)
		save("whole", true)
		if n > 0 {
			continue
		}
		save("whole", true)
		percent := count / 100
		f.touch(percent, func(u *record.Upsert) { u.Attributes = reader(f.random, 0).Attributes[8:9] })
		save("1 % have another number of visits", false)
		f.fill(*benchRows, *benchRows+percent)
		save("and 1 % came", false)
		f.touch(percent, func(u *record.Upsert) {
			all := reader(f.random, 0)
			u.Attributes, u.Tags, u.Active = all.Attributes, all.Tags, noon.Add(time.Hour).UnixNano()
		})
		save("and 1 % have all else", false)

		visits := func(u *record.Upsert) { u.Attributes = reader(f.random, 0).Attributes[8:9] }
		everything := func(u *record.Upsert) {
			u.Attributes, u.Tags = reader(f.random, 0).Attributes, reader(f.random, 0).Tags
		}
		for name, change := range map[string]func(*record.Upsert){"one attribute": visits, "everything": everything} {
			runtime.GC()
			alone := f.touch(20_000, change)
			runtime.GC()
			var going atomic.Bool
			going.Store(true)
			done := make(chan []time.Duration)
			go func() {
				var all []time.Duration
				for going.Load() {
					all = append(all, f.touch(10, change)...)
				}
				done <- all
			}()
			save("whole, beside changes of "+name, true)
			going.Store(false)
			beside := <-done
			slices.Sort(alone)
			slices.Sort(beside)
			b.Logf("a change: longest %v alone (of %d), %v beside (of %d); p99 %v, %v; median %v, %v", alone[len(alone)-1], len(alone), beside[len(beside)-1], len(beside),
				alone[len(alone)*99/100], beside[len(beside)*99/100], alone[len(alone)/2], beside[len(beside)/2])
		}
	}
}

// BenchmarkRestart loads the newest snapshot of every shard in the folder, as many
// at a time as there are processors.
func BenchmarkRestart(b *testing.B) {
	keeper := benchSnapshots(b)
	for b.Loop() {
		var group errgroup.Group
		group.SetLimit(runtime.GOMAXPROCS(0))
		began, spent := time.Now(), processor(b)
		shards := make([]*Shard, *benchShards)
		for n := range shards {
			group.Go(func() error {
				_, err := keeper.Open(b.Context(), tocsin.Shard(n), slog.New(slog.DiscardHandler), func(saved *snapshot.Saved) (err error) {
					shards[n], err = restoreShard(saved)
					return err
				})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		took, bytes, count := time.Since(began), 0, 0
		for _, s := range shards {
			size, n := s.Size()
			bytes, count = bytes+size, count+n
		}
		b.Logf("%d subscriptions of %d MB in %v, %.2f CPU-s a million; the heap is %d MB", count, bytes>>20, took, (processor(b)-spent).Seconds()*1e6/float64(count), heap()>>20)
		runtime.KeepAlive(shards)
	}
}
