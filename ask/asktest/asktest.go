package asktest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/store"
)

// Authority signs certificates of one installation.
type Authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

// NewAuthority makes one.
func NewAuthority(t testing.TB) *Authority {
	a := &Authority{t: t}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tocsin"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.file = a.write("CERTIFICATE", a.signed(a.cert, key))
	return a
}

func (a *Authority) signed(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func (a *Authority) write(kind string, der []byte) string {
	path := filepath.Join(a.t.TempDir(), "pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// Issue makes a certificate for a name, as files.
func (a *Authority) Issue(name string) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write("CERTIFICATE", a.signed(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour)}, private)), a.write("PRIVATE KEY", der)
}

// CA is the file of its certificate.
func (a *Authority) CA() string { return a.file }

// Open is Issue as a process reads it.
func (a *Authority) Open(name string) (*ask.Certificates, error) {
	cert, key := a.Issue(name)
	return ask.OpenCertificates(cert, key, a.file, slog.New(slog.DiscardHandler))
}

// Process is what a process shows.
func (a *Authority) Process() *ask.Certificates {
	c, err := a.Open(ask.ProcessName)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// Home is a process with shards.
type Home struct {
	mu        sync.Mutex
	audiences map[tocsin.Shard]ask.Audience
	receipts  map[tocsin.Shard]ask.Receipts
	Address   string
	Stop      func()
}

// Audience is one that lives here.
func (h *Home) Audience(shard tocsin.Shard) (ask.Audience, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, here := h.audiences[shard]
	return a, here
}

// Receipts are those that live here.
func (h *Home) Receipts(shard tocsin.Shard) (ask.Receipts, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, here := h.receipts[shard]
	return r, here
}

// Take says in the store where a shard is.
func (h *Home) Take(t testing.TB, s store.Store, shard tocsin.Shard, a ask.Audience, r ask.Receipts) {
	h.mu.Lock()
	h.audiences[shard], h.receipts[shard] = a, r
	h.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var sitting sync.WaitGroup
	seat := ask.AudienceOf(shard)
	sitting.Go(func() {
		ask.Sit(ctx, s, time.Now, slog.New(slog.DiscardHandler), ask.Process{Address: h.Address, Incarnation: 1}, seat, ask.ReceiptsOf(shard))
	})
	for seats := ask.NewSeats(s, time.Now); ; {
		if p, ok, err := seats.Again(t.Context(), ask.ReceiptsOf(shard)); err != nil {
			t.Fatal(err)
		} else if ok && p.Address == h.Address {
			break
		}
		<-time.After(time.Millisecond)
		seats = ask.NewSeats(s, time.Now)
	}
	cancel() // the row stays
	sitting.Wait()
}

// Leave lets it go; its row stays.
func (h *Home) Leave(shard tocsin.Shard) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.audiences, shard)
	delete(h.receipts, shard)
}

// NewHome serves what it has on loopback.
func NewHome(t testing.TB, c *ask.Certificates) *Home {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &Home{audiences: map[tocsin.Shard]ask.Audience{}, receipts: map[tocsin.Shard]ask.Receipts{}, Address: listener.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := ask.Serve(ctx, listener, c, h, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
	h.Stop = sync.OnceFunc(func() { cancel(); serving.Wait() })
	t.Cleanup(h.Stop)
	return h
}

// Shards is how many an installation of From has.
const Shards = 4

// From is how a process that has no shard asks for those of others.
func From(t testing.TB, s store.Store, c *ask.Certificates) ask.Shards {
	peers := ask.NewPeers(c, nil)
	t.Cleanup(peers.Close)
	return ask.NewNetwork(&Home{}, ask.NewSeats(s, time.Now), peers).Shards(Shards)
}
