package bulk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// violation is what the peer did against the protocol. It ends the connection.
type violation struct {
	code code
	what string
}

func (v violation) Error() string { return "bulk: peer broke HTTP/2: " + v.what }

// read is the reader: it parses what comes in place until the connection is
// over.
func (c *conn) read() {
	defer c.left()
	for {
		if len(c.in) == cap(c.in) {
			c.part(violation{codeFrameSize, "frame beyond our limit"})
			return
		}
		n, err := c.net.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		if n > 0 {
			if wrong := c.take(); wrong != nil {
				c.part(wrong)
				return
			}
		}
		if err != nil {
			c.fail(fmt.Errorf("read: %w", err))
			return
		}
	}
}

// take parses the whole frames that are there and keeps the rest.
func (c *conn) take() error {
	now := time.Now()
	c.mu.Lock()
	defer c.unlockAndTell()
	c.lastRead = now
	before := c.inflight
	b := c.in
	for len(b) >= frameHeader {
		length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if length > maxFrame {
			return violation{codeFrameSize, "frame beyond our limit"}
		}
		if len(b) < frameHeader+length {
			break
		}
		stream := binary.BigEndian.Uint32(b[5:]) & maxStream
		if err := c.frame(b[3], b[4], stream, b[frameHeader:frameHeader+length], now); err != nil {
			return err
		}
		b = b[frameHeader+length:]
	}
	c.in = c.in[:copy(c.in[:cap(c.in)], b)]
	if len(c.ctrl) > 1<<16 {
		return violation{codeCalm, "too many frames that want an answer"}
	}
	if n := before - c.inflight; n > 0 {
		c.pool.answered.Add(uint64(n))
		c.answered = now
	}
	c.count()
	c.hint()
	c.wake.Signal()
	return nil
}

func (c *conn) frame(kind, flags byte, stream uint32, b []byte, now time.Time) error {
	if c.blockStream != 0 && (kind != frameContinuation || stream != c.blockStream) {
		return violation{codeProtocol, "header block interrupted"}
	}
	if !c.greeted && (kind != frameSettings || flags&flagAck != 0) {
		return violation{codeProtocol, "first frame is not SETTINGS"}
	}
	switch kind {
	case frameHeaders:
		return c.headers(flags, stream, b, now)
	case frameData:
		return c.data(flags, stream, b, now)
	case frameContinuation:
		if c.blockStream == 0 {
			return violation{codeProtocol, "CONTINUATION without HEADERS"}
		}
		c.block = append(c.block, b...)
		if c.blockCost += frameHeader + len(b); c.blockCost > 1<<16 {
			return violation{codeCalm, "header block too long"}
		}
		if flags&flagEndHeaders == 0 {
			return nil
		}
		stream, c.blockStream = c.blockStream, 0
		return c.answer(stream, c.blockFlags, c.block, now)
	case frameReset:
		return c.reset(stream, b)
	case frameSettings:
		return c.settings(flags, stream, b)
	case framePing:
		return c.ping(flags, stream, b, now)
	case frameGoAway:
		return c.goAway(stream, b)
	case frameWindowUpdate:
		return c.windowUpdate(stream, b)
	case framePushPromise:
		return violation{codeProtocol, "PUSH_PROMISE though push is off"}
	}
	return nil // PRIORITY and frames unknown to us (RFC 9113 4.1)
}

// mine reports whether the stream is one that we have opened.
func (c *conn) mine(stream uint32) error {
	if stream&1 == 0 || stream >= c.opened {
		return violation{codeProtocol, "frame on a stream that was not opened"}
	}
	return nil
}

// unpad takes off padding (RFC 9113 6.1).
func unpad(flags byte, b []byte) ([]byte, error) {
	if flags&flagPadded == 0 {
		return b, nil
	}
	if len(b) == 0 || int(b[0]) >= len(b) {
		return nil, violation{codeProtocol, "padding beyond the frame"}
	}
	return b[1 : len(b)-int(b[0])], nil
}

func (c *conn) headers(flags byte, stream uint32, b []byte, now time.Time) error {
	if err := c.mine(stream); err != nil {
		return err
	}
	if flags&(flagPadded|flagPriority) != 0 {
		var err error
		if b, err = unpad(flags, b); err != nil {
			return err
		}
		if flags&flagPriority != 0 {
			if len(b) < 5 {
				return violation{codeFrameSize, "HEADERS too short"}
			}
			b = b[5:]
		}
	}
	if flags&flagEndHeaders == 0 {
		c.block = append(c.block[:0], b...)
		c.blockStream, c.blockFlags, c.blockCost = stream, flags, len(b)
		return nil
	}
	return c.answer(stream, flags, b, now)
}

