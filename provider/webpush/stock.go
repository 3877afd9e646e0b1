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
// a tag belongs to one row. The tags are apart, so that a row of them is in two
// cache lines.
type stripe struct {
	mu     sync.Mutex
	tags   []tag // zero where nothing is
	places []place
	most   int    // places
	counts [3]int // places by state; of empty it does not count
	at     int    // where the search for what is wanted goes on
}

const rowLen = 8

// staleAfter is after how many days without a message a subscription gives its
// place to another one that needs it.
const staleAfter = 7

type place struct {
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
const placeLen = int(unsafe.Sizeof(place{}) + unsafe.Sizeof(tag{}))

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
	i := at.find(of)
	if i < 0 {
		if i = at.room(of, day); i < 0 {
			return got, false
		}
		at.tags[i] = of
	}
	p := &at.places[i]
	if ok = p.state == ready; ok {
		copy(got.ikm[:], p.data[:])
		got.public[0] = 4
		copy(got.public[1:], p.data[len(got.ikm):])
	}
	at.set(p, wanted)
	p.seen = day
	copy(p.data[:], s.public[1:])
	copy(p.data[publicLen-1:], s.auth)
	clear(p.data[publicLen-1+authLen:])
	return got, ok
}

// next returns the keys of a subscription that wants a secret.
func (k *stock) next() (of tag, public [publicLen]byte, auth [authLen]byte, ok bool) {
	for i := range k.stripes {
		at := &k.stripes[i]
		at.mu.Lock()
		if at.counts[wanted] > 0 {
			for at.places[at.at].state != wanted {
				at.at = (at.at + 1) % len(at.places)
			}
			p := &at.places[at.at]
			of, public[0] = at.tags[at.at], 4
			copy(public[1:], p.data[:])
			copy(auth[:], p.data[publicLen-1:])
			ok = true
		}
		at.mu.Unlock()
		if ok {
			break
		}
	}
	return of, public, auth, ok
}

// put keeps a secret where it is still wanted.
func (k *stock) put(of tag, made secret) {
	at := k.stripe(of)
	at.mu.Lock()
	defer at.mu.Unlock()
	if i := at.find(of); i >= 0 && at.places[i].state == wanted {
		p := &at.places[i]
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
	if i := at.find(of); i >= 0 {
		at.clear(i)
	}
}

// count returns how many secrets there are, and how many more are wanted.
func (k *stock) count() (made, more int) {
	for i := range k.stripes {
		at := &k.stripes[i]
		at.mu.Lock()
		made += at.counts[ready]
		more += at.counts[wanted]
		at.mu.Unlock()
	}
	return made, more
}

func (s *stripe) set(p *place, to state) {
	s.counts[p.state]--
	p.state = to
	s.counts[to]++
}

func (s *stripe) clear(i int) {
	s.set(&s.places[i], empty)
	s.tags[i], s.places[i] = tag{}, place{}
}

// row returns the range of places that a tag may be in.
func (s *stripe) row(of tag) (from, to int) {
	high, _ := bits.Mul64(binary.BigEndian.Uint64(of[1:]), uint64(len(s.tags)/rowLen))
	from = int(high) * rowLen
	return from, min(from+rowLen, len(s.tags))
}

// find returns the place of a tag, -1 when it has none.
func (s *stripe) find(of tag) int {
	from, to := s.row(of)
	for i, t := range s.tags[from:to] {
		if t == of {
			return from + i
		}
	}
	return -1
}

// room returns a free place, or one whose subscription was long not served; the
// stripe grows as far as it may. -1: there is none.
func (s *stripe) room(of tag, day uint16) int {
	for {
		if i := s.free(of); i >= 0 {
			return i
		}
		if len(s.tags) == s.most {
			break
		}
		s.grow()
	}
	from, to := s.row(of)
	for i := from; i < to; i++ {
		if day-s.places[i].seen >= staleAfter {
			s.clear(i)
			return i
		}
	}
	return -1
}

func (s *stripe) free(of tag) int {
	from, to := s.row(of)
	for i := from; i < to; i++ {
		if s.tags[i] == (tag{}) {
			return i
		}
	}
	return -1
}

// grow doubles the places. What finds no free place in its new row is dropped.
func (s *stripe) grow() {
	tags, places := s.tags, s.places
	n := min(max(2*len(tags), 8*rowLen), s.most)
	s.tags, s.places, s.counts, s.at = make([]tag, n), make([]place, n), [3]int{}, 0
	for i, of := range tags {
		if places[i].state == empty {
			continue
		}
		if to := s.free(of); to >= 0 {
			s.tags[to], s.places[to] = of, places[i]
			s.counts[places[i].state]++
		}
	}
}
