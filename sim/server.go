package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	handshakeTimeout = 10 * time.Second
	// linger lets a peer read our GOAWAY before the socket is closed under it.
	linger = 200 * time.Millisecond
	// farewell is how long a peer may keep a connection after a GOAWAY.
	farewell = 5 * time.Second
)

// server accepts HTTP/2 connections on one listener.
type server struct {
	listener *net.TCPListener
	tls      *tls.Config
	settings settings
	open     func(*conn) handler
	rules    *atomic.Pointer[rules]
	totals   *totals
	log      *slog.Logger

	running  sync.WaitGroup // every goroutine of the server
	stopping chan struct{}
	mu       sync.Mutex
	conns    map[*conn]struct{}
	opened   uint64 // connections so far
	closed   bool
}

// settings are the flow-control windows that a server grants.
type settings struct{ streamWindow, connWindow int }

func newServer(l *net.TCPListener, t *tls.Config, granted settings, r *atomic.Pointer[rules], totals *totals, log *slog.Logger) *server {
	t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if r.Load().Network.NoHandshake {
			return nil, errHandshake
		}
		return nil, nil
	}
	return &server{listener: l, tls: t, settings: granted, rules: r, totals: totals, log: log,
		stopping: make(chan struct{}), conns: make(map[*conn]struct{})}
}

// firstStreams is the limit advertised on a new connection.
func (s *server) firstStreams() uint32 {
	r := s.rules.Load()
	if r.FirstStream > 0 {
		return uint32(r.FirstStream)
	}
	return uint32(r.Streams)
}

// start accepts until stop.
func (s *server) start() {
	s.running.Go(func() {
		for {
			socket, err := s.listener.AcceptTCP()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				s.log.Error("cannot accept", "error", err)
				select { // out of descriptors, most likely
				case <-time.After(10 * time.Millisecond):
				case <-s.stopping:
				}
				continue
			}
			s.running.Go(func() { s.connection(socket) })
		}
	})
}

func (s *server) connection(socket *net.TCPConn) {
	p, err := newPipe(socket)
	if err != nil {
		s.log.Error("cannot read a socket", "error", err)
		socket.Close()
		return
	}
	c := &conn{server: s, pipe: p, tls: tls.Server(p, s.tls), decoder: newDecoder(),
		in: make([]byte, readBuffer), streams: make(map[uint32]*stream), drains: make(map[uint32]bool),
		send: firstWindow, sendInitial: firstWindow, done: make(chan struct{})}
	c.handler = s.open(c)
	if !s.admit(c) {
		socket.Close()
		return
	}
	defer s.forget(c)
	defer close(c.done)
	defer c.records.end()
	defer socket.Close()

	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if err := c.tls.HandshakeContext(ctx); err != nil {
		s.totals.handshakes.Add(1)
		s.log.Debug("handshake failed", "error", err)
		return
	}
	s.totals.connections.Add(1)
	p.idle, p.drip, p.stopping = c.idle, func() int { return s.rules.Load().Network.Drip }, s.stopping
	err = c.run()
	if c.farewell != nil {
		c.farewell.Stop()
	}
	if why, ok := errors.AsType[code](err); ok && why != codeNone {
		s.totals.violations.Add(1)
		s.log.Warn("connection closed for an error of the peer", "error", err)
		c.out = appendGoAway(c.out, c.last, why, "")
	}
	switch {
	case errors.Is(err, errReset):
		socket.SetLinger(0)
		return
	case errors.Is(err, errCut):
		return
	}
	c.flush()
	c.mu.Lock()
	c.tls.CloseWrite()
	p.send()
	c.mu.Unlock()
	if !errors.Is(err, io.EOF) {
		socket.SetReadDeadline(time.Now().Add(linger))
		io.Copy(io.Discard, socket)
	}
}

// errCut ends a connection without a word, as a broken network does.
var errCut = errors.New("sim: connection cut")

// errHandshake makes TLS tell the peer of an internal error.
var errHandshake = errors.New("sim: handshake refused")

// errReset ends a connection with a TCP reset.
var errReset = errors.New("sim: connection reset")

func (s *server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	s.opened++
	c.number = s.opened
	return true
}

func (s *server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// live returns the connections that are open, in no order.
func (s *server) live() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}

// while runs f in a goroutine, unless the server has stopped.
func (s *server) while(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Go(f)
	}
}

// stop closes the listener and every connection, and waits for all goroutines.
func (s *server) stop() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	close(s.stopping)
	for c := range s.conns {
		c.pipe.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}
