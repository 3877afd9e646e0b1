package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// serve answers every request of one connection with 202, after what wait says
// of its number, in the path.
func serve(conn net.Conn, wait func(i int) time.Duration) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		i, _ := strconv.Atoi(r.URL.Path[1:])
		time.Sleep(wait(i))
		if _, err := io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			return
		}
	}
}

// A server that stalls is asked no less for it, and those that arrived
// meanwhile are measured from their arrival.
func TestStallsAreNotOmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrivals := make([]time.Duration, 1000)
		for i := range arrivals {
			arrivals[i] = time.Duration(i) * time.Millisecond
		}
		const stall = 500 * time.Millisecond
		o := &offer{arrivals: arrivals, connections: 2,
			dial: func(context.Context) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go serve(theirs, func(i int) time.Duration {
					if i == 100 || i == 101 { // both connections
						return stall
					}
					return 0
				})
				return ours, nil
			},
			request: func(b []byte, i int) []byte { return fmt.Appendf(b, "POST /%d HTTP/1.1\r\nHost: x\r\n\r\n", i) }}
		shots, _, err := o.fire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var late []float64
		for i, s := range shots {
			if s.status != http.StatusAccepted {
				t.Fatalf("request %d: status %d", i, s.status)
			}
			late = append(late, (s.answered-arrivals[i]).Seconds()*1000)
		}
		// Arrival 102 waits until the stalls end, 498 ms; so does every later one
		// up to the end of the stalls, ever less: about half of them in all.
		if late[99] != 0 || late[102] != 498 || late[300] != 300 || late[700] != 0 {
			t.Errorf("late by %v, %v, %v, %v ms", late[99], late[102], late[300], late[700])
		}
		slices.Sort(late)
		if p := percentile(late, 0.75); p < 200 || p > 300 {
			t.Errorf("the third quarter is %v ms: the stall was omitted", p)
		}
	})
}

// A connection that breaks fails its own request alone.
func TestBrokenConnectionIsMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		o := &offer{arrivals: make([]time.Duration, 5), connections: 1,
			dial: func(context.Context) (net.Conn, error) {
				dials++
				ours, theirs := net.Pipe()
				if dials == 1 {
					theirs.Close()
				} else {
					go serve(theirs, func(int) time.Duration { return 0 })
				}
				return ours, nil
			},
			request: func(b []byte, i int) []byte { return fmt.Appendf(b, "POST /%d HTTP/1.1\r\nHost: x\r\n\r\n", i) }}
		shots, _, err := o.fire(t.Context())
		if err != nil || dials != 2 || shots[0].status != 0 || shots[1].status != 202 || shots[4].status != 202 {
			t.Errorf("%v; %d dials; %v", err, dials, shots)
		}
	})
}

func TestPoissonArrivals(t *testing.T) {
	arrivals := poisson(5000, 20*time.Second)
	if !slices.IsSorted(arrivals) || arrivals[len(arrivals)-1] >= 20*time.Second {
		t.Error("arrivals are out of order, or too late")
	}
	if n := float64(len(arrivals)); math.Abs(n-100_000) > 4*math.Sqrt(100_000) {
		t.Errorf("%v arrivals in 20 s at 5,000 a second", n)
	}
	if !slices.Equal(arrivals, poisson(5000, 20*time.Second)) {
		t.Error("another draw")
	}
}
