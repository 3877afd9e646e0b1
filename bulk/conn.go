package bulk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// Why a connection ends though nothing failed. The first three are our own
// wish.
var (
	errIdle   = errors.New("bulk: connection not needed any more")
	errClosed = errors.New("bulk: pool closed")
	errWorn   = errors.New("bulk: no stream identifiers left")
	errAway   = errors.New("bulk: the peer asked to leave")
	errStuck  = errors.New("bulk: no answer was whole for long")
)

// conn is one connection: a writer, a reader, and what they share.
type conn struct {
	pool *Pool
	wire *wire
	net  net.Conn // TLS over wire; frames go here

	// The writer's own.
	enc        *encoder
	held       *buffer // while there is something to write
	buf        []byte  // its bytes
	control    int     // bytes of control frames that it begins with
	draft      draft
	scratch    []byte
	nextStream uint32

	// The reader's own.
	dec         *decoder
	in          []byte
	block       []byte // header block that CONTINUATION goes on with
	blockStream uint32
	blockFlags  byte
	blockCost   int // of its frames, however small

	exits atomic.Int32

	// Hints for the pool.
	busy    atomic.Int32 // streams in use
	room    atomic.Int32 // streams free now
	full    atomic.Bool  // had more to write than streams and windows let, lately
	lacks   atomic.Bool  // holds pushes for which it has no streams
	open    atomic.Int32 // streams allowed
	parting atomic.Bool  // takes no new streams for ever
	worn    atomic.Bool  // will run out of stream identifiers soon
	slow    atomic.Int64 // moving average of the nanoseconds to the last answer of a run
	least   atomic.Int64 // the shortest of them since it was looked at; 0: none
	trip    atomic.Int64 // nanoseconds of the last PING's round trip; 0: none yet

	// Guarded by the pool's lock: it is one of the pool's, it has ended.
	joined, dead bool

	mu      sync.Mutex
	wake    sync.Cond
	err     error // set once: the connection is over
	greeted bool  // the peer's first SETTINGS came
	leave   error // set once: no new streams, and over with the last answer
	poked   bool  // the pool may have a batch
	ctrl    []byte
	hasPing bool // ctrl has one

	job        *job          // set by the writer alone
	starves    *atomic.Int64 // the Ready that its job waits for
	streams    int           // allowed by the peer and by Config
	accepted   bool
	opened     uint32 // streams below were opened
	inflight   int
	runs       runs
	answers    map[uint32]*answer // answers other than 2xx that have not ended
	spare      []*answer          // ended, for the next ones
	window     int64              // what we may send on the connection
	streamOpen int64              // the peer's initial window of a stream
	frameSize  int
	tableLimit int
	tableLeast int // since the writer looked
	rest       rest
	received   uint32 // bytes of DATA not given back yet

	settled  chan struct{} // closed with the peer's first SETTINGS
	lastRead time.Time
	answered time.Time // when an answer was whole
	pinging  bool      // a PING is in ctrl, or has no answer
	pinged   time.Time // when the last one was written; zero: it was not
	writing  time.Time // start of the write under way, or zero
	since    time.Time
	served   bool
	taken    uint64 // accepted and not counted by the pool yet
	blamed   bool   // the peer left with an error
	bare     bool   // the writer waits, and has nothing to write
	offers   bool   // has streams for another one that lacks some
	done     *job   // and those beside it: handed over outside the lock
	back     []*job // for other connections, in order
}

// rest is the body that flow control cut: no other push is written before it.
type rest struct {
	job    *job
	index  int
	stream uint32
	body   []byte
	window int64 // of its stream
}

// answer is an answer other than 2xx, gathered until its stream ends.
type answer struct {
	Answer
}

