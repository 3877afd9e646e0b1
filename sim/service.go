package sim

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
)

// parseEvery is one in how many bodies of a connection is parsed as a whole.
const parseEvery = 256

// service is what the three simulated providers have in common.
type service struct {
	provider tocsin.Provider
	seed     uint64
	ledger   *Ledger
	names    *names
	rules    atomic.Pointer[rules]
	changing sync.Mutex // held by whoever puts other rules in force
	stopped  bool       // guarded by changing
	server   *server
	attempts attempts
	quotas   []*gate // of the provider's customers
	rate     gate
	trouble  trouble
	totals   totals
	log      *slog.Logger
}

// totals count over all connections since the start or a reset.
type totals struct {
	connections atomic.Int64
	violations  atomic.Int64 // connections ended for a protocol error of the peer
	refused     atomic.Int64 // streams above the advertised limit
	malformed   atomic.Int64 // bodies that a provider would not understand
	checked     atomic.Int64 // bodies decrypted or parsed as a whole
	stale       atomic.Int64 // pushes that came after their own expiration
	handshakes  atomic.Int64 // that failed
	goAways     atomic.Int64 // sent because a period was over
	resets      atomic.Int64 // connections reset likewise
	silent      atomic.Int64 // connections that went dead
}

// session is the part of a connection's state that all services share.
type session struct {
	*service
	conn    *conn
	pushes  int
	passed  uint64 // form of the requests whose headers passed ...
	under   *rules // ... under these rules ...
	until   int64  // ... before this moment
	tag     []byte // last send tag seen, and its hash
	tagHash uint64
	block   []byte // scratch for header blocks
	text    []byte // scratch for bodies
}

func (s *service) session(c *conn) session {
	c.records.ledger = s.ledger
	return session{service: s, conn: c, tagHash: Hash("")}
}

// passes reports whether a request with the same headers, but for its path and
// id, was found good before and is so still.
func (s *session) passes(r *request) bool {
	return r.form == s.passed && s.under == s.rules.Load() && s.conn.pipe.nanos < s.until
}

// pass says that the headers of r are good before a moment.
func (s *session) pass(r *request, until int64) {
	s.passed, s.under, s.until = r.form, s.rules.Load(), until
}

// sendOf hashes the tag of a send and remembers its text.
func (s *session) sendOf(tag []byte) uint64 {
	if string(tag) != string(s.tag) {
		s.tag = append(s.tag[:0], tag...)
		s.tagHash = Hash(tag)
		s.names.add(s.tagHash, tag)
	}
	return s.tagHash
}

// begin counts a push on its connection; under a greatest rate it waits for its
// turn. It is false for a push that was opened before a GOAWAY and whose body
// came after it.
func (s *session) begin(r *request) bool {
	c := s.conn
	if c.goneAway && r.stream > c.highest {
		return false
	}
	if s.pushes++; s.trouble.silence.take() {
		c.asked.Or(askSilence)
	}
	if most := s.rules.Load().MaxRate; most > 0 {
		wait := s.rate.reserve(time.Now(), time.Second/time.Duration(most), time.Millisecond)
		if wait > time.Millisecond {
			c.flush()
			c.wait(wait)
		}
	}
	return true
}

// depart sends a GOAWAY after every n-th push of a connection.
func (s *session) depart(stream uint32) {
	if r := s.rules.Load(); r.GoAwayEvery > 0 && s.pushes >= r.GoAwayEvery && !s.conn.goneAway {
		s.conn.goAway(stream, r.GoAwayDebug)
	}
}

// attempts counts how often a (token, send) was seen, for faulty tokens only.
type attempts struct {
	shards [64]struct {
		mu   sync.Mutex
		seen map[uint64]uint8
	}
}

func (a *attempts) count(token, send uint64) uint8 {
	key := mix(token ^ mix(send))
	s := &a.shards[key%64]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[uint64]uint8)
	}
	n := min(s.seen[key], 254) + 1
	s.seen[key] = n
	return n
}

func (a *attempts) reset() {
	for i := range a.shards {
		a.shards[i].mu.Lock()
		a.shards[i].seen = nil
		a.shards[i].mu.Unlock()
	}
}

// allowance is how often something may still happen.
type allowance struct{ n atomic.Int64 }

func (a *allowance) take() bool { return a.n.Load() > 0 && a.n.Add(-1) >= 0 }

// gate spaces events out over all connections: each takes an interval of
// virtual time, which may run ahead of the clock by the burst.
type gate struct{ next atomic.Int64 }

// reserve takes the next turn and tells how long to wait for it.
func (g *gate) reserve(now time.Time, interval, slack time.Duration) time.Duration {
	for {
		next := g.next.Load()
		turn := max(next, now.Add(-slack).UnixNano())
		if g.next.CompareAndSwap(next, turn+int64(interval)) {
			return time.Duration(turn - now.UnixNano())
		}
	}
}

// take takes a turn only when it is not further ahead than burst.
func (g *gate) take(now time.Time, interval, burst time.Duration) bool {
	for {
		next := g.next.Load()
		turn := max(next, now.UnixNano())
		if turn+int64(interval) > now.Add(burst).UnixNano() {
			return false
		}
		if g.next.CompareAndSwap(next, turn+int64(interval)) {
			return true
		}
	}
}
