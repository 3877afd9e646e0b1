package sim

import (
	"net"
	"sync"
	"time"
)

const (
	pipeBuffer = 256 << 10
	// writeTimeout bounds how long a peer that does not read can hold a connection.
	writeTimeout = 30 * time.Second
)

// pipe stands between TLS and the socket so that a system call carries many
// TLS records: crypto/tls alone makes one for each record of 16 KiB.
type pipe struct {
	net.Conn
	idle func() // called when Read is about to wait
	read time.Time
	in   []byte
	from int
	to   int

	mu  sync.Mutex
	out []byte
}

func newPipe(c net.Conn) *pipe {
	return &pipe{Conn: c, in: make([]byte, pipeBuffer), idle: func() {}}
}

// Read is called by TLS, on the connection's reader alone.
func (p *pipe) Read(b []byte) (int, error) {
	if p.from == p.to {
		p.idle()
		if err := p.send(); err != nil {
			return 0, err
		}
		n, err := p.Conn.Read(p.in)
		p.read = time.Now()
		p.from, p.to = 0, n
		if n == 0 {
			return 0, err
		}
	}
	n := copy(b, p.in[p.from:p.to])
	p.from += n
	return n, nil
}

// Write keeps bytes until send, or until there are many.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b...)
	if len(p.out) >= pipeBuffer {
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
	if err := p.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := p.Conn.Write(p.out)
	p.out = p.out[:0]
	return err
}
