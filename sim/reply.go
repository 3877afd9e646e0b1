package sim

import (
	"encoding/binary"
	"time"
)

// reply answers a stream with a header block and perhaps a body, after a delay
// when there is one. Both are copied.
func (c *conn) reply(id uint32, delay time.Duration, block, body []byte) {
	room := len(body) <= min(c.send, c.sendInitial, maxFrame)
	b := &c.out
	if room {
		c.unflushed++
		if delay > 0 {
			l := c.lagOf(delay)
			l.streams++
			b = &l.frames
		}
	}
	flags := byte(flagEndHeaders)
	if len(body) == 0 {
		flags |= flagEndStream
	}
	if c.smaller && b == &c.out {
		c.smaller = false
		*b = append(appendFrameHead(*b, len(block)+1, frameHeaders, flags, id), 0x20) // RFC 7541 4.2: from now on it has no room
	} else {
		*b = appendFrameHead(*b, len(block), frameHeaders, flags, id)
	}
	*b = append(*b, block...)
	switch {
	case len(body) == 0:
	case room:
		c.send -= len(body)
		*b = append(appendFrameHead(*b, len(body), frameData, flagEndStream, id), body...)
	default: // the peer's windows decide when it leaves, not our delay
		s := &stream{id: id, ended: true, send: c.sendInitial, body: append([]byte(nil), body...)}
		c.streams[id] = s
		c.waiting = append(c.waiting, s)
		c.sendWaiting()
	}
}

// jsonType is the one header of answers that is put into the peer's table, as
// Google's servers do.
const jsonType = "application/json; charset=UTF-8"

// appendJSONType adds a content-type to the block of an answer that leaves after
// a delay. Those that are held back overtake others, and so keep off the table.
func (c *conn) appendJSONType(b []byte, delay time.Duration) []byte {
	switch {
	case delay > 0 || c.untaken:
		return appendHeader(b, "content-type", jsonType)
	case c.typed:
		return append(b, 0x80|62) // the newest entry, and the only one
	}
	c.typed = true
	return append(append(b, 0x40|31, byte(len(jsonType))), jsonType...) // 31: content-type
}

// sendWaiting writes as much of the waiting bodies as the windows allow.
func (c *conn) sendWaiting() {
	kept := c.waiting[:0]
	for _, s := range c.waiting {
		if s.dead {
			continue
		}
		for len(s.body) > 0 {
			n := min(len(s.body), s.send, c.send, maxFrame)
			if n <= 0 {
				break
			}
			flags := byte(0)
			if n == len(s.body) {
				flags = flagEndStream
			}
			c.out = append(appendFrameHead(c.out, n, frameData, flags, s.id), s.body[:n]...)
			s.body, s.send, c.send = s.body[n:], s.send-n, c.send-n
		}
		if len(s.body) > 0 {
			kept = append(kept, s)
		} else {
			delete(c.streams, s.id)
		}
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
}

func (c *conn) onSettings(flags byte, id uint32, payload []byte) error {
	if id != 0 {
		return codeProtocol
	}
	if flags&flagAck != 0 {
		if len(payload) != 0 {
			return codeFrameSize
		}
		return c.acknowledged()
	}
	if len(payload)%6 != 0 {
		return codeFrameSize
	}
	for ; len(payload) > 0; payload = payload[6:] {
		value := binary.BigEndian.Uint32(payload[2:])
		switch binary.BigEndian.Uint16(payload) {
		case settingsTable:
			if value < headerTableSize {
				c.typed, c.untaken, c.smaller = false, true, true
			}
		case settingsPush:
			if value > 1 {
				return codeProtocol
			}
		case settingsWindow:
			if value > maxWindow {
				return codeFlowControl
			}
			for _, s := range c.streams {
				if s.send += int(value) - c.sendInitial; s.send > maxWindow {
					return codeFlowControl
				}
			}
			c.sendInitial = int(value)
		case settingsFrameSize:
			if value < maxFrame || value > 1<<24-1 {
				return codeProtocol
			}
		}
	}
	c.out = appendFrameHead(c.out, 0, frameSettings, flagAck, 0)
	c.sendWaiting()
	return nil
}

func (c *conn) onWindowUpdate(id uint32, payload []byte) error {
	if len(payload) != 4 {
		return codeFrameSize
	}
	by := int(binary.BigEndian.Uint32(payload) & maxWindow)
	if id == 0 {
		if by == 0 {
			return codeProtocol
		}
		if c.send += by; c.send > maxWindow {
			return codeFlowControl
		}
		c.sendWaiting()
		return nil
	}
	if id > c.last {
		return codeProtocol
	}
	s := c.streams[id]
	if s == nil {
		return nil // answered already
	}
	if by == 0 {
		c.reset(id, codeProtocol)
	} else if s.send += by; s.send > maxWindow {
		c.reset(id, codeFlowControl)
	} else {
		c.sendWaiting()
	}
	return nil
}

// goAway says that no stream above this one will be processed, and why. The
// peer closes the connection when it has its answers.
func (c *conn) goAway(highest uint32, debug string) {
	c.goneAway, c.highest = true, highest
	c.farewell = time.AfterFunc(farewell, func() { c.pipe.Close() })
	c.out = appendGoAway(c.out, highest, codeNone, debug)
}
