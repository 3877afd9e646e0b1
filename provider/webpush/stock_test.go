package webpush

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

// somebody is a subscription whose keys nobody looks at.
func somebody(n int) subscription {
	s := subscription{public: make([]byte, publicLen), auth: make([]byte, authLen)}
	s.public[0] = 4
	binary.BigEndian.PutUint64(s.public[1:], uint64(n))
	return s
}

func numbered(n int) (of secret) {
	of.public[0] = 4
	binary.BigEndian.PutUint64(of.ikm[:], uint64(n))
	binary.BigEndian.PutUint64(of.public[1:], uint64(n))
	return of
}

// fill makes what is wanted until nothing is, and returns how much that was.
func (k *stock) fill() (n int) {
	for {
		of, public, _, ok := k.next()
		if !ok {
			return n
		}
		k.put(of, numbered(int(binary.BigEndian.Uint64(public[1:]))))
		n++
	}
}

// Each secret is taken once, and never for another subscription, whoever takes
// and makes at the same time.
func TestSecretIsSpentOnce(t *testing.T) {
	const people, rounds, takers = 3000, 20, 4
	k := newStock(1 << 20)
	var made, taken atomic.Int64
	var seen sync.Map
	done := make(chan struct{})
	var maker, group sync.WaitGroup
	maker.Go(func() {
		for {
			of, public, _, ok := k.next()
			if ok {
				s := numbered(int(binary.BigEndian.Uint64(public[1:])))
				binary.BigEndian.PutUint64(s.ikm[8:], uint64(made.Add(1)))
				k.put(of, s)
				continue
			}
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	for range takers {
		group.Go(func() {
			for range rounds {
				for n := range people {
					s := somebody(n)
					got, ok := k.take(tagOf(s), s, 0)
					if !ok {
						continue
					}
					taken.Add(1)
					if int(binary.BigEndian.Uint64(got.ikm[:])) != n || int(binary.BigEndian.Uint64(got.public[1:])) != n {
						t.Errorf("subscription %d got the secret of another", n)
					}
					if _, twice := seen.LoadOrStore(got.ikm, n); twice {
						t.Errorf("a secret of subscription %d is taken twice", n)
					}
				}
			}
		})
	}
	group.Wait()
	close(done)
	maker.Wait()
	if taken.Load() == 0 || taken.Load() > made.Load() {
		t.Errorf("%d taken of %d made", taken.Load(), made.Load())
	}
}

// The stock takes no more bytes than it may, and uses most of them.
func TestStockKeepsItsBudget(t *testing.T) {
	const budget = 4 << 20
	k := newStock(budget)
	for n := range 2 * budget / placeLen {
		s := somebody(n)
		k.take(tagOf(s), s, 0)
	}
	made := k.fill()
	held := 0
	for i := range k.stripes {
		at := &k.stripes[i]
		held += cap(at.tags)*int(unsafe.Sizeof(at.tags[0])) + cap(at.places)*int(unsafe.Sizeof(at.places[0]))
	}
	if held > budget {
		t.Errorf("%d bytes, the budget is %d", held, budget)
	}
	if made < budget/placeLen*8/10 {
		t.Errorf("%d secrets in %d bytes", made, budget)
	}
	found := 0
	for n := range 2 * budget / placeLen {
		s := somebody(n)
		if _, ok := k.take(tagOf(s), s, 0); ok {
			found++
		}
	}
	if found != made {
		t.Errorf("%d of %d secrets found", found, made)
	}
	none := newStock(0)
	if s := somebody(1); none.fill() != 0 {
		t.Error("a stock of no bytes makes something")
	} else if _, ok := none.take(tagOf(s), s, 0); ok {
		t.Error("a stock of no bytes holds something")
	}
}

// Who registers again with other keys finds nothing that was made for the old
// ones; who is gone leaves nothing behind.
func TestOtherKeysOtherSecret(t *testing.T) {
	k := newStock(1 << 20)
	old := somebody(1)
	k.take(tagOf(old), old, 0)
	k.fill()
	for what, change := range map[string]func(*subscription){
		"p256dh": func(s *subscription) { s.public[publicLen-1] ^= 1 },
		"auth":   func(s *subscription) { s.auth[authLen-1] ^= 1 },
	} {
		s := somebody(1)
		change(&s)
		if _, ok := k.take(tagOf(s), s, 0); ok {
			t.Errorf("another %s finds the secret", what)
		}
	}
	k.fill()
	k.forget(tagOf(old))
	if _, ok := k.take(tagOf(old), old, 0); ok {
		t.Error("what was forgotten is found")
	}
}

// A full stock keeps what it has; only who was not served for long makes room.
func TestPlacesGetStale(t *testing.T) {
	k := newStock(64 * rowLen * placeLen) // a row each
	const many = 64 * rowLen * 4
	take := func(from int, day uint16) (found int) {
		for n := from; n < from+many; n++ {
			s := somebody(n)
			if _, ok := k.take(tagOf(s), s, day); ok {
				found++
			}
		}
		return found
	}
	take(0, 0)
	kept := k.fill()
	take(many, staleAfter-1)
	if n := k.fill(); n != 0 {
		t.Errorf("%d places given away before they are stale", n)
	}
	if n := take(0, staleAfter-1); n != kept {
		t.Errorf("%d of %d left", n, kept)
	}
	k.fill()
	take(many, 2*staleAfter)
	if k.fill() == 0 {
		t.Error("no stale place is given away")
	}
}
