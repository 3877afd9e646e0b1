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

// verdict is what judge decided for one push.
type verdict struct {
	fault   Fault
	attempt uint8
	answer  *Answer // set when fault is Scripted
	delay   time.Duration
}

// judge draws what happens to a push that is well formed and authorised.
func (s *session) judge(token, send uint64) verdict {
	r := s.rules.Load()
	v := verdict{delay: time.Duration(r.Delay)}
	if s.trouble.refuse.take() {
		v.fault = Refused
		return v
	}
	if r.script != nil {
		if answers := r.script[token]; answers != nil {
			v.fault, v.attempt = Scripted, s.attempts.count(token, send)
			v.answer = &answers[min(int(v.attempt), len(answers))-1]
			if v.answer.Delay > 0 {
				v.delay = time.Duration(v.answer.Delay)
			}
			return v
		}
	}
	if !r.faulty {
		return v
	}
	switch v.fault = draw(&r.sums, s.seed, token); {
	case v.fault == NoFault, v.fault.lasting() && v.fault != Slow:
	case v.fault == Slow:
		v.delay = time.Duration(r.SlowDelay)
	default:
		if v.attempt = s.attempts.count(token, send); int(v.attempt) > r.Failures {
			v.fault = NoFault
		}
	}
	return v
}

// record appends to the ledger. It can be read once the batch is answered.
func (s *session) record(token, send uint64, id *[16]byte, status int, v verdict) {
	r := s.conn.records.next()
	r.At, r.Token, r.Send, r.ID = s.conn.pipe.nanos, token, send, *id
	r.Status, r.Attempt, r.Provider, r.Fault = uint16(status), v.attempt, s.provider, v.fault
}

// retryAfter is the header's seconds for an answer that has one; 0: none.
func (s *session) retryAfter(v verdict) int {
	if v.fault == Throttled || v.fault == Unavailable {
		return s.rules.Load().RetryAfter
	}
	return 0
}

// withhold carries out a fault that leaves the sender without an answer.
func (s *session) withhold(stream uint32, f Fault) error {
	c := s.conn
	switch f {
	case Lost, BlackHole:
		c.silent(stream)
	case Cut:
		c.flush() // the answers before it were under way already
		return errCut
	case Reset:
		c.out = appendReset(c.out, stream, codeInternal)
	case Refused:
		c.out = appendReset(c.out, stream, codeRefusedStream)
	}
	return nil
}

// admit counts a push on its connection; under a greatest rate it waits for its turn.
func (s *session) admit() {
	if s.pushes++; s.trouble.silence.take() {
		s.conn.asked.Or(askSilence)
	}
	if r := s.rules.Load(); r.MaxRate > 0 {
		wait := s.rate.reserve(time.Now(), time.Second/time.Duration(r.MaxRate), time.Millisecond)
		if wait > time.Millisecond {
			s.conn.flush()
			s.conn.wait(wait)
		}
	}
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
