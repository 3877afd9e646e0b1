package webpush

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
	"github.com/tocsin-push/tocsin/sim"
)

// browser is a subscription that can read its messages.
type browser struct {
	sim.BrowserKeys
	subscription
}

func newBrowser(t testing.TB) browser {
	t.Helper()
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := browser{BrowserKeys: sim.BrowserKeys{Private: private}}
	rand.Read(b.Auth[:])
	b.subscription = subscription{public: private.PublicKey().Bytes(), auth: b.Auth[:]}
	return b
}

// prepareAll runs Prepare until nothing is wanted.
func (p *Provider) prepareAll(t testing.TB) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Prepare(ctx, func() bool { return false }) }()
	for wanted := 1; wanted > 0 && t.Context().Err() == nil; runtime.Gosched() {
		_, wanted = p.Prepared()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// publics are the keys of all secrets in stock.
func (k *stock) publics() map[string]bool {
	all := map[string]bool{}
	for i := range k.stripes {
		for _, p := range k.stripes[i].places {
			if p.state == ready {
				all["\x04"+string(p.data[32:])] = true
			}
		}
	}
	return all
}

// The first message to a subscription makes its secret as it goes, the next one
// takes what Prepare made, and every browser reads its own.
func TestNextMessageIsPrepared(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(201, ""))
	l := f.lane(s)
	people := make([]browser, 100)
	for i := range people {
		people[i] = newBrowser(t)
	}
	seen := map[string]bool{}
	for round := range 3 {
		prepared := f.provider.stock.publics()
		if want := min(round, 1) * len(people); len(prepared) != want {
			t.Fatalf("round %d: %d secrets in stock, want %d", round, len(prepared), want)
		}
		s.Forget()
		b := new(provider.Batch)
		for i, p := range people {
			b.Addresses = append(b.Addresses, stored(s.Endpoint.Origin+"/wp/"+strconv.Itoa(i), p.public, p.auth))
			b.Payloads = append(b.Payloads, []byte("for "+strconv.Itoa(i)))
		}
		deliver(l, b)
		for _, r := range s.Requests() {
			n, _ := strconv.Atoi(strings.TrimPrefix(r.Path, "/wp/"))
			if text, err := people[n].Decrypt(r.Body); err != nil || string(text) != "for "+strconv.Itoa(n) {
				t.Fatalf("browser %d reads %q, %v", n, text, err)
			}
			key, salt := string(r.Body[21:headerLen]), string(r.Body[:saltLen])
			if prepared[key] != (round > 0) {
				t.Errorf("round %d: key from the stock: %v", round, prepared[key])
			}
			if seen[key] || seen[salt] {
				t.Error("a key or a salt is used twice")
			}
			seen[key], seen[salt] = true, true
		}
		if len(seen) != 2*len(people)*(round+1) {
			t.Fatalf("%d keys and salts after round %d", len(seen), round)
		}
		f.provider.prepareAll(t)
	}
	// Who is gone takes no place any more.
	s.Answer(reply(410, ""))
	deliver(l, &provider.Batch{Addresses: [][]byte{stored(s.Endpoint.Origin+"/wp/0", people[0].public, people[0].auth)}, Payloads: [][]byte{nil}})
	f.provider.prepareAll(t)
	if made, wanted := f.provider.Prepared(); made != len(people)-1 || wanted != 0 {
		t.Errorf("%d secrets in stock after one of %d was gone, %d wanted", made, len(people), wanted)
	}
}

// Nothing is made while there is work, and one secret at most once it comes.
func TestPreparationYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Default()
		cfg.Pairs = 0
		p, err := New(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			b := newBrowser(t)
			p.stock.take(tagOf(b.subscription), b.subscription, 0)
		}
		ctx, stop := context.WithCancel(context.Background())
		free := make(chan int, 1) // how many may be made before there is work
		left := 0
		busy := func() bool {
			if left <= 0 {
				left = 0
				select {
				case left = <-free:
				default:
				}
			}
			left--
			return left < 0
		}
		ended := make(chan error)
		go func() { ended <- p.Prepare(ctx, busy) }()
		made := 0
		for _, n := range []int{0, 1, 5, 3} {
			free <- n
			time.Sleep(2 * calm)
			synctest.Wait()
			if made += n; len(p.stock.publics()) != made {
				t.Errorf("%d made, want %d", len(p.stock.publics()), made)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A key of a subscription that is no point of the curve does not hold up others.
func TestPreparationSkipsBadKeys(t *testing.T) {
	f := newFixture(t)
	bad, good := somebody(1), newBrowser(t).subscription
	for _, s := range []subscription{bad, good} {
		f.provider.stock.take(tagOf(s), s, 0)
	}
	f.provider.prepareAll(t)
	if n := len(f.provider.stock.publics()); n != 1 {
		t.Errorf("%d secrets made, want 1", n)
	}
}

// No two messages of many share a key or a salt, whoever encrypts them.
func TestKeysAndSaltsDiffer(t *testing.T) {
	t.Parallel()
	const messages, workers = 100_000, 4
	pairs := pairs{most: 10}
	var keys, salts sync.Map
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			s := new(sealer)
			for range messages / workers {
				if !pairs.full() {
					made, err := newPair()
					if err != nil {
						t.Error(err)
					}
					pairs.put(made)
				}
				own, err := pairs.take()
				if err != nil {
					t.Error(err)
				}
				_, oldKey := keys.LoadOrStore(own.public, nil)
				_, oldSalt := salts.LoadOrStore([saltLen]byte(s.salt()), nil)
				if oldKey || oldSalt {
					t.Errorf("a key is used twice: %v, a salt: %v", oldKey, oldSalt)
					return
				}
			}
		})
	}
	group.Wait()
}
