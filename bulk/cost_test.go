package bulk

import (
	"encoding/hex"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// like is what a push of APNs looks like on the wire.
type like struct{ b *provider.Batch }

func (p like) AppendPath(dst []byte, i int) []byte {
	return hex.AppendEncode(append(dst, "/3/device/"...), p.b.Addresses[i])
}
func (p like) AppendUnique(dst []byte, i int) []byte {
	return append(dst, "00112233-4455-6677-8899-aabbccddeeff"...)
}
func (p like) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	return append(dst, p.b.Payloads[i]...), 0
}
func (p like) Judge(int, *Answer) Verdict { return Verdict{Result: provider.Refused} }

var likeShape = &Shape{
	Headers: []Header{
		{"authorization", "bearer " + strings.Repeat("eyJhbGciOi", 20), Literal},
		{"apns-topic", "com.example.news", Indexed},
		{"apns-push-type", "alert", Indexed},
		{"apns-priority", "10", Indexed},
		{"apns-expiration", "1700000000", NameOnly},
	},
	Unique: "apns-id",
}

// run sends n pushes in batches of 1,024 with so many batches under way.
func send(t testing.TB, p *Pool, n, underWay int) {
	const size = 1024
	address, body := []byte(strings.Repeat("t", 32)), []byte(strings.Repeat("x", 200))
	free := make(chan *provider.Batch, underWay)
	for range underWay {
		b := &provider.Batch{Done: func(b *provider.Batch) { free <- b }}
		for range size {
			b.Addresses, b.Payloads = append(b.Addresses, address), append(b.Payloads, body)
		}
		free <- b
	}
	check := func(b *provider.Batch) {
		for i, r := range b.Results {
			if r != provider.Accepted {
				t.Fatalf("push %d: %v", i, r)
			}
		}
	}
	for sent := 0; sent < n; sent += size {
		b := <-free
		check(b)
		p.Submit(Work{Batch: b, Shape: likeShape, Pushes: like{b}})
	}
	for range underWay {
		check(<-free)
	}
}

// One push must not allocate: what is left is per batch and per write.
func TestPushesDoNotAllocate(t *testing.T) {
	p := startSink(t, Default())
	send(t, p, 50_000, 16) // tables and buffers grow
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 100_000
	send(t, p, n, 16)
	runtime.ReadMemStats(&after)
	got := after.Mallocs - before.Mallocs
	t.Logf("%d allocations for %d pushes", got, n)
	if got > n/20 {
		t.Errorf("%d allocations for %d pushes", got, n)
	}
}

func benchmarkPushes(b *testing.B, connections int) {
	cfg := Default()
	cfg.Min, cfg.Max = connections, connections
	p := startSink(b, cfg)
	if err := p.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	send(b, p, 100_000, 16)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	send(b, p, b.N, 16)
	b.StopTimer()
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/1e3/float64(b.N), "CPU-s/M")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
}

func BenchmarkPushes1(b *testing.B) { benchmarkPushes(b, 1) }
func BenchmarkPushes4(b *testing.B) { benchmarkPushes(b, 4) }
