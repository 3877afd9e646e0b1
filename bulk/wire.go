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
	out      []byte
	gathered bool // handshakes go out at once
}

const readSize = 64 << 10

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, in: make([]byte, readSize)}
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
	w.out = append(w.out, p...)
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
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.out)
	w.out = w.out[:0]
	return err
}
