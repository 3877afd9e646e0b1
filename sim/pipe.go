package sim

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// outBuffer is how much is written at once, at most.
	outBuffer = 64 << 10
	// writeTimeout bounds how long a peer that does not read can hold a connection.
	writeTimeout = 30 * time.Second
)

// pipe stands between TLS and the socket. It tells when nothing is left to
// read, which is when answers are worth writing, and lets one system call carry
// many TLS records: crypto/tls alone makes one for each record of 16 KiB.
type pipe struct {
	*net.TCPConn
	raw   syscall.RawConn
	idle  func() error // called when Read is about to wait; an error ends it
	drip  func() int   // bytes a second, each way; 0: no limit
	read  time.Time    // when the last bytes came
	nanos int64        // the same as Unix nanoseconds

	step func(fd uintptr) bool // p.try, made once
	into []byte                // its argument and results
	n    int
	err  error

	stopping <-chan struct{} // ends a drip

	mu  sync.Mutex
	out []byte

	waking sync.Mutex
	ended  bool
}

func newPipe(c *net.TCPConn) (*pipe, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &pipe{TCPConn: c, raw: raw, idle: func() error { return nil }, drip: func() int { return 0 }}
	p.step = p.try
	return p, nil
}

// Read is called by TLS, on the connection's reader alone.
func (p *pipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if rate := p.drip(); rate > 0 {
		b = b[:min(len(b), p.drop(rate))]
	}
	p.into, p.n, p.err = b, 0, nil
	for {
		err := p.raw.Read(p.step)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !p.resume() {
			return 0, err
		}
	}
	p.into = nil
	if p.err != nil {
		return 0, p.err
	}
	if p.n == 0 {
		return 0, io.EOF
	}
	p.read = time.Now()
	p.nanos = p.read.UnixNano()
	return p.n, nil
}

// try reads what there is; false waits until there is something.
func (p *pipe) try(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), p.into)
		switch err {
		case nil:
			p.n = n
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			if p.err = p.idle(); p.err == nil {
				p.err = p.send()
			}
			return p.err != nil
		default:
			p.err = err
			return true
		}
	}
}

// end makes every further Read fail. Close would wait for the Read under way,
// which may be the caller.
func (p *pipe) end() {
	p.waking.Lock()
	defer p.waking.Unlock()
	p.ended = true
	p.SetReadDeadline(time.Unix(1, 0))
}

// wake has a Read that waits call idle. Any goroutine.
func (p *pipe) wake() {
	p.waking.Lock()
	defer p.waking.Unlock()
	p.SetReadDeadline(time.Unix(1, 0))
}

// resume reports whether reading goes on after wake.
func (p *pipe) resume() bool {
	p.waking.Lock()
	defer p.waking.Unlock()
	return !p.ended && p.SetReadDeadline(time.Time{}) == nil
}

// drop waits for the next drop of a drip and returns its size.
func (p *pipe) drop(rate int) int {
	const drops = 50 // a second
	select {
	case <-time.After(time.Second / drops):
	case <-p.stopping:
	}
	return rate / drops
}

// Write keeps bytes until send, or until there are many.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	if len(p.out) >= outBuffer {
		return len(b), p.sendLocked()
	}
	return len(b), nil
}

func (p *pipe) send() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sendLocked()
}

func (p *pipe) sendLocked() error {
	if len(p.out) == 0 {
		return nil
	}
	for left := p.out; len(left) > 0; {
		n := len(left)
		if rate := p.drip(); rate > 0 {
			n = min(n, p.drop(rate))
		}
		if err := p.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if _, err := p.TCPConn.Write(left[:n]); err != nil {
			p.out = p.out[:0]
			return err
		}
		left = left[n:]
	}
	p.out = p.out[:0]
	return nil
}
