package bulk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// plain writes pushes whose address is the path and whose payload is the body.
type plain struct{ b *provider.Batch }

func (p plain) AppendPath(dst []byte, i int) []byte {
	return append(append(dst, "/push/"...), p.b.Addresses[i]...)
}
func (p plain) AppendUnique(dst []byte, i int) []byte { return fmt.Appendf(dst, "unique-%08d", i) }
func (p plain) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	if len(p.b.Payloads[i]) == 0 {
		return dst, tocsin.ReasonRender
	}
	return append(dst, p.b.Payloads[i]...), 0
}
func (p plain) Judge(i int, a *Answer) Verdict {
	d := provider.Detail{RetryAfter: a.RetryAfter, Text: fmt.Sprintf("%d %s", a.Status, a.Body)}
	switch a.Status {
	case 410:
		return Verdict{Result: provider.Gone, Detail: d}
	case 403:
		return Verdict{Result: provider.Fault, Detail: d}
	case 429, 503:
		return Verdict{Result: provider.Later, Detail: d}
	}
	return Verdict{Result: provider.Refused, Detail: d}
}

var testShape = &Shape{
	Headers: []Header{
		{"x-topic", "com.example.news", Indexed},
		{"authorization", "bearer " + strings.Repeat("abcd.", 30), Literal},
		{"x-expiry", "1700000000", NameOnly},
	},
	Unique: "x-id",
}

// batch returns n pushes to address(i), and a channel that gets it back.
func batch(n int, address func(i int) string) (*provider.Batch, chan *provider.Batch) {
	done := make(chan *provider.Batch, 1)
	b := &provider.Batch{Done: func(b *provider.Batch) { done <- b }}
	body := []byte(strings.Repeat("x", 200))
	for i := range n {
		b.Addresses = append(b.Addresses, []byte(address(i)))
		b.Payloads = append(b.Payloads, body)
	}
	return b, done
}

func submit(p *Pool, b *provider.Batch) {
	p.Submit(Work{Batch: b, Shape: testShape, Pushes: plain{b}})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve starts x/net's server over TLS and a pool that leads to it.
func serve(t testing.TB, cfg Config, h2 *http2.Server, h http.HandlerFunc) *Pool {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if err := http2.ConfigureServer(s.Config, h2); err != nil {
		t.Fatal(err)
	}
	s.TLS = s.Config.TLSConfig
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	p, err := New(cfg, Options{Origin: s.URL, TLS: &tls.Config{RootCAs: roots}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

func TestEveryPushArrivesOnceWithItsAnswer(t *testing.T) {
	var mu sync.Mutex // of the server's handlers; all have ended when seen is read
	seen := map[string]int{}
	p := serve(t, Default(), &http2.Server{MaxConcurrentStreams: 100}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[r.URL.Path+" "+r.Header.Get("x-id")]++
		mu.Unlock()
		if len(body) != 200 || r.Header.Get("x-topic") != "com.example.news" || r.Header.Get("x-expiry") != "1700000000" ||
			r.Header.Get("authorization") != testShape.Headers[1].Value {
			w.WriteHeader(400)
			return
		}
		switch {
		case strings.HasSuffix(r.URL.Path, "7"):
			w.WriteHeader(410)
			io.WriteString(w, "gone "+r.URL.Path)
		case strings.HasSuffix(r.URL.Path, "9"):
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(429)
		case strings.HasSuffix(r.URL.Path, "5"):
			w.WriteHeader(201)
			io.WriteString(w, "accepted with a body")
		}
	})
	const batches, size = 5, 700
	var waits []chan *provider.Batch
	for k := range batches {
		b, done := batch(size, func(i int) string { return fmt.Sprintf("%d-%d", k, i) })
		b.Payloads[3] = nil
		submit(p, b)
		waits = append(waits, done)
	}
	refused := 0
	for k, done := range waits {
		b := <-done
		details := map[int]provider.Detail{}
		for _, d := range b.Details {
			if _, twice := details[d.Index]; twice {
				t.Errorf("two details of push %d", d.Index)
			}
			details[d.Index] = d
		}
		written := make([]bool, size)
		for _, w := range b.Wrote {
			for i := w.From; i < w.To; i++ {
				written[i] = true
			}
		}
		for i, got := range b.Results {
			want := provider.Accepted
			switch i % 10 {
			case 7:
				want = provider.Gone
				if text := fmt.Sprintf("410 gone /push/%d-%d", k, i); details[i].Text != text {
					t.Fatalf("push %d: detail %q, want %q", i, details[i].Text, text)
				}
			case 9:
				want = provider.Later
				if details[i].RetryAfter != 17*time.Second {
					t.Fatalf("push %d: retry after %v", i, details[i].RetryAfter)
				}
			}
			if i == 3 {
				want = provider.Refused
			}
			if got == provider.Unprocessed {
				// x/net's server counts a stream for a moment after its answer.
				refused++
				if n := seen[fmt.Sprintf("/push/%d-%d unique-%08d", k, i, i)]; n != 0 {
					t.Errorf("batch %d push %d: Unprocessed, and arrived", k, i)
				}
				continue
			}
			if got != want {
				t.Fatalf("batch %d push %d: %v, want %v", k, i, got, want)
			}
			if written[i] != (i != 3) {
				t.Fatalf("batch %d push %d: written is %v", k, i, written[i])
			}
		}
	}
	if want := batches*(size-1) - refused; len(seen) != want {
		t.Errorf("%d distinct pushes arrived, want %d", len(seen), want)
	}
	for what, n := range seen {
		if n != 1 {
			t.Errorf("%s arrived %d times", what, n)
		}
	}
}

// A refused credential stops what is queued and what is on its way here; single
// pushes probe it, and the first that is accepted opens the way again.
func TestFaultHaltsWhatIsQueued(t *testing.T) {
	cfg := Default()
	cfg.Streams = 1
	fault := true
	p := serve(t, cfg, &http2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		if fault { // one request at a time
			fault = false
			w.WriteHeader(403)
		}
	})
	one, first := batch(3, func(int) string { return "x" })
	two, second := batch(3, func(int) string { return "y" })
	submit(p, one)
	submit(p, two)
	<-first
	<-second
	expect(t, one, provider.Fault, unsent, unsent)
	expect(t, two, unsent)
	expect(t, push(p, 3), unsent)
	expect(t, push(p, 1), accepted)
	expect(t, push(p, 3), accepted)
}
