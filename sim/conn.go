package sim

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// readBuffer holds several frames of the greatest length.
	readBuffer = 64 << 10
	// maxRecord is what one read of TLS returns at most, RFC 8446 5.1.
	maxRecord = 16 << 10
	// flushAt is when answers leave although more can be read.
	flushAt = 16 << 10
)

// handler answers the requests of one connection, on its reader goroutine. An
// error ends the connection.
type handler interface{ serve(*request) error }

// conn is one HTTP/2 connection. Everything without a word about it belongs to
// the reader goroutine, which gathers all that there is to read, parses, answers
// in place, and writes the answers when it would wait for more.
type conn struct {
	server  *server
	handler handler
	pipe    *pipe
	tls     *tls.Conn
	decoder *decoder

	in       []byte
	from, to int
	greeted  bool  // the peer's preface was read
	wrong    error // why reading ended, when that is not the socket's doing
	records  writer

	block       []byte // header block waiting for CONTINUATION ...
	blockStream uint32 // ... of this stream; 0: none
	blockFlags  byte

	streams   map[uint32]*stream // not finished: body to come, answer lost or held back
	drains    map[uint32]bool    // finished by us while the body still comes
	last      uint32             // highest stream the peer opened
	goneAway  bool               // streams above highest are not processed
	highest   uint32             // last stream that a GOAWAY promised to process
	unflushed int                // answered, answer not written yet

	receive     int // what the peer may still send on the connection
	unreturned  int // consumed and not yet given back by WINDOW_UPDATE
	send        int // what we may still send
	sendInitial int // the same for a new stream
	waiting     []*stream
	farewell    *time.Timer // set by a GOAWAY

	typed   bool // the peer's table holds jsonType
	untaken bool // it is not to: the peer wants a smaller table ...
	smaller bool // ... which the next block tells that it has

	out    []byte
	lags   []lag
	later  later
	done   chan struct{} // closed when the connection has ended
	number uint64        // in the order of arrival
	asked  atomic.Uint32 // by other goroutines
	lagged atomic.Int32  // streams whose answers wait for their time

	enforced atomic.Uint32 // streams open at once, beyond which they are refused
	ready    atomic.Bool   // an option that changes streams applies to this connection
	mu       sync.Mutex    // guards writes, and the next fields
	unacked  []uint32      // stream limits in SETTINGS that the peer has not acknowledged
	mute     bool          // nothing is written any more
}

// stream is one that cannot be answered at once.
type stream struct {
	id      uint32
	request *request
	receive int
	ended   bool   // the peer sent END_STREAM
	send    int    // our flow-control window
	body    []byte // of the answer, not yet allowed to leave
	dead    bool
}

func (c *conn) open() int { return len(c.streams) + c.unflushed + int(c.lagged.Load()) }

// run reads until the connection ends; the error says why.
func (c *conn) run() error {
	c.writeNow(c.hello())
	for {
		if c.from == c.to {
			c.from, c.to = 0, 0
		} else if len(c.in)-c.to < maxRecord {
			if err := c.parse(true); err != nil {
				return err
			}
			c.to = copy(c.in, c.in[c.from:c.to])
			c.from = 0
		}
		n, err := c.tls.Read(c.in[c.to:])
		c.to += n
		if c.wrong != nil {
			return c.wrong
		}
		if err != nil {
			return errors.Join(c.parse(false), err)
		}
	}
}

// idle is called from within the read when there is nothing left to read. What
// was read so far is answered; the free end of the buffer is not touched.
func (c *conn) idle() error {
	if c.wrong = c.parse(false); c.wrong == nil {
		c.flush()
		c.wrong = c.obey()
	}
	return c.wrong
}

func (c *conn) hello() []byte {
	cfg := &c.server.settings
	limit := c.server.firstStreams()
	c.enforced.Store(limit)
	c.unacked = append(c.unacked, limit)
	b := appendSettings(nil, settingsStreams, limit, settingsWindow, uint32(cfg.streamWindow))
	c.receive = firstWindow
	if cfg.connWindow > firstWindow {
		b = appendWindowUpdate(b, 0, cfg.connWindow-firstWindow)
		c.receive = cfg.connWindow
	}
	return b
}

