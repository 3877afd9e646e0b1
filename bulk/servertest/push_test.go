//go:build servers

package servertest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

const (
	many      = 100_000
	batchSize = 1000
	underWay  = 8
	goneEvery = 10
)

// Each server answers every push, with the status that belongs to it. What one
// gives back unprocessed is sent again, as fanout does.
func TestServers(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			pool := start(t, s)
			r := &run{gone: s.gone, free: make(chan *pushes, underWay), answers: map[int]int{}}
			for n := range many {
				r.todo = append(r.todo, n)
			}
			for range underWay {
				r.free <- &pushes{run: r}
			}
			began, open := time.Now(), 0
			for len(r.answers) < many {
				p := <-r.free
				open -= len(p.numbers)
				r.account(t, p)
				if t.Failed() {
					return
				}
				n := min(batchSize, len(r.todo))
				p.numbers, r.todo = r.todo[:n:n], r.todo[n:]
				if n > 0 {
					open += n
					p.send(pool)
				} else if open == 0 && len(r.answers) < many {
					t.Fatalf("%d answers and nothing under way", len(r.answers))
				}
			}
			state := pool.State()
			t.Logf("%d pushes in %v: %d sent again, %d connections at the end, round trip %v", many, time.Since(began).Round(time.Millisecond),
				r.again, state.Connections, state.RoundTrip)
			for n, status := range r.answers {
				if want := r.want(n); status != want {
					t.Fatalf("push %d: status %d, want %d", n, status, want)
				}
			}
		})
	}
}

// run is what became of the pushes to one server.
type run struct {
	gone    int
	free    chan *pushes
	todo    []int
	answers map[int]int
	again   int
}

func (r *run) want(n int) int {
	if n%goneEvery == 0 {
		return r.gone
	}
	return 200
}

func (r *run) account(t *testing.T, p *pushes) {
	for i, n := range p.numbers {
		switch result := p.batch.Results[i]; result {
		case provider.Accepted:
			r.answers[n] = 200
		case provider.Refused:
			r.answers[n] = p.statuses[i]
		case provider.Unprocessed:
			r.again++
			r.todo = append(r.todo, n)
		default:
			t.Errorf("push %d: result %d, details %+v", n, result, p.batch.Details)
			return
		}
	}
}

// pushes are the requests of one batch.
type pushes struct {
	run      *run
	numbers  []int
	batch    provider.Batch
	mu       sync.Mutex // Judge may come from several connections
	statuses []int
}

var shape = &bulk.Shape{
	Headers: []bulk.Header{
		{Name: "authorization", Value: "bearer " + string(bytes.Repeat([]byte("abcd."), 40)), Policy: bulk.Literal},
		{Name: "apns-topic", Value: "com.example.news"},
		{Name: "apns-expiration", Value: "1700000000", Policy: bulk.NameOnly},
	},
	Unique: "apns-id",
}

func (p *pushes) send(pool *bulk.Pool) {
	p.statuses = make([]int, len(p.numbers))
	p.batch = provider.Batch{
		Addresses: make([][]byte, len(p.numbers)), Payloads: make([][]byte, len(p.numbers)),
		Done: func(*provider.Batch) { p.run.free <- p },
	}
	pool.Submit(bulk.Work{Batch: &p.batch, Shape: shape, Pushes: p})
}

func (p *pushes) AppendPath(dst []byte, i int) []byte {
	n := p.numbers[i]
	if n%goneEvery == 0 {
		return strconv.AppendInt(append(dst, "/gone?"...), int64(n), 10)
	}
	return strconv.AppendInt(append(dst, "/ok?"...), int64(n), 10)
}

func (p *pushes) AppendUnique(dst []byte, i int) []byte {
	return fmt.Appendf(dst, "00000000-0000-0000-0000-%012d", p.numbers[i])
}

func (p *pushes) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	return fmt.Appendf(dst, `{"aps":{"alert":"breaking news of number %0150d"}}`, p.numbers[i]), 0
}

func (p *pushes) Judge(i int, a *bulk.Answer) bulk.Verdict {
	p.mu.Lock()
	p.statuses[i] = a.Status
	p.mu.Unlock()
	return bulk.Verdict{Result: provider.Refused}
}

// start runs the server until the test ends, and returns a warm pool to it.
func start(t *testing.T, s server) *bulk.Pool {
	t.Helper()
	place := site{folder: t.TempDir()}
	var roots *x509.CertPool
	place.cert, place.key, roots = certificate(t, place.folder)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	place.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	var said bytes.Buffer
	c := s.command(t, place)
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		c.Wait()
		close(ended)
	}()
	pool, err := bulk.New(bulk.Default(), bulk.Options{
		Origin: fmt.Sprintf("https://127.0.0.1:%d", place.port), TLS: &tls.Config{RootCAs: roots}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pool.Close(context.Background())
		c.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", s.name, said.String())
		}
	})
	limit := time.Now().Add(20 * time.Second)
	for {
		err := pool.Warm(t.Context())
		if err == nil {
			return pool
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %v", s.name, err)
		default:
		}
		if time.Now().After(limit) {
			t.Fatalf("%s does not come up: %v", s.name, err)
		}
	}
}

// certificate makes one for the loopback address and trusts it.
func certificate(t *testing.T, folder string) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = write(t, folder, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	key = write(t, folder, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})))
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))))
	return cert, key, roots
}
