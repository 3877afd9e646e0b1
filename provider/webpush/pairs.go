package webpush

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"sync"
)

// pair is a key pair for one message.
type pair struct {
	private *ecdh.PrivateKey
	public  [publicLen]byte
}

func newPair() (pair, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("webpush: new key pair: %w", err)
	}
	return pair{private, [publicLen]byte(private.PublicKey().Bytes())}, nil
}

// pairs keeps key pairs that were made while there was time, for messages to
// subscriptions that nothing is in stock for. Each is used once.
type pairs struct {
	most int

	mu    sync.Mutex
	ready []pair
}

// take returns a pair that nobody else gets.
func (p *pairs) take() (pair, error) {
	p.mu.Lock()
	n := len(p.ready)
	if n == 0 {
		p.mu.Unlock()
		return newPair()
	}
	got := p.ready[n-1]
	p.ready[n-1] = pair{}
	p.ready = p.ready[:n-1]
	p.mu.Unlock()
	return got, nil
}

// full reports whether as many are kept as may be.
func (p *pairs) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) >= p.most
}

func (p *pairs) put(made pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, made)
}