// shake connects, shakes hands and waits for the peer's SETTINGS.
func (p *Pool) shake(ctx context.Context) (*conn, error) {
	raw, err := p.dial(ctx, "tcp", p.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := newConn(p, raw)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if c.net, err = p.secure(ctx, c.wire); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	c.wire.gather()
	c.ctrl = appendHello(c.ctrl)
	go c.read()
	go c.write()
	select {
	case <-c.settled:
	case <-ctx.Done():
		c.fail(fmt.Errorf("no SETTINGS: %w", context.Cause(ctx)))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c, c.err
}

func newConn(p *Pool, raw net.Conn) *conn {
	now := time.Now()
	c := &conn{
		pool: p, wire: newWire(raw, &p.buffers), nextStream: 1,
		enc: newEncoder(p.authority), dec: newDecoder(), in: make([]byte, 0, inSize),
		streams: p.cfg.Streams, answers: map[uint32]*answer{},
		window: initialWindow, streamOpen: initialWindow, frameSize: maxFrame, tableLimit: tableSize, tableLeast: tableSize,
		settled: make(chan struct{}), lastRead: now, answered: now, since: now, opened: 1,
	}
	c.wake.L = &c.mu
	return c
}

// fail ends the connection; the first reason stays.
func (c *conn) fail(err error) {
	c.mu.Lock()
	c.failLocked(err)
	c.mu.Unlock()
}

func (c *conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if !c.greeted {
		close(c.settled)
	}
	c.wire.Conn.Close()
	c.wake.Signal()
}

// left is called by the writer and by the reader as they end. The second one
// settles what the connection still owes.
func (c *conn) left() {
	if c.exits.Add(1) < 2 {
		return
	}
	c.mu.Lock()
	for i := range c.runs.list {
		x := &c.runs.list[i]
		for k := range x.n {
			c.unanswered(x, x.first+2*uint32(k))
		}
	}
	c.runs = runs{}
	c.lack(false)
	if j := c.job; j != nil {
		c.job = nil
		c.release(j)
	}
	c.rest = rest{}
	err := c.err
	c.unlockAndTell()
	c.pool.removed(c, err)
}

// unanswered settles a push whose stream will not end: by its status when that
// has come, since then the service has decided, and as Lost otherwise.
func (c *conn) unanswered(x *run, stream uint32) {
	if x.left == 0 { // its job may be over, and with another batch
		return
	}
	i := x.index(stream)
	if x.job.Batch.Results[i] != provider.Pending {
		return
	}
	if x.job.heard[i].status != 0 {
		c.judge(x, stream)
		return
	}
	c.settle(x, stream, provider.Lost, provider.Detail{Reason: tocsin.ReasonUnanswered})
}

// settle gives the push of a stream its result and frees the stream.
func (c *conn) settle(x *run, stream uint32, r provider.Result, d provider.Detail) {
	i := x.index(stream)
	if x.job.Batch.Results[i] != provider.Pending {
		return
	}
	x.job.settle(i, r, d)
	x.left--
	c.inflight--
	if r == provider.Accepted {
		c.served, c.accepted = true, true
		c.taken++
	}
	if c.rest.stream == stream && c.rest.body != nil {
		// Answered before its body was all sent: the rest is not wanted.
		c.cancel(stream, codeCancel)
	}
	c.finished(x.job)
}

// cancel resets a stream. The lock is held.
func (c *conn) cancel(stream uint32, why code) {
	c.ctrl = appendReset(c.ctrl, stream, why)
	if c.rest.stream == stream {
		c.rest.body = nil
	}
}

// drain lets the connection open no new streams, and end with its last answer.
// The pool sees to another one meanwhile. The lock is held.
func (c *conn) drain(why error) {
	if c.leave != nil {
		return
	}
	c.leave = why
	c.parting.Store(true)
	c.pool.wake()
}

// release takes a job off the connection. What no buffer holds of it goes to
// another one, unless it was stopped. The lock is held.
func (c *conn) release(j *job) {
	if c.halted(j) {
		j.abandon(provider.Unsent, provider.Detail{})
	} else {
		if j.next == j.from {
			c.back = append(c.back, j)
			return
		}
		c.back = append(c.back, j.cut(c.pool.rests.get()))
	}
	c.finished(j)
}

// finished hands a job over when nothing of it is open. The lock is held.
func (c *conn) finished(j *job) {
	if j.left == 0 {
		j.beside, c.done = c.done, j
	}
}

// unlockAndTell unlocks, then calls Done of the jobs that have ended and gives
// back those that another connection can serve.
func (c *conn) unlockAndTell() {
	done, back, offers := c.done, c.back, c.offers
	c.done, c.back, c.offers = nil, nil, false
	c.mu.Unlock()
	if offers {
		c.pool.relieve()
	}
	for j := done; j != nil; {
		next := j.beside
		c.pool.completed(j)
		j = next
	}
	if len(back) > 0 {
		c.pool.putBack(back)
	}
}

// judge settles a push by the final status of its answer.
func (c *conn) judge(x *run, stream uint32) {
	i := x.index(stream)
	status := x.job.heard[i].status
	if status >= 200 && status < 300 {
		c.settle(x, stream, provider.Accepted, provider.Detail{})
		return
	}
	c.served = true
	a := c.answers[stream]
	if a == nil {
		c.settle(x, stream, provider.Lost, provider.Detail{Reason: tocsin.ReasonUnanswered})
		return
	}
	delete(c.answers, stream)
	c.count()
	v := x.job.Pushes.Judge(i, &a.Answer)
	c.spare = append(c.spare, a)
	if v.Result == provider.Fault {
		c.pool.refused.Store(true)
	}
	if v.Halt || v.Result == provider.Fault {
		c.pool.halt(x.job.epoch)
	}
	if v.Reconnect {
		c.drain(errAway)
	}
	c.settle(x, stream, v.Result, v.Detail)
}

// count tells the pool how many pushes were accepted.
func (c *conn) count() {
	if c.taken > 0 {
		c.pool.accepted.Add(c.taken)
		c.taken = 0
	}
}

// halted reports whether nothing more of the job may be written.
func (c *conn) halted(j *job) bool {
	return j.Batch.Stop.Load() || j.epoch < c.pool.epoch.Load()
}

// allowed is how many streams may be open at once.
func (c *conn) allowed() int {
	if c.pool.cfg.OneUntilAccepted && !c.accepted {
		return min(1, c.streams)
	}
	return c.streams
}

// hint publishes room and allowed for the pool.
func (c *conn) hint() {
	allowed := c.allowed()
	if c.leave != nil || c.err != nil {
		allowed = 0
	}
	c.busy.Store(int32(c.inflight))
	c.open.Store(int32(allowed))
	room := max(0, allowed-c.inflight)
	c.room.Store(int32(room))
	c.offers = c.bare && worthwhile(room, allowed) && c.pool.lacking.Load() > 0
}

// poke makes the writer ask the pool for a batch.
func (c *conn) poke() {
	c.mu.Lock()
	c.poked = true
	c.wake.Signal()
	c.mu.Unlock()
}
