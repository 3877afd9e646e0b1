package bulk

import (
	"net"
	"sync"
)

// wire stands between TLS and the socket. crypto/tls writes and reads record by
// record, 16 KiB at most; wire gathers the records of one buffer of frames into
// one write, and takes many records with one read.
type wire struct {
	net.Conn
	in    []byte
	start int
	end   int

	mu       sync.Mutex // a key update is written by the reader's goroutine
	buffers  *shelf[buffer]
	out      *buffer // while it holds something
	gathered bool    // handshakes go out at once
}

// buffer is what one write sends. Connections share the few that are in use at
// a time, which stay in the processor's cache.
type buffer struct{ b []byte }

const (
	readSize = 64 << 10
	inSize   = 2*maxFrame + frameHeader // a record, behind the rest of a frame
)

func newWire(c net.Conn, buffers *shelf[buffer]) *wire {
	return &wire{Conn: c, in: make([]byte, readSize), buffers: buffers}
}

func (w *wire) Read(p []byte) (int, error) {
	if w.start == w.end {
		n, err := w.Conn.Read(w.in)
		if n == 0 {
			return 0, err
		}
		w.start, w.end = 0, n
	}
	n := copy(p, w.in[w.start:w.end])
	w.start += n
	return n, nil
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gathered {
		return w.Conn.Write(p)
	}
	if w.out == nil {
		w.out = w.buffers.get()
	}
	w.out.b = append(w.out.b, p...)
	return len(p), nil
}

// gather keeps writes back until flush from now on.
func (w *wire) gather() {
	w.mu.Lock()
	w.gathered = true
	w.mu.Unlock()
}

// flush writes all that was gathered with one call.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		return nil
	}
	_, err := w.Conn.Write(w.out.b)
	w.out.b = w.out.b[:0]
	w.buffers.put(w.out)
	w.out = nil
	return err
}
