package webpush

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"sync"
	"unsafe"
)

// tag names the keys of a subscription: 128 bits of SHA-256 over p256dh and
// auth. What was made for other keys is never found under it.
type tag [16]byte

func tagOf(s subscription) tag {
	var keys [publicLen + authLen]byte
	copy(keys[:], s.public)
	copy(keys[publicLen:], s.auth)
	sum := sha256.Sum256(keys[:])
	return tag(sum[:])
}

// stock keeps the secret of the next message for subscriptions that were
// served, within a fixed number of bytes. A place holds a secret, or, once that
// is taken, the keys of the subscription that wants the next one, so that the
// list of what to make takes no memory of its own. What finds no place is not
// kept.
type stock struct {
	stripes [64]stripe
}

// stripe is the part of the stock that one lock guards. Its places are in rows;
// a tag belongs to one row.
type stripe struct {
	mu     sync.Mutex
	places []place
	most   int // places
	wanted int
	at     int // where the search for what is wanted goes on
}

const rowLen = 8

// staleAfter is after how many days without a message a subscription gives its
// place to another one that needs it.
const staleAfter = 7

type place struct {
	of    tag
	seen  uint16 // day of the last message
	state state

	// A secret: IKM, then the public key without its first byte, which is 4.
	// Wanted: p256dh without that byte, then auth.
	data [32 + publicLen - 1]byte
}

type state uint8

const (
	empty state = iota
	wanted
	ready
)

// placeLen is what a place takes: the 96 bytes of a secret, whose it is, and
// its age.
const placeLen = int(unsafe.Sizeof(place{}))

func newStock(budget int) *stock {
	k := new(stock)
	for i := range k.stripes {
		k.stripes[i].most = budget / len(k.stripes) / placeLen / rowLen * rowLen
	}
	return k
}

func (k *stock) stripe(of tag) *stripe { return &k.stripes[int(of[0])%len(k.stripes)] }

// take returns the secret of the next message to a subscription, if there is
// one: it is gone then. Either way another one is wanted from now on.
func (k *stock) take(of tag, s subscription, day uint16) (got secret, ok bool) {
	at := k.stripe(of)
	at.mu.Lock()
	defer at.mu.Unlock()
	p := at.find(of)
	if p == nil {
		if p = at.room(of, day); p == nil {
			return got, false
		}
	}
	if ok = p.state == ready; ok {
		copy(got.ikm[:], p.data[:])
		got.public[0] = 4
		copy(got.public[1:], p.data[len(got.ikm):])
	}
	at.set(p, wanted)
	p.of, p.seen, p.data = of, day, [len(p.data)]byte{}
	copy(p.data[:], s.public[1:])
	copy(p.data[publicLen-1:], s.auth)
	return got, ok
}

// next returns the keys of a subscription that wants a secret.
func (k *stock) next() (of tag, public [publicLen]byte, auth [authLen]byte, ok bool) {
	for i := range k.stripes {
		at := &k.stripes[i]
		at.mu.Lock()
		if p := at.next(); p != nil {
			of, public[0] = p.of, 4
			copy(public[1:], p.data[:])
			copy(auth[:], p.data[publicLen-1:])
			at.mu.Unlock()
			return of, public, auth, true
		}
		at.mu.Unlock()
	}
	return of, public, auth, false
}

// put keeps a secret where it is still wanted.
func (k *stock) put(of tag, made secret) {
	at := k.stripe(of)
	at.mu.Lock()
	defer at.mu.Unlock()
	if p := at.find(of); p != nil && p.state == wanted {
		at.set(p, ready)
		copy(p.data[:], made.ikm[:])
		copy(p.data[len(made.ikm):], made.public[1:])
	}
}

// forget empties the place of a subscription that gets no more messages.
func (k *stock) forget(of tag) {
	at := k.stripe(of)
	at.mu.Lock()
	defer at.mu.Unlock()
	if p := at.find(of); p != nil {
		at.set(p, empty)
		*p = place{}
	}
}

func (s *stripe) set(p *place, to state) {
	if p.state == wanted {
		s.wanted--
	}
	if p.state = to; to == wanted {
		s.wanted++
	}
}

// row returns the places that a tag may be in.
func (s *stripe) row(of tag) []place {
	high, _ := bits.Mul64(binary.BigEndian.Uint64(of[1:]), uint64(len(s.places)/rowLen))
	return s.places[high*rowLen:][:min(rowLen, len(s.places))]
}

func (s *stripe) find(of tag) *place {
	row := s.row(of)
	for i := range row {
		if row[i].of == of && row[i].state != empty {
			return &row[i]
		}
	}
	return nil
}

// room returns a free place, or one whose subscription was long not served;
// the stripe grows as far as it may.
func (s *stripe) room(of tag, day uint16) *place {
	for {
		row := s.row(of)
		for i := range row {
			if row[i].state == empty {
				return &row[i]
			}
		}
		if len(s.places) < s.most {
			s.grow()
			continue
		}
		for i := range row {
			if day-row[i].seen >= staleAfter {
				s.set(&row[i], empty)
				return &row[i]
			}
		}
		return nil
	}
}

// grow doubles the places. What finds no free place in its new row is dropped.
func (s *stripe) grow() {
	old := s.places
	s.places = make([]place, min(max(2*len(old), 8*rowLen), s.most))
	s.wanted, s.at = 0, 0
	for i := range old {
		row := s.row(old[i].of)
		for j := range row {
			if old[i].state != empty && row[j].state == empty {
				row[j] = old[i]
				if row[j].state == wanted {
					s.wanted++
				}
				break
			}
		}
	}
}

func (s *stripe) next() *place {
	if s.wanted == 0 {
		return nil
	}
	for s.places[s.at].state != wanted {
		s.at = (s.at + 1) % len(s.places)
	}
	return &s.places[s.at]
}