// answer takes a whole header block: of an informational answer, of the final
// one, or trailers.
func (c *conn) answer(stream uint32, flags byte, block []byte, now time.Time) error {
	if err := c.dec.decode(block); err != nil {
		return violation{codeCompression, err.Error()}
	}
	x := c.runs.find(stream)
	if x == nil {
		return nil // settled before: late, or reset by us
	}
	i := x.index(stream)
	if x.job.Batch.Results[i] != provider.Pending {
		return nil
	}
	status := c.dec.status
	end := flags&flagEndStream != 0
	switch {
	case x.job.heard[i].status != 0: // trailers, which end the stream
		if !end {
			c.cancel(stream, codeProtocol)
			c.unanswered(x, stream)
			return nil
		}
	case status >= 100 && status < 200 && !end:
		return nil
	case status < 200 || status > 999:
		c.cancel(stream, codeProtocol)
		c.settle(x, stream, provider.Lost, provider.Detail{Reason: tocsin.ReasonUnanswered, Text: "malformed answer"})
		return nil
	default:
		x.job.heard[i].status = uint16(status)
		if status >= 300 {
			c.begin(stream, status, now)
		}
	}
	if end {
		c.end(x, stream, now)
	}
	return nil
}

// begin keeps the head of an answer that has to be judged.
func (c *conn) begin(stream uint32, status int, now time.Time) {
	var a *answer
	if n := len(c.spare); n > 0 {
		a, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		a = new(answer)
	}
	a.Answer = Answer{Status: status, Body: a.Body[:0]}
	if len(c.dec.retry) > 0 {
		a.RetryAfter = parseRetryAfter(string(c.dec.retry), now)
	}
	if len(c.dec.note) > 0 {
		a.Note = string(c.dec.note)
	}
	c.answers[stream] = a
}

// end settles a push whose answer is whole.
func (c *conn) end(x *run, stream uint32, now time.Time) {
	c.judge(x, stream)
	if x.left == 0 {
		took, slow := max(1, int64(now.Sub(x.at))), c.slow.Load()
		if least := c.least.Load(); least == 0 || took < least {
			c.least.Store(took)
		}
		if slow > 0 {
			took = slow + (took-slow)/4
		}
		c.slow.Store(took)
	}
}

func (c *conn) data(flags byte, stream uint32, b []byte, now time.Time) error {
	if err := c.mine(stream); err != nil {
		return err
	}
	// Padding counts too, and so do frames of streams that we gave up.
	if c.received += uint32(len(b)); c.received > receiveWindow {
		return violation{codeFlowControl, "more DATA than allowed"}
	}
	if c.received > receiveWindow/2 {
		c.ctrl = appendWindowUpdate(c.ctrl, 0, c.received)
		c.received = 0
	}
	b, err := unpad(flags, b)
	if err != nil {
		return err
	}
	x := c.runs.find(stream)
	if x == nil {
		return nil
	}
	i := x.index(stream)
	if x.job.Batch.Results[i] != provider.Pending {
		return nil
	}
	heard := &x.job.heard[i]
	if heard.status == 0 {
		c.cancel(stream, codeProtocol)
		c.settle(x, stream, provider.Lost, provider.Detail{Reason: tocsin.ReasonUnanswered, Text: "malformed answer"})
		return nil
	}
	if a := c.answers[stream]; heard.status >= 300 && a != nil {
		a.Body = append(a.Body, b[:min(len(b), maxBody-len(a.Body))]...)
	}
	switch body := int(heard.body) + len(b); {
	case flags&flagEndStream != 0:
		c.end(x, stream, now)
	case body > maxHeard:
		// The status has decided. More of it would have to be let in by a
		// window, and nobody reads it.
		c.cancel(stream, codeCancel)
		c.end(x, stream, now)
	default:
		heard.body = uint16(body)
	}
	return nil
}

// Limits of an answer's body in bytes: what is kept of it, and what is heard
// out, less than the window of a stream.
const (
	maxBody  = 4 << 10
	maxHeard = 48 << 10
)

func (c *conn) reset(stream uint32, b []byte) error {
	if err := c.mine(stream); err != nil {
		return err
	}
	if len(b) != 4 {
		return violation{codeFrameSize, "RST_STREAM of a wrong length"}
	}
	x := c.runs.find(stream)
	if x == nil {
		return nil
	}
	if c.rest.stream == stream {
		c.rest.body = nil
	}
	if code(binary.BigEndian.Uint32(b)) == codeRefused && x.job.heard[x.index(stream)].status == 0 {
		c.settle(x, stream, provider.Unprocessed, provider.Detail{Reason: tocsin.ReasonNotProcessed})
		return nil
	}
	c.unanswered(x, stream)
	return nil
}

// part tells the peer why we leave, as far as that is possible at once, and
// ends the connection. Buffers hold whole frames, so that a frame may go
// between two of them from here.
func (c *conn) part(err error) {
	var v violation
	if errors.As(err, &v) {
		c.net.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if _, wrong := c.net.Write(appendGoAway(nil, v.code)); wrong == nil {
			c.wire.flush()
		}
	}
	c.fail(err)
}
