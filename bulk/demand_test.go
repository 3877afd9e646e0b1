package bulk

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin/provider"
)

// service is a push service that takes its time, over pipes and virtual time.
type service struct {
	streams     int
	latency     atomic.Int64 // of an answer, when it is not at its limit
	limit       atomic.Int64 // of its one worker for each; 0: it has many
	mu          sync.Mutex
	free        time.Time // when its one worker is free
	received    atomic.Int32
	underWay    atomic.Int32
	mostUnder   atomic.Int32
	connections atomic.Int32
	dials       atomic.Int32
	most        atomic.Int32
}

func (s *service) serve(_ int, p *peer) {
	s.dials.Add(1)
	s.most.Store(max(s.most.Load(), s.connections.Add(1)))
	defer s.connections.Add(-1)
	p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(s.streams)})
	var mu sync.Mutex // of the framer's writing side
	p.onPing = func() {
		mu.Lock()
		p.framer.WritePing(true, [8]byte([]byte(pingData)))
		mu.Unlock()
	}
	for {
		switch f := p.frame().(type) {
		case *http2.HeadersFrame:
			p.decoder.DecodeFull(f.HeaderBlockFragment())
		case *http2.DataFrame:
			stream, n := f.StreamID, len(f.Data())
			s.received.Add(1)
			s.mostUnder.Store(max(s.mostUnder.Load(), s.underWay.Add(1)))
			time.AfterFunc(s.wait(), func() {
				s.underWay.Add(-1)
				mu.Lock()
				p.framer.WriteWindowUpdate(0, uint32(n))
				p.ok(stream)
				mu.Unlock()
			})
		default:
			return
		}
	}
}

