package bulk

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// settings obeys what the peer announces, at the start or later (RFC 9113 6.5).
func (c *conn) settings(flags byte, stream uint32, b []byte) error {
	switch {
	case stream != 0:
		return violation{codeProtocol, "SETTINGS on a stream"}
	case flags&flagAck != 0:
		if len(b) != 0 {
			return violation{codeFrameSize, "SETTINGS ACK with a payload"}
		}
		return nil
	case len(b)%6 != 0:
		return violation{codeFrameSize, "SETTINGS of a wrong length"}
	}
	for ; len(b) > 0; b = b[6:] {
		value := binary.BigEndian.Uint32(b[2:])
		switch binary.BigEndian.Uint16(b) {
		case settingTableSize:
			// Two changes between two blocks may both matter (RFC 7541 4.2).
			c.tableLeast = min(c.tableLeast, int(min(value, tableSize)))
			c.tableLimit = int(min(value, tableSize))
		case settingStreams:
			c.streams = int(min(value, uint32(c.pool.cfg.Streams)))
		case settingInitialWindow:
			if value > maxWindow {
				return violation{codeFlowControl, "initial window too large"}
			}
			// It counts for open streams too, and may leave them below 0.
			if c.rest.window += int64(value) - c.streamOpen; c.rest.window > maxWindow && c.rest.body != nil {
				return violation{codeFlowControl, "window of a stream too large"}
			}
			c.streamOpen = int64(value)
		case settingEnablePush:
			if value != 0 { // it is not for a server to ask for
				return violation{codeProtocol, "a server that enables push"}
			}
		case settingFrameSize:
			if value < maxFrame || value > 1<<24-1 {
				return violation{codeProtocol, "frame size out of range"}
			}
			c.frameSize = int(value)
		}
	}
	c.ctrl = appendFrame(c.ctrl, 0, frameSettings, flagAck, 0)
	if !c.greeted {
		c.greeted = true
		if c.err == nil { // else fail has closed it
			close(c.settled)
		}
	}
	return nil
}

func (c *conn) ping(flags byte, stream uint32, b []byte, now time.Time) error {
	switch {
	case stream != 0:
		return violation{codeProtocol, "PING on a stream"}
	case len(b) != 8:
		return violation{codeFrameSize, "PING of a wrong length"}
	case flags&flagAck != 0:
		if c.pinging && !c.hasPing && string(b) == pingData {
			c.pinging = false
			c.trip.Store(max(1, int64(now.Sub(c.pinged))))
		}
		return nil
	}
	c.ctrl = append(appendFrame(c.ctrl, 8, framePing, flagAck, 0), b...)
	return nil
}

// goAway stops new streams; those above the last one that the peer names were
// not processed (RFC 9113 6.8). The others are still answered.
func (c *conn) goAway(stream uint32, b []byte) error {
	if stream != 0 {
		return violation{codeProtocol, "GOAWAY on a stream"}
	}
	if len(b) < 8 {
		return violation{codeFrameSize, "GOAWAY too short"}
	}
	last := binary.BigEndian.Uint32(b) & maxStream
	why := code(binary.BigEndian.Uint32(b[4:]))
	if c.leave == nil || why != codeNone {
		c.pool.log.Info("push service closes a connection", "origin", c.pool.origin, "code", uint32(why), "reason", Word(string(b[8:])))
	}
	c.drain(errAway)
	c.blamed = c.blamed || why != codeNone
	for i := range c.runs.list {
		x := &c.runs.list[i]
		for k := range x.n {
			if s := x.first + 2*uint32(k); s > last && x.left > 0 {
				c.settle(x, s, provider.Unprocessed, provider.Detail{Reason: tocsin.ReasonNotProcessed})
			}
		}
	}
	return nil
}

func (c *conn) windowUpdate(stream uint32, b []byte) error {
	if len(b) != 4 {
		return violation{codeFrameSize, "WINDOW_UPDATE of a wrong length"}
	}
	increment := int64(binary.BigEndian.Uint32(b) & maxWindow)
	if stream == 0 {
		switch c.window += increment; {
		case increment == 0:
			return violation{codeProtocol, "window moved by nothing"}
		case c.window > maxWindow:
			return violation{codeFlowControl, fmt.Sprintf("window moved by %d", increment)}
		}
		return nil
	}
	if err := c.mine(stream); err != nil {
		return err
	}
	if c.rest.job == nil || c.rest.stream != stream {
		return nil // its body has left
	}
	why := codeNone
	switch c.rest.window += increment; {
	case increment == 0:
		why = codeProtocol
	case c.rest.window > maxWindow:
		why = codeFlowControl
	}
	if x := c.runs.find(stream); why != codeNone && x != nil {
		c.cancel(stream, why)
		c.settle(x, stream, provider.Lost, provider.Detail{Reason: tocsin.ReasonUnanswered})
	}
	return nil
}
