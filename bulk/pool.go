package bulk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin/provider"
)

// Options is where a Pool leads and how it gets there.
type Options struct {
	Origin string                                                               // "https://host[:port]"
	TLS    *tls.Config                                                          // roots and client certificates; nil is the default. Not changed
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil: a net.Dialer
	Log    *slog.Logger
}

// Pool is a set of connections to one origin and the queue before them. All
// methods may be called at once.
type Pool struct {
	cfg       Config
	origin    string
	address   string // host:port
	authority string
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	tls       *tls.Config
	log       *slog.Logger

	epoch    atomic.Uint64 // rises when what is queued is halted
	refused  atomic.Bool   // the credential was: single pushes only, until one is accepted
	answered atomic.Uint64
	accepted atomic.Uint64

	ctx    context.Context // ends dials
	cancel context.CancelFunc
	look   chan struct{} // the keeper has to look
	ended  chan struct{} // the keeper has returned

	mu       sync.Mutex
	queue    []*job
	conns    []*conn
	idle     []*conn // wait for a batch
	dials    int     // under way
	failures int     // in a row
	notYet   time.Time
	lastErr  error
	used     bool // Min counts
	warming  bool // somebody waits for a first connection
	closed   bool
	open     int           // jobs without Done
	changed  chan struct{} // closed and replaced when the above changes

	rateAt  time.Time // measuring for Capacity
	rateOf  uint64
	perTick float64 // pushes a second
}

// New makes a pool; it connects when it is warmed or used.
func New(cfg Config, o Options) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	u, err := parseOrigin(o.Origin)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	authority := u.Host
	if port == "" || port == "443" {
		port = "443"
		authority = u.Hostname()
		if u.Host[0] == '[' {
			authority = "[" + authority + "]"
		}
	}
	p := &Pool{
		cfg: cfg, origin: o.Origin, authority: authority, address: net.JoinHostPort(u.Hostname(), port),
		dial: o.Dial, log: o.Log, look: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{}),
	}
	if p.dial == nil {
		p.dial = new(net.Dialer).DialContext
	}
	p.tls = new(tls.Config)
	if o.TLS != nil {
		p.tls = o.TLS.Clone()
	}
	if p.tls.ServerName == "" {
		p.tls.ServerName = u.Hostname()
	}
	p.tls.NextProtos = []string{"h2"}
	p.tls.MinVersion = max(p.tls.MinVersion, tls.VersionTLS12)
	p.tls.DynamicRecordSizingDisabled = true
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.keep()
	return p, nil
}

// CheckOrigin tells whether a text is an origin, https://host[:port].
func CheckOrigin(origin string) error {
	_, err := parseOrigin(origin)
	return err
}

func parseOrigin(origin string) (*url.URL, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("want an origin https://host[:port], have %.80q", origin)
	}
	return u, nil
}

// ErrProtocol: the origin speaks TLS and no HTTP/2.
var ErrProtocol = errors.New("bulk: the origin does not speak HTTP/2")

func (p *Pool) secure(ctx context.Context, w net.Conn) (net.Conn, error) {
	c := tls.Client(w, p.tls)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if c.ConnectionState().NegotiatedProtocol != "h2" {
		return nil, ErrProtocol
	}
	return c, nil
}

// Submit queues the work; Done of its batch comes once, never from this call.
// After a Fault only single pushes are taken, as probes, until one of them is
// accepted: batches that were on their way here then come back Unsent.
func (p *Pool) Submit(w Work) {
	j := newJob(w, p.epoch.Load())
	if j.n == 0 {
		j.left = 0
	}
	p.mu.Lock()
	p.open++
	p.used = true
	if p.closed || j.n == 0 || j.n > 1 && p.refused.Load() {
		p.mu.Unlock()
		go p.giveUp([]*job{j}, provider.Unsent, provider.Detail{})
		return
	}
	p.queue = append(p.queue, j)
	c := p.pick()
	p.mu.Unlock()
	if c != nil {
		c.poke()
	} else {
		p.wake()
	}
}

