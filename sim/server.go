package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
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
	streams  func() uint32 // advertised on a new connection
	totals   *totals
	log      *slog.Logger

	running  sync.WaitGroup // every goroutine of the server
	stopping chan struct{}
	mu       sync.Mutex
	conns    map[*conn]struct{}
	closed   bool
}

// settings are the flow-control windows that a server grants.
type settings struct{ streamWindow, connWindow int }

func (s *server) firstStreams() uint32 { return s.streams() }

// start accepts until stop.
func (s *server) start() {
	s.conns, s.stopping = make(map[*conn]struct{}), make(chan struct{})
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
		s.log.Debug("handshake failed", "error", err)
		return
	}
	s.totals.connections.Add(1)
	p.idle = c.idle
	err = c.run()
	if c.farewell != nil {
		c.farewell.Stop()
	}
	if why, ok := errors.AsType[code](err); ok && why != codeNone {
		s.totals.violations.Add(1)
		s.log.Warn("connection closed for an error of the peer", "error", err)
		c.out = appendGoAway(c.out, c.last, why, "")
	}
	if errors.Is(err, errCut) {
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

func (s *server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// each calls f for every live connection.
func (s *server) each(f func(*conn)) {
	s.mu.Lock()
	live := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		live = append(live, c)
	}
	s.mu.Unlock()
	for _, c := range live {
		f(c)
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
