package webpush

import (
	"context"
	"runtime"
	"time"
)

// calm is how long preparation leaves off once it saw that there is work.
const calm = 100 * time.Millisecond

// Prepare makes key pairs, and the secrets of the next message to those that
// were served, whenever busy reports that no push of any provider is under way.
// One goroutine makes one at a time and asks in between, so that what comes
// waits for it no longer than one key exchange takes. It returns when ctx ends,
// which is no error.
func (p *Provider) Prepare(ctx context.Context, busy func() bool) error {
	s := new(sealer)
	pause := time.NewTimer(calm)
	defer pause.Stop()
	for ctx.Err() == nil {
		if busy() {
			pause.Reset(calm)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			continue
		}
		made, err := p.prepareOne(s)
		if err != nil {
			return err
		}
		if !made {
			select {
			case <-ctx.Done():
			case <-p.wanted:
			}
			continue
		}
		runtime.Gosched() // before whatever came meanwhile
	}
	return nil
}

// Prepared returns for how many subscriptions the secret of the next message is
// made, and for how many more Prepare would make it.
func (p *Provider) Prepared() (made, wanted int) { return p.stock.count() }

// prepareOne reports whether there was anything to make.
func (p *Provider) prepareOne(s *sealer) (made bool, err error) {
	if !p.pairs.full() {
		own, err := newPair()
		if err != nil {
			return false, err
		}
		p.pairs.put(own)
		return true, nil
	}
	of, public, auth, ok := p.stock.next()
	if !ok {
		return false, nil
	}
	own, err := newPair()
	if err != nil {
		return false, err
	}
	next, err := s.agree(own, public[:], auth[:])
	if err != nil { // no point of the curve: nothing can be made for it
		p.stock.forget(of)
		return true, nil
	}
	p.stock.put(of, next)
	return true, nil
}

// prepareMore tells Prepare that something may be wanted.
func (p *Provider) prepareMore() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}
