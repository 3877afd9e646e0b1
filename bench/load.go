package main

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// offer is an open stream of requests: they arrive when they arrive, whether
// the server keeps up or not. A request that finds every connection busy waits,
// and that wait counts, because everything is measured from its arrival
// (otherwise a server that stalls would be asked less, and look well).
type offer struct {
	arrivals    []time.Duration // since the start, rising
	connections int             // kept alive, one request at a time on each
	dial        func(ctx context.Context) (net.Conn, error)
	request     func(b []byte, i int) []byte // appends the i-th
}

// shot is what became of one request.
type shot struct {
	answered   time.Duration // since the start, also when there was none
	status     int           // 0: no answer
	retryAfter bool
}

// poisson draws arrivals of a rate a second, as independent people make them,
// for so long. The draw is the same every time.
func poisson(rate float64, lasting time.Duration) (arrivals []time.Duration) {
	random := rand.New(rand.NewPCG(3, 4))
	for at := 0.0; ; {
		at += random.ExpFloat64() / rate
		if at >= lasting.Seconds() {
			return arrivals
		}
		arrivals = append(arrivals, time.Duration(at*1e9))
	}
}

// fire makes all requests and returns what became of each, and the instant
// from which their times count.
func (o *offer) fire(ctx context.Context) (shots []shot, start time.Time, err error) {
	guns := make([]*gun, o.connections)
	for i := range guns {
		guns[i] = &gun{offer: o}
		if err := guns[i].connect(ctx); err != nil {
			return nil, start, err
		}
		defer func() { guns[i].conn.Close() }()
	}
	shots = make([]shot, len(o.arrivals))
	var next atomic.Int64
	var group sync.WaitGroup
	start = time.Now()
	for _, g := range guns {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(shots); i = int(next.Add(1)) - 1 {
				if pause(ctx, o.arrivals[i]-time.Since(start)) != nil {
					return
				}
				g.shoot(ctx, i, &shots[i])
				shots[i].answered = time.Since(start)
			}
		})
	}
	group.Wait()
	return shots, start, ctx.Err()
}

// gun is one connection.
type gun struct {
	offer *offer
	conn  net.Conn
	in    *bufio.Reader
	out   []byte
}

func (g *gun) connect(ctx context.Context) error {
	conn, err := g.offer.dial(ctx)
	if err == nil {
		g.conn, g.in = conn, bufio.NewReader(conn)
	}
	return err
}

// shoot makes one request. After a failure, and when the server wants it, the
// connection is made anew; one that cannot be fails the requests after it.
func (g *gun) shoot(ctx context.Context, i int, s *shot) {
	g.out = g.offer.request(g.out[:0], i)
	closing := true
	if _, err := g.conn.Write(g.out); err == nil {
		if answer, err := http.ReadResponse(g.in, nil); err == nil {
			if _, err := io.Copy(io.Discard, answer.Body); err == nil {
				s.status, s.retryAfter, closing = answer.StatusCode, answer.Header.Get("Retry-After") != "", answer.Close
			}
		}
	}
	if closing {
		g.conn.Close()
		g.connect(ctx)
	}
}
