package sim

import "encoding/binary"

// maxBody is the most that is kept of a request's body; it is above every
// provider's limit, so a longer one is answered before its end.
const maxBody = 8192

// maxDrains bounds how many early answered streams a connection remembers.
const maxDrains = 4096

func (c *conn) onHeaders(flags byte, id uint32, payload []byte) error {
	if id&1 == 0 {
		return codeProtocol
	}
	block, err := unpad(payload, frameHeaders, flags, id)
	if err != nil {
		return err
	}
	if flags&flagEndHeaders == 0 {
		c.block = append(c.block[:0], block...)
		c.blockStream, c.blockFlags = id, flags
		return nil
	}
	return c.onBlock(flags, id, block)
}

// onBlock takes a whole header block: a request, or the trailers of one.
func (c *conn) onBlock(flags byte, id uint32, block []byte) error {
	ended := flags&flagEndStream != 0
	r, err := c.decoder.decode(id, block)
	if err != nil {
		return codeCompression
	}
	if id <= c.last {
		s := c.streams[id]
		switch {
		case c.drains[id]:
			if ended {
				delete(c.drains, id)
			}
		case s == nil || s.ended:
			return codeStreamClosed
		case !ended:
			c.reset(id, codeProtocol) // trailers end a stream, RFC 9113 8.1
		default:
			return c.finish(s)
		}
		return nil
	}
	c.last = id
	switch {
	case c.goneAway && id > c.highest:
		c.drain(id, ended)
	case c.open() >= int(c.enforced.Load()):
		c.server.totals.refused.Add(1)
		c.out = appendReset(c.out, id, codeRefusedStream)
		c.drain(id, ended)
	case !r.complete():
		c.out = appendReset(c.out, id, codeProtocol)
		c.drain(id, ended)
	case ended:
		return c.answer(r)
	default:
		return c.body(r)
	}
	return nil
}

// body takes the body when it follows in one frame, which is how bulk senders
// write, and else keeps the request for onData.
func (c *conn) body(r *request) error {
	next := c.in[c.from:c.to]
	if length, whole := wholeFrame(next); whole && next[3] == frameData && next[4]&flagEndStream != 0 &&
		binary.BigEndian.Uint32(next[5:])&maxWindow == r.stream {
		if length <= min(maxBody, c.server.settings.streamWindow) {
			c.from += frameHead + length
			data, err := unpad(next[frameHead:frameHead+length], frameData, next[4], r.stream)
			if err == nil {
				err = c.received(length)
			}
			if err != nil {
				return err
			}
			r.body = data
			return c.answer(r)
		}
	}
	c.streams[r.stream] = &stream{id: r.stream, request: r.keep(), receive: c.server.settings.streamWindow, send: c.sendInitial}
	return nil
}

// drain lets the rest of a body that nobody wants come in. A peer that stops
// in its middle leaves an entry behind, so the oldest knowledge goes at a limit.
func (c *conn) drain(id uint32, ended bool) {
	if ended {
		return
	}
	if len(c.drains) >= maxDrains {
		clear(c.drains)
	}
	c.drains[id] = true
}

// received accounts a DATA payload against the connection's window.
func (c *conn) received(length int) error {
	if c.receive -= length; c.receive < 0 {
		return codeFlowControl
	}
	c.unreturned += length
	if c.unreturned >= c.server.settings.connWindow/2 {
		c.out = appendWindowUpdate(c.out, 0, c.unreturned)
		c.receive += c.unreturned
		c.unreturned = 0
	}
	return nil
}

func (c *conn) onData(flags byte, id uint32, payload []byte) error {
	data, err := unpad(payload, frameData, flags, id)
	if err != nil {
		return err
	}
	if id == 0 || id > c.last {
		return codeProtocol
	}
	if err := c.received(len(payload)); err != nil {
		return err
	}
	s, ended := c.streams[id], flags&flagEndStream != 0
	switch {
	case s == nil && !c.drains[id]:
		c.out = appendReset(c.out, id, codeStreamClosed)
		return nil
	case s == nil:
		if ended {
			delete(c.drains, id)
		} else if len(payload) > 0 {
			c.out = appendWindowUpdate(c.out, id, len(payload))
		}
		return nil
	case s.ended:
		c.reset(id, codeStreamClosed)
		return nil
	}
	if s.receive -= len(payload); s.receive < 0 {
		c.reset(id, codeFlowControl)
		return nil
	}
	s.request.body = append(s.request.body, data...)
	switch {
	case ended:
		return c.finish(s)
	case len(s.request.body) > maxBody:
		// Too long for any provider: answered now (RFC 9113 8.1).
		s.request.set &^= 1 << fieldContentLength
		delete(c.streams, id)
		c.drain(id, false)
		return c.answer(s.request)
	case len(payload) > 0:
		s.receive += len(payload)
		c.out = appendWindowUpdate(c.out, id, len(payload))
	}
	return nil
}

func (c *conn) finish(s *stream) error {
	delete(c.streams, s.id)
	return c.answer(s.request)
}

func (c *conn) answer(r *request) error {
	if !r.lengthFits() {
		c.out = appendReset(c.out, r.stream, codeProtocol)
		return nil
	}
	return c.handler.serve(r)
}

// reset ends a stream with an error.
func (c *conn) reset(id uint32, why code) {
	if s := c.streams[id]; s != nil {
		s.dead = true
		delete(c.streams, id)
	}
	c.out = appendReset(c.out, id, why)
}

// silent keeps a stream open that will never be answered; the peer's reset or
// the end of the connection frees it.
func (c *conn) silent(id uint32) { c.streams[id] = &stream{id: id, ended: true} }
