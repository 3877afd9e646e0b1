package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
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
	wireBuffer      = 64 << 10
)

func wireTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = tls.VersionTLS13
	c.DynamicRecordSizingDisabled = true
	return c
}

// serveWire answers each complete request of every connection until ctx ends.
func serveWire(ctx context.Context, listener net.Listener, config *tls.Config) error {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := tls.NewListener(listener, wireTLS(config)).Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go answerWire(conn)
	}
}

func answerWire(conn net.Conn) {
	defer conn.Close()
	in, out := make([]byte, wireBuffer), make([]byte, wireBuffer)
	for got := 0; ; {
		n, err := conn.Read(in)
		if err != nil {
			return
		}
		got += n
		for due := got / wireRequest * wireAnswer; due > 0; {
			part := min(due, len(out)/wireAnswer*wireAnswer)
			if _, err := conn.Write(out[:part]); err != nil {
				return
			}
			due -= part
		}
		got %= wireRequest
	}
}

// runWire sends n requests and waits for n answers.
func runWire(ctx context.Context, address string, config *tls.Config, n int) (time.Duration, error) {
	dialer := tls.Dialer{Config: wireTLS(config)}
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range wireConnections {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return 0, err
		}
		conns = append(conns, conn)
		if err := exchangeWire(conn, 1); err != nil { // warm: handshake done, buffers grown
			return 0, err
		}
	}
	begin := time.Now()
	errs := make(chan error, len(conns))
	for i, conn := range conns {
		share := n / len(conns)
		if i == 0 {
			share += n % len(conns)
		}
		go func() { errs <- exchangeWire(conn, share) }()
	}
	var failed error
	for range conns {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return time.Since(begin), failed
}

func exchangeWire(conn net.Conn, n int) error {
	var group sync.WaitGroup
	var writing error
	group.Go(func() {
		buffer := make([]byte, wireBuffer)
		for left := n * wireRequest; left > 0 && writing == nil; left -= len(buffer) {
			_, writing = conn.Write(buffer[:min(left, len(buffer))])
		}
	})
	_, reading := io.CopyN(io.Discard, conn, int64(n*wireAnswer))
	group.Wait()
	if writing != nil {
		return fmt.Errorf("writing: %w", writing)
	}
	return reading
}