// parse handles every whole frame in the buffer. When more is under way, a
// request whose body is not there yet waits for it.
func (c *conn) parse(more bool) error {
	if !c.greeted {
		if c.to < len(clientHello) {
			return nil
		}
		if string(c.in[:len(clientHello)]) != clientHello {
			return codeProtocol
		}
		c.from, c.greeted = len(clientHello), true
	}
	for c.to-c.from >= frameHead {
		head := c.in[c.from:c.to]
		length, whole := wholeFrame(head)
		if length > maxFrame {
			return codeFrameSize
		}
		if !whole {
			break
		}
		kind, flags, id := head[3], head[4], binary.BigEndian.Uint32(head[5:])&maxWindow
		if more && kind == frameHeaders && flags&flagEndStream == 0 {
			if _, whole := wholeFrame(head[frameHead+length:]); !whole {
				break
			}
		}
		c.from += frameHead + length
		if err := c.frame(kind, flags, id, head[frameHead:frameHead+length:frameHead+length]); err != nil {
			return err
		}
	}
	if len(c.out) >= flushAt {
		c.flush()
	}
	return nil
}

func (c *conn) frame(kind, flags byte, id uint32, payload []byte) error {
	if c.blockStream != 0 && (kind != frameContinuation || id != c.blockStream) {
		return codeProtocol
	}
	switch kind {
	case frameHeaders:
		return c.onHeaders(flags, id, payload)
	case frameData:
		return c.onData(flags, id, payload)
	case frameContinuation:
		if c.blockStream == 0 {
			return codeProtocol
		}
		if c.block = append(c.block, payload...); len(c.block) > maxBlock {
			return codeProtocol
		}
		if flags&flagEndHeaders == 0 {
			return nil
		}
		id, c.blockStream = c.blockStream, 0
		return c.onBlock(c.blockFlags, id, c.block)
	case frameSettings:
		return c.onSettings(flags, id, payload)
	case frameWindowUpdate:
		return c.onWindowUpdate(id, payload)
	case framePing:
		if id != 0 {
			return codeProtocol
		}
		if len(payload) != 8 {
			return codeFrameSize
		}
		if flags&flagAck == 0 {
			c.out = append(appendFrameHead(c.out, 8, framePing, flagAck, 0), payload...)
		}
	case frameReset:
		if len(payload) != 4 {
			return codeFrameSize
		}
		if id == 0 || id > c.last {
			return codeProtocol
		}
		delete(c.drains, id)
		if s := c.streams[id]; s != nil {
			s.dead = true
			delete(c.streams, id)
		}
	case framePriority:
		if id == 0 {
			return codeProtocol
		}
		if len(payload) != 5 {
			c.reset(id, codeFrameSize)
		} else if binary.BigEndian.Uint32(payload)&maxWindow == id {
			c.reset(id, codeProtocol)
		}
	case framePushPromise:
		return codeProtocol
	case frameGoAway:
		if id != 0 {
			return codeProtocol
		}
	}
	return nil // other types are ignored, RFC 9113 4.1
}

// flush writes what the batch answered, and sets aside what leaves later.
func (c *conn) flush() {
	c.records.publish()
	for i := range c.lags {
		l := &c.lags[i]
		c.lagged.Add(l.streams)
		c.later.add(c, c.pipe.read, l)
	}
	c.lags = c.lags[:0]
	c.unflushed = 0
	if len(c.out) > 0 {
		c.writeNow(c.out)
		c.out = c.out[:0]
	}
}

// wait holds the reader up, and so the peer, unless the server stops.
func (c *conn) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.server.stopping:
	}
}

// writeNow may be called from any goroutine. A failed write ends the reader too.
func (c *conn) writeNow(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked(b)
}

func (c *conn) writeLocked(b []byte) {
	if c.mute {
		return
	}
	_, err := c.tls.Write(b)
	if err = errors.Join(err, c.pipe.send()); err != nil {
		c.pipe.end() // the reader sees it and reports
	}
}

// setStreams advertises another limit. A higher one holds at once; a lower one
// when the peer has acknowledged it (RFC 9113 5.1.2). Any goroutine.
func (c *conn) setStreams(limit uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit > c.enforced.Load() {
		c.enforced.Store(limit)
	}
	c.unacked = append(c.unacked, limit)
	c.writeLocked(appendSettings(nil, settingsStreams, limit))
}

func (c *conn) acknowledged() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unacked) == 0 {
		return codeProtocol
	}
	limit := c.unacked[0]
	c.unacked = c.unacked[1:]
	for _, pending := range c.unacked {
		limit = max(limit, pending)
	}
	c.enforced.Store(limit)
	return nil
}