func (s *service) wait() time.Duration {
	limit := time.Duration(s.limit.Load())
	if limit == 0 {
		return time.Duration(s.latency.Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(limit)
	return s.free.Sub(now)
}

// feed sends perSecond pushes for so long, and no more than twice what the pool
// says it can have under way, as pace does. It returns how many were accepted.
func feed(t *testing.T, pool *Pool, perSecond int, d time.Duration) (sent int) {
	var open, done atomic.Int32
	const each = 10 * time.Millisecond
	for began := time.Now(); time.Since(began) < d; {
		<-time.After(each)
		n := min(int(float64(perSecond)*time.Since(began).Seconds())-sent, 2*pool.Capacity()-int(open.Load()))
		for ; n > 0; n -= 20 {
			b, _ := batch(min(n, 20), func(int) string { return "x" })
			b.Done = func(b *provider.Batch) {
				open.Add(int32(-len(b.Results)))
				for _, r := range b.Results {
					if r == accepted {
						done.Add(1)
					} else {
						t.Errorf("result %v", r)
					}
				}
			}
			open.Add(int32(len(b.Addresses)))
			sent += len(b.Addresses)
			submit(pool, b)
		}
	}
	for open.Load() > 0 {
		<-time.After(each)
	}
	return int(done.Load())
}

func demandConfig() Config {
	c := Default()
	c.Max, c.IdleTimeout = 60, 20*time.Second
	return c
}

// As many connections as Little's law asks for, and a tenth more; none of the
// rest are kept, and at the next peak they are opened at once.
func TestConnectionsFollowRateAndLatency(t *testing.T) {
	s := &service{streams: 10}
	s.latency.Store(int64(50 * time.Millisecond))
	piped(t, demandConfig(), s.serve, func(pool *Pool) {
		const rate, want = 2000, 11 // 2,000 a second x 0.05 s / 10 streams + 10 %
		feed(t, pool, rate, 90*time.Second)
		const burst = 3 // 20 pushes more at an instant, and a tenth
		if n := pool.State().Connections; n < want-1 || n > want+burst {
			t.Errorf("%d connections, want %d", n, want)
		}
		if l := pool.State().Latency; l < 50*time.Millisecond || l > 60*time.Millisecond {
			t.Errorf("latency %v", l)
		}
		<-time.After(time.Minute)
		if n := pool.State().Connections; n != 1 {
			t.Errorf("%d connections after a minute without work", n)
		}
		began := s.dials.Load()
		feed(t, pool, rate, 400*time.Millisecond)
		if n := s.dials.Load() - began; n < want-2 || n > 3*want { // step by step it would be 7 in that time
			t.Errorf("%d connections opened for the next peak, want %d", n, want)
		}
	})
}

// A pool that keeps nothing without work keeps what it opened for its work: one
// connection serves a trickle, and goes when it has long been idle.
func TestOneConnectionForATrickle(t *testing.T) {
	cfg := demandConfig()
	cfg.Min = 0
	s := &service{streams: 100}
	s.latency.Store(int64(time.Millisecond))
	piped(t, cfg, s.serve, func(pool *Pool) {
		if err := pool.Warm(context.Background()); err != nil {
			t.Fatal(err)
		}
		feed(t, pool, 50, 10*time.Second)
		if n := s.dials.Load(); n != 1 {
			t.Errorf("%d connections were opened", n)
		}
		<-time.After(time.Minute)
		if n := pool.State().Connections; n != 0 {
			t.Errorf("%d connections after a minute without work", n)
		}
		feed(t, pool, 50, time.Second)
		if n := s.dials.Load(); n != 2 {
			t.Errorf("%d connections were opened after that", n-1)
		}
	})
}

// Where answers come fast, as many connections are opened as are to be at once
// when their streams are used up, and no more.
func TestQuickConnections(t *testing.T) {
	for _, quick := range []int{1, 6} {
		s := &service{streams: 10}
		s.latency.Store(int64(time.Millisecond))
		cfg := demandConfig()
		cfg.Quick = quick
		piped(t, cfg, s.serve, func(pool *Pool) {
			feed(t, pool, 100, 5*time.Second)
			if n := s.dials.Load(); n != 1 {
				t.Errorf("%d connections opened for 100 pushes a second", n)
			}
			feed(t, pool, 20_000, 5*time.Second) // on 10 streams it is 10,000
			if n := int(s.dials.Load()); n != quick {
				t.Errorf("%d connections opened for 20,000 pushes a second, want %d", n, quick)
			}
		})
	}
}

// Answers that were quick a moment ago and are slow now wait for a processor:
// nothing is opened for them, unless they stay slow.
func TestQuickAnswersThatQueue(t *testing.T) {
	s := &service{streams: 10}
	s.latency.Store(int64(time.Millisecond))
	piped(t, demandConfig(), s.serve, func(pool *Pool) {
		feed(t, pool, 2000, time.Second)
		s.latency.Store(int64(50 * time.Millisecond))
		feed(t, pool, 2000, 8*time.Second)
		if n := s.dials.Load(); n != 1 {
			t.Errorf("%d connections opened for answers that queue", n)
		}
		feed(t, pool, 2000, 15*time.Second)
		if n := s.dials.Load(); n < 10 {
			t.Errorf("%d connections opened for answers that stay slow", n)
		}
	})
}

// A latency that jumps a hundredfold opens connections up to Max and no more,
// closes none on the way, has no more under way than their streams, sends nothing
// twice, and ends.
func TestLatencyThatJumps(t *testing.T) {
	s := &service{streams: 10}
	s.latency.Store(int64(5 * time.Millisecond))
	cfg := demandConfig()
	cfg.IdleTimeout = time.Minute
	piped(t, cfg, s.serve, func(pool *Pool) {
		const rate = 2000
		before := feed(t, pool, rate, 5*time.Second)
		calm := s.dials.Load()
		s.latency.Store(int64(500 * time.Millisecond))
		during := feed(t, pool, rate, 20*time.Second)
		if n := s.most.Load(); n != int32(cfg.Max) {
			t.Errorf("%d connections at most, want %d", n, cfg.Max)
		}
		if n := s.dials.Load(); n != s.most.Load() {
			t.Errorf("%d connections opened, %d at a time", n, s.most.Load())
		}
		s.latency.Store(int64(5 * time.Millisecond))
		if want := 20 * 2 * cfg.Max * s.streams * 9 / 10; during < want { // twice a second each stream
			t.Errorf("%d pushes in 20 s, want %d", during, want)
		}
		after := feed(t, pool, rate, 5*time.Second)
		if after < before*99/100 {
			t.Errorf("%d pushes in 5 s after it, %d before", after, before)
		}
		if got, want := int(s.received.Load()), before+during+after; got != want {
			t.Errorf("%d received, %d sent", got, want)
		}
		if n := int(s.mostUnder.Load()); n > cfg.Max*s.streams {
			t.Errorf("%d under way", n)
		}
		<-time.After(3 * time.Minute)
		if n := pool.State().Connections; n != 1 || calm > 4 {
			t.Errorf("%d connections in the end, %d in the beginning", n, calm)
		}
	})
}

// More connections do not make a service faster that is at its limit: the pool
// finds out, and does not go on.
func TestServiceAtItsLimit(t *testing.T) {
	s := &service{streams: 10}
	s.limit.Store(int64(2 * time.Millisecond))
	piped(t, demandConfig(), s.serve, func(pool *Pool) {
		if n := feed(t, pool, 2000, 30*time.Second); n < 15_000 {
			t.Errorf("%d pushes in 30 s at 500 a second", n)
		}
		if n := s.dials.Load(); n > 8 {
			t.Errorf("%d connections opened", n)
		}
	})
}

// What was found out at one limit does not hold where another one is in force:
// a service at its limit begins to answer late, though it has little to do.
func TestLatencyAfterALimit(t *testing.T) {
	s := &service{streams: 10}
	s.limit.Store(int64(2 * time.Millisecond))
	piped(t, demandConfig(), s.serve, func(pool *Pool) {
		feed(t, pool, 2000, 30*time.Second) // the next step would be a small one, after many seconds
		few := s.dials.Load()
		s.latency.Store(int64(500 * time.Millisecond))
		s.limit.Store(0)
		if n := feed(t, pool, 2000, 6*time.Second); n < 3000 {
			t.Errorf("%d pushes in 6 s; %d connections before it, %d then", n, few, s.dials.Load())
		}
	})
}

// Attempts that fail while others work are put off ever longer.
func TestFurtherConnectionsRefused(t *testing.T) {
	s := &service{streams: 10}
	s.latency.Store(int64(50 * time.Millisecond))
	piped(t, demandConfig(), func(n int, p *peer) {
		if n == 0 {
			s.serve(n, p)
			return
		}
		s.dials.Add(1)
		p.conn.Close()
	}, func(pool *Pool) {
		if n := feed(t, pool, 1000, time.Minute); n < 11_000 {
			t.Errorf("%d pushes in a minute", n)
		}
		if n := s.dials.Load(); n > 40 {
			t.Errorf("%d attempts in a minute", n)
		}
		if err := pool.Warm(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
