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

// sender sends batches of 1,024 pushes, so many at a time.
type sender struct {
	pool *Pool
	free chan *flying
	all  int
}

// flying is a batch and the way it is written, made once.
type flying struct {
	provider.Batch
	work Work
}

func newSender(p *Pool, underWay int) *sender {
	s := &sender{pool: p, free: make(chan *flying, underWay), all: underWay}
	address, body := []byte(strings.Repeat("t", 32)), []byte(strings.Repeat("x", 200))
	for range underWay {
		f := new(flying)
		f.Done = func(*provider.Batch) { s.free <- f }
		f.work = Work{Batch: &f.Batch, Shape: likeShape, Pushes: like{&f.Batch}}
		for range 1024 {
			f.Addresses, f.Payloads = append(f.Addresses, address), append(f.Payloads, body)
		}
		s.free <- f
	}
	return s
}

// send sends n pushes and returns when all are answered.
func (s *sender) send(t testing.TB, n int) {
	next := func() *flying {
		f := <-s.free
		for i, r := range f.Results {
			if r != provider.Accepted {
				t.Fatalf("push %d: %v", i, r)
			}
		}
		return f
	}
	for ; n > 0; n -= 1024 {
		s.pool.Submit(next().work)
	}
	all := make([]*flying, s.all)
	for i := range all {
		all[i] = next()
	}
	for _, f := range all {
		s.free <- f
	}
}

// Fewer than 10,000 allocations for a million pushes: what is left are those of
// crypto/tls, one each time that it reads, and the rare growth of an array.
func TestPushesDoNotAllocate(t *testing.T) {
	cfg := Default()
	cfg.Min, cfg.Max = 4, 4
	p := startSink(t, cfg)
	if err := p.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := newSender(p, 16)
	s.send(t, 100_000) // tables and buffers grow
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 1_000_000
	s.send(t, n)
	runtime.ReadMemStats(&after)
	got := after.Mallocs - before.Mallocs
	t.Logf("%d allocations for %d pushes", got, n)
	if got > n/100 {
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
	s := newSender(p, 16)
	s.send(b, 100_000)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	s.send(b, b.N)
	b.StopTimer()
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/1e3/float64(b.N), "CPU-s/M")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
}

func BenchmarkPushes1(b *testing.B) { benchmarkPushes(b, 1) }
func BenchmarkPushes4(b *testing.B) { benchmarkPushes(b, 4) }
