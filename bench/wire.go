package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The wire run is the ceiling: the bytes of a push and of its answer over TLS
// 1.3 with AES-128-GCM on a few connections, in large writes, with no HTTP in
// them. Whatever a sender does, it does on top of this.
const (
	wireRequest     = 330 // bytes of one push on the wire before TLS
	wireAnswer      = 56
	wireConnections = 4
	wireBuffer      = 256 << 10
	wirePushes      = 4_000_000 // about a second
)

// wireServer is the child that answers.
type wireServer struct {
	*child
	address string
	tls     *tls.Config
}

func startWireServer(ctx context.Context, dir string) (*wireServer, error) {
	var ready wireReady
	c, err := startPart(ctx, dir, partWire, nil, &ready)
	if err != nil {
		return nil, err
	}
	return &wireServer{c, ready.Address, ready.tls()}, nil
}

func measureWire(ctx context.Context, s *wireServer) (Side, error) {
	work, err := startWork(os.Getpid(), s.pid)
	if err != nil {
		return Side{}, err
	}
	taken, err := runWire(ctx, s.address, s.tls, wirePushes)
	if err != nil {
		return Side{}, err
	}
	return work.side(wirePushes, taken)
}

// wideConn moves many TLS records in one system call; crypto/tls alone makes
// one for each record of 16 KiB.
type wideConn struct {
	net.Conn
	in  *bufio.Reader
	out *bufio.Writer // nil during the handshake, when every record goes at once
}

func (c *wideConn) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c *wideConn) Write(b []byte) (int, error) {
	if c.out == nil {
		return c.Conn.Write(b)
	}
	return c.out.Write(b)
}

// wire is one connection after its handshake. One goroutine may write while
// another reads.
type wire struct {
	*tls.Conn
	under *wideConn
}

func newWire(ctx context.Context, socket net.Conn, config *tls.Config, side func(net.Conn, *tls.Config) *tls.Conn) (*wire, error) {
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	config.DynamicRecordSizingDisabled = true
	under := &wideConn{Conn: socket, in: bufio.NewReaderSize(socket, wireBuffer)}
	w := &wire{side(under, config), under}
	if err := w.HandshakeContext(ctx); err != nil {
		socket.Close()
		return nil, err
	}
	// The suites of TLS 1.3 cannot be chosen; with AES in hardware this is the first.
	if suite := w.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		socket.Close()
		return nil, fmt.Errorf("wire run needs AES-128-GCM, the machine prefers %s", tls.CipherSuiteName(suite))
	}
	under.out = bufio.NewWriterSize(socket, wireBuffer+wireBuffer/16)
	return w, nil
}

func (w *wire) send(b []byte) error {
	if _, err := w.Write(b); err != nil {
		return err
	}
	return w.under.out.Flush()
}

// serveWire answers each complete request of every connection until ctx ends.
func serveWire(ctx context.Context, listener net.Listener, config *tls.Config) error {
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		socket, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go answerWire(ctx, socket, config)
	}
}

// answerWire ends when its peer does, or when the peer sends no TLS.
func answerWire(ctx context.Context, socket net.Conn, config *tls.Config) {
	conn, err := newWire(ctx, socket, config, tls.Server)
	if err != nil {
		return
	}
	defer conn.Close()
	in, out := make([]byte, wireBuffer), make([]byte, wireBuffer)
	for got := 0; ; {
		n, err := conn.Read(in)
		if err != nil {
			return
		}
		got += n
		// Answers leave when nothing more has arrived, or when they fill a write.
		if full := len(out) / wireAnswer; got/wireRequest < full && conn.under.in.Buffered() > 0 {
			continue
		}
		for got >= wireRequest {
			part := min(got/wireRequest, len(out)/wireAnswer)
			if err := conn.send(out[:part*wireAnswer]); err != nil {
				return
			}
			got -= part * wireRequest
		}
	}
}

// runWire sends n requests and returns how long it took until n answers were
// here. Handshakes and the first exchange on each connection are not counted.
func runWire(ctx context.Context, address string, config *tls.Config, n int) (time.Duration, error) {
	var conns []*wire
	var dialer net.Dialer
	for range wireConnections {
		socket, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return 0, err
		}
		defer socket.Close()
		defer context.AfterFunc(ctx, func() { socket.Close() })()
		conn, err := newWire(ctx, socket, config, tls.Client)
		if err != nil {
			return 0, err
		}
		if err := exchangeWire(conn, 1); err != nil {
			return 0, err
		}
		conns = append(conns, conn)
	}
	begin := time.Now()
	errs := make([]error, len(conns))
	var group sync.WaitGroup
	for i, conn := range conns {
		share := n / len(conns)
		if i < n%len(conns) {
			share++
		}
		group.Go(func() { errs[i] = exchangeWire(conn, share) })
	}
	group.Wait()
	return time.Since(begin), errors.Join(errs...)
}

func exchangeWire(conn *wire, n int) error {
	written := make(chan error, 1)
	go func() {
		buffer := make([]byte, wireBuffer)
		for left := n * wireRequest; left > 0; left -= len(buffer) {
			if err := conn.send(buffer[:min(left, len(buffer))]); err != nil {
				conn.Close() // the reader waits for answers that will not come
				written <- err
				return
			}
		}
		written <- nil
	}()
	_, read := io.CopyN(io.Discard, conn, int64(n*wireAnswer))
	return errors.Join(<-written, read)
}
