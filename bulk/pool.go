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
	lacking  atomic.Int32 // connections that hold pushes for which they have no streams

	buffers shelf[buffer]
	jobs    shelf[job]
	rests   shelf[job] // parts that were cut off one

	ctx    context.Context // ends dials
	cancel context.CancelFunc
	look   chan struct{} // the keeper has to look
	ended  chan struct{} // the keeper has returned

	mu           sync.Mutex
	queue        queue
	conns        []*conn
	idle         []*conn // wait for a batch
	dials        int     // under way
	failures     int     // in a row
	failed       int     // so far
	failedAt     time.Time
	answeredThen uint64
	notYet       time.Time // no attempt before it
	lastErr      error
	used         bool // Min counts
	warming      bool // somebody waits for a first connection
	closed       bool
	open         int           // jobs without Done
	changed      chan struct{} // closed and replaced when the above changes
	waiting      int           // for that

	demand demand

	looked []*conn // the keeper's own
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
		dial: o.Dial, log: o.Log, buffers: shelf[buffer]{most: 8}, jobs: shelf[job]{most: 256}, rests: shelf[job]{most: 256}, look: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{}),
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
	if p.tls.ClientSessionCache == nil { // a connection that is opened again resumes
		p.tls.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
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
	j := p.jobs.get()
	j.start(w, p.epoch.Load())
	p.mu.Lock()
	if p.open++; p.open == 1 {
		p.wake() // the keeper looks more often while there is work
	}
	p.used = true
	if p.closed || j.n == 0 || j.n > 1 && p.refused.Load() {
		p.mu.Unlock()
		go p.giveUp([]*job{j}, provider.Unsent, provider.Detail{})
		return
	}
	p.queue.push(j)
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
	if p.queue.len() == 0 {
		if !slices.Contains(p.idle, c) {
			p.idle = append(p.idle, c)
		}
		return nil
	}
	return p.queue.pop()
}

// putBack returns jobs that a connection did not write to the head of the queue.
func (p *Pool) putBack(jobs []*job) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.giveUp(jobs, provider.Unsent, provider.Detail{})
		return
	}
	p.queue.pushFront(jobs)
	var ready []*conn
	for range jobs {
		if c := p.pick(); c != nil {
			ready = append(ready, c)
		}
	}
	p.mu.Unlock()
	for _, c := range ready {
		c.poke()
	}
	p.wake()
}

// giveUp settles jobs that no connection has.
func (p *Pool) giveUp(jobs []*job, r provider.Result, d provider.Detail) {
	for _, j := range jobs {
		if j.left > 0 {
			j.abandon(r, d)
		}
		p.completed(j)
	}
}

// completed calls Done with the last part of a Work.
func (p *Pool) completed(j *job) {
	whole := j.whole
	if whole.parts.Add(-1) > 0 {
		return
	}
	whole.gather(&p.rests)
	b := whole.Batch
	if p.refused.Load() && len(b.Results) == 1 && whole.epoch == p.epoch.Load() && b.Results[0] == provider.Accepted {
		p.refused.Store(false)
	}
	whole.forget()
	p.jobs.put(whole)
	b.Done(b)
	p.mu.Lock()
	p.open--
	p.tell()
	p.mu.Unlock()
}

// halt stops what was queued up to an epoch.
func (p *Pool) halt(epoch uint64) {
	if p.epoch.CompareAndSwap(epoch, epoch+1) {
		p.wake()
	}
}

// usable counts the connections that open new streams, and will for long. The
// lock is held.
func (p *Pool) usable() (n int) {
	for _, c := range p.conns {
		if !c.parting.Load() && !c.worn.Load() {
			n++
		}
	}
	return n
}

// tell wakes those who wait for a change. The lock is held.
func (p *Pool) tell() {
	if p.waiting > 0 {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// await waits for a change, or until ctx ends. The lock is held, but not
// meanwhile.
func (p *Pool) await(ctx context.Context) error {
	changed := p.changed
	p.waiting++
	p.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.waiting--
	return ctx.Err()
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
	defer p.mu.Unlock()
	p.used = true
	failed := p.failed
	for {
		switch {
		case p.closed:
			return provider.ErrClosed
		case p.usable() >= max(1, p.cfg.Min):
			return nil
		case p.failed > failed:
			return p.lastErr
		}
		p.warming = true
		p.wake()
		if p.await(ctx) != nil {
			return context.Cause(ctx)
		}
	}
}

// Accepted is how many pushes were accepted so far.
func (p *Pool) Accepted() uint64 { return p.accepted.Load() }

// Capacity is how many pushes may be under way: the streams of all
// connections, and a little more work at the rate measured.
func (p *Pool) Capacity() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	streams := 0
	for _, c := range p.conns {
		streams += int(c.open.Load())
	}
	if streams == 0 {
		return 1
	}
	return max(1, streams+int(p.demand.rate*p.cfg.Ahead.Seconds()))
}

// State tells how the pool stands.
func (p *Pool) State() provider.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := provider.State{Connections: len(p.conns), Latency: p.demand.latency}
	for _, c := range p.conns {
		s.UnderWay += int(c.busy.Load())
		if trip := time.Duration(c.trip.Load()); trip > 0 && (s.RoundTrip == 0 || trip < s.RoundTrip) {
			s.RoundTrip = trip
		}
	}
	return s
}

// Close stops new writes, waits for answers until ctx ends, and settles the
// rest. It returns when every Done was called and every goroutine has ended.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	queue := p.queue.takeAll()
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
	for !is() && p.await(ctx) == nil {
	}
}
