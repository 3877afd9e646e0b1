package providertest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/provider"
)

// Subject is a provider under test, told to the kit.
type Subject struct {
	Provider   provider.Provider
	Route      func(s *Server) provider.Route
	Credential func(s *Server) provider.Credential
	Address    func(s *Server, i int) []byte // stored form, different for each i
	Payload    []byte

	// Number is the i of the address that a request was for.
	Number func(t testing.TB, r Request) int

	// Accept answers as the service does that takes a push, Gone as one that
	// knows the address dead, Fault as one that refuses the credential.
	Accept, Gone, Fault func(w http.ResponseWriter, r Request)
}

// Run holds a provider to the contract of provider.Lane.
func Run(t *testing.T, subject Subject) {
	for _, test := range []struct {
		name string
		run  func(*bench)
	}{
		{"every push gets its result and Done comes once", (*bench).results},
		{"batches start in order", (*bench).order},
		{"nothing is written after Stop", (*bench).stop},
		{"Close settles what is left", (*bench).close},
		{"Close waits for answers", (*bench).closeWaits},
		{"a closed lane leaves everything unsent", (*bench).closed},
		{"bytes without an answer are Lost", (*bench).lost},
		{"a service that is away does not block", (*bench).away},
		{"a refused credential costs what is in flight", (*bench).fault},
		{"Warm sends no push", (*bench).warm},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{T: t, Subject: subject}
			b.server = NewServer(t, subject.Accept)
			b.open()
			test.run(b)
		})
	}
}

type bench struct {
	*testing.T
	Subject
	server *Server
	lane   provider.Lane
}

func (b *bench) open() {
	b.Helper()
	credential := b.Credential(b.server)
	if err := b.Provider.Check(credential); err != nil {
		b.Fatal(err)
	}
	lane, err := b.Provider.Lane(b.Route(b.server), credential)
	if err != nil {
		b.Fatal(err)
	}
	b.lane = lane
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		lane.Close(ctx)
	})
	if n := lane.Capacity(); n < 1 {
		b.Fatalf("Capacity is %d before the first connection", n)
	}
}

// flight is a batch that was sent.
type flight struct {
	*provider.Batch
	t    testing.TB
	mu   sync.Mutex
	done int
	came chan struct{}
}

// send sends the pushes from to to-1.
func (b *bench) send(from, to int) *flight {
	f := &flight{t: b, came: make(chan struct{})}
	f.Batch = &provider.Batch{Route: b.Route(b.server), Headers: provider.Headers{TTL: time.Hour, Expiry: time.Now().Add(time.Hour)}}
	for i := from; i < to; i++ {
		f.Addresses = append(f.Addresses, b.Address(b.server, i))
		f.Payloads = append(f.Payloads, b.Payload)
	}
	f.Done = func(got *provider.Batch) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.done++; f.done > 1 {
			b.Error("Done came twice")
			return
		}
		if got != f.Batch {
			b.Error("Done brought another batch")
		}
		close(f.came)
	}
	b.lane.Send(f.Batch)
	return f
}

// wait returns the results as counts, after looking at what every batch owes.
func (f *flight) wait() map[provider.Result]int {
	f.t.Helper()
	<-f.came
	if len(f.Results) != len(f.Addresses) {
		f.t.Fatalf("%d results for %d pushes", len(f.Results), len(f.Addresses))
	}
	counts := map[provider.Result]int{}
	for i, r := range f.Results {
		if r == provider.Pending {
			f.t.Errorf("push %d has no result", i)
		}
		counts[r]++
	}
	seen := map[int]bool{}
	for _, d := range f.Details {
		if d.Index < 0 || d.Index >= len(f.Results) || seen[d.Index] {
			f.t.Errorf("details of push %d are wrong or there twice", d.Index)
		}
		seen[d.Index] = true
		if len(d.Text) > 64 {
			f.t.Errorf("text of push %d has %d bytes", d.Index, len(d.Text))
		}
	}
	last, written := 0, make([]bool, len(f.Results))
	for _, w := range f.Wrote {
		if w.From < last || w.To <= w.From || w.To > len(f.Results) || w.At.IsZero() {
			f.t.Errorf("written %+v after %d", w, last)
		}
		last = w.To
		for i := w.From; i < w.To; i++ {
			written[i] = true
		}
	}
	for i, r := range f.Results {
		if r == provider.Unsent && written[i] {
			f.t.Errorf("push %d is Unsent and was written", i)
		}
		if (r == provider.Accepted || r == provider.Gone) && !written[i] {
			f.t.Errorf("push %d is answered and was not written", i)
		}
	}
	return counts
}

func (b *bench) expect(got, want map[provider.Result]int) {
	b.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("results %v, want %v", got, want)
	}
}