// pick takes the waiting connection with most room. The lock is held.
func (p *Pool) pick() *conn {
	best := -1
	for i, c := range p.idle {
		if best < 0 || c.room.Load() > p.idle[best].room.Load() {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	c := p.idle[best]
	p.idle = slices.Delete(p.idle, best, best+1)
	return c
}

// take gives the connection the next batch, or notes that it waits.
func (p *Pool) take(c *conn) *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.joined { // it shakes hands, or it is over
		return nil
	}
	if len(p.queue) == 0 {
		if !slices.Contains(p.idle, c) {
			p.idle = append(p.idle, c)
		}
		return nil
	}
	j := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return j
}

// putBack returns a batch of which nothing was written to the head of the queue.
func (p *Pool) putBack(j *job) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.giveUp([]*job{j}, provider.Unsent, provider.Detail{})
		return
	}
	p.queue = slices.Insert(p.queue, 0, j)
	c := p.pick()
	p.mu.Unlock()
	if c != nil {
		c.poke()
	}
	p.wake()
}

// giveUp settles whole jobs that no connection has.
func (p *Pool) giveUp(jobs []*job, r provider.Result, d provider.Detail) {
	for _, j := range jobs {
		if j.left > 0 {
			j.abandon(r, d)
		}
	}
	p.completed(jobs)
}

// completed calls Done.
func (p *Pool) completed(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	for _, j := range jobs {
		if p.refused.Load() && j.n == 1 && j.epoch == p.epoch.Load() && j.Batch.Results[0] == provider.Accepted {
			p.refused.Store(false)
		}
		j.Batch.Done(j.Batch)
	}
	p.mu.Lock()
	p.open -= len(jobs)
	p.tell()
	p.mu.Unlock()
}

// halt stops what was queued up to an epoch.
func (p *Pool) halt(epoch uint64) {
	if p.epoch.CompareAndSwap(epoch, epoch+1) {
		p.wake()
	}
}

// tell wakes those who wait for a change. The lock is held.
func (p *Pool) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Pool) wake() {
	select {
	case p.look <- struct{}{}:
	default:
	}
}

// Warm opens the least number of connections, at least one, and returns when
// TLS and SETTINGS are done on them, or with the error of a failed attempt.
func (p *Pool) Warm(ctx context.Context) error {
	p.mu.Lock()
	p.used = true
	failures := p.failures
	for {
		switch {
		case p.closed:
			p.mu.Unlock()
			return provider.ErrClosed
		case len(p.conns) >= max(1, p.cfg.Min):
			p.mu.Unlock()
			return nil
		case p.failures > failures:
			defer p.mu.Unlock()
			return p.lastErr
		}
		p.warming = true
		changed := p.changed
		p.mu.Unlock()
		p.wake()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p.mu.Lock()
	}
}

// Accepted is how many pushes were accepted so far.
func (p *Pool) Accepted() uint64 { return p.accepted.Load() }

// Capacity is how many pushes may be under way: the streams of all
// connections, and a little more work at the rate measured.
func (p *Pool) Capacity() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, answered := time.Now(), p.answered.Load()
	if passed := now.Sub(p.rateAt); passed >= 20*time.Millisecond {
		rate := float64(answered-p.rateOf) / passed.Seconds()
		p.perTick += (rate - p.perTick) / 2
		p.rateAt, p.rateOf = now, answered
	}
	streams := 0
	for _, c := range p.conns {
		streams += int(c.open.Load())
	}
	if streams == 0 {
		return 1
	}
	return max(1, streams+int(p.perTick*p.cfg.Ahead.Seconds()))
}

// Close stops new writes, waits for answers until ctx ends, and settles the
// rest. It returns when every Done was called and every goroutine has ended.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	queue := p.queue
	p.queue = nil
	conns := slices.Clone(p.conns)
	p.mu.Unlock()
	p.epoch.Add(1) // halts what connections have
	p.giveUp(queue, provider.Unsent, provider.Detail{})
	for _, c := range conns {
		c.poke()
	}
	p.until(ctx, func() bool { return p.open == 0 })
	p.cancel()
	p.mu.Lock()
	conns = slices.Clone(p.conns)
	p.mu.Unlock()
	for _, c := range conns {
		c.fail(errClosed)
	}
	p.until(context.Background(), func() bool { return p.open == 0 && p.dials == 0 && len(p.conns) == 0 })
	<-p.ended
	return nil
}

// until waits for a condition of what the lock guards.
func (p *Pool) until(ctx context.Context, is func() bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !is() {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if ctx.Err() != nil {
			return
		}
	}
}
