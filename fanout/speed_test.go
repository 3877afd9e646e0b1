package fanout

import (
	"context"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// instant answers every batch at once, off the sender's goroutine.
type instant struct {
	*edge
	batches chan *provider.Batch
}

func (i *instant) Lane(provider.Route, provider.Credential) (provider.Lane, error) { return i, nil }
func (*instant) Warm(context.Context) error                                        { return nil }
func (*instant) Capacity() int                                                     { return 8000 }
func (*instant) State() provider.State                                             { return provider.State{} }
func (i *instant) Close(context.Context) error                                     { close(i.batches); return nil }
func (i *instant) Send(b *provider.Batch)                                          { i.batches <- b }

func (i *instant) run() {
	for b := range i.batches {
		for k := range b.Results {
			b.Results[k] = provider.Accepted
		}
		b.Wrote = append(b.Wrote, provider.Written{To: len(b.Results), At: time.Now()})
		b.Done(b)
	}
}

// BenchmarkShell is the cost of a push through one shard's machine and shell,
// without a wire: audience, claims and settles in a journal in memory.
func BenchmarkShell(b *testing.B) {
	const people = 200_000
	lane := &instant{edge: &edge{}, batches: make(chan *provider.Batch, 1000)}
	go lane.run()
	w := newTown(b, people, map[tocsin.Provider]provider.Provider{tocsin.APNs: lane})
	w.owner()
	w.closed(w.send(1, &record.Slice{}))
	b.ReportAllocs()
	n := byte(2)
	var first time.Duration
	for b.Loop() {
		from := time.Now()
		id := w.send(n, &record.Slice{})
		n++
		w.until(func(e *record.Envelope, _ ledger.Verdict) bool { return e.GetOpen() != nil })
		first += time.Since(from)
		w.closed(id)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/people, "ns/push")
	b.ReportMetric(float64(first.Microseconds())/float64(b.N), "us-to-open")
}
