package sim

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flood is a connection that only writes frames built beforehand: batches of
// the same requests whose tokens and stream numbers are written over.
type flood struct {
	tls     *tls.Conn
	in      *bufio.Reader
	first   []byte // one request that fills the header table
	request []byte // the others
	zeros   []byte // what a token starts with: 16 hex digits, written over
	sent    int    // since the connection is up
}

func newFlood(b *testing.B, roots *x509.CertPool, origin string, headers []hpack.HeaderField, token, body string) *flood {
	b.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(origin, "https://"), &tls.Config{RootCAs: roots, NextProtos: []string{"h2"},
		DynamicRecordSizingDisabled: true})
	if err != nil {
		b.Fatal(err)
	}
	f := &flood{tls: c, in: bufio.NewReaderSize(c, 1<<16), zeros: []byte(token[:16])}
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	build := func() []byte {
		block.Reset()
		for _, h := range headers {
			// What differs by push is written out, so that it can be written over.
			switch h.Name {
			case ":path":
				block.WriteString("\x04" + string(rune(len(h.Value))) + h.Value)
			case "apns-id":
				block.Write(appendHeader(nil, h.Name, h.Value))
			case "authorization":
				h.Sensitive = true // never indexed, as Apple asks
				encoder.WriteField(h)
			default:
				encoder.WriteField(h)
			}
		}
		frames := appendFrameHead(nil, block.Len(), frameHeaders, flagEndHeaders, 0)
		frames = append(frames, block.String()...)
		return append(appendFrameHead(frames, len(body), frameData, flagEndStream, 0), body...)
	}
	f.first = build()
	f.request = build()
	return f
}

// run sends n requests from number `from`, at most `window` unanswered.
func (f *flood) run(from, n, window int) error {
	if f.sent == 0 {
		if _, err := io.WriteString(f.tls, http2.ClientPreface+string(appendWindowUpdate(appendSettings(nil), 0, 1<<30))); err != nil {
			return err
		}
	}
	answered := make(chan int, 1<<16)
	failed := make(chan error, 1)
	go func() { failed <- f.answers(n, answered) }()
	sent, done := 0, 0
	batch := make([]byte, 0, window*len(f.request))
	for done < n {
		batch = batch[:0]
		template := f.request
		limit := min(window/2, n-sent, window-(sent-done))
		if f.sent == 0 {
			template, limit = f.first, 1 // alone: it opens the stream limit
		}
		for range limit {
			batch = f.append(batch, template, from+sent)
			sent++
		}
		if len(batch) > 0 {
			if _, err := f.tls.Write(batch); err != nil {
				return err
			}
		}
		select {
		case more, ok := <-answered:
			if !ok {
				return <-failed
			}
			done += more
		case err := <-failed:
			return err
		}
	}
	return nil
}

func (f *flood) append(batch, template []byte, number int) []byte {
	start := len(batch)
	batch = append(batch, template...)
	frame := batch[start:]
	digits := frame[bytes.Index(frame, f.zeros):][:16]
	for i, v := 15, number; v > 0; i, v = i-1, v>>4 {
		digits[i] = hexDigits[v&15]
	}
	stream := uint32(2*f.sent + 1)
	f.sent++
	binary.BigEndian.PutUint32(frame[5:], stream)
	length, _ := wholeFrame(frame)
	binary.BigEndian.PutUint32(frame[frameHead+length+5:], stream)
	return batch
}

// answers counts streams that ended, and refuses anything but good answers.
func (f *flood) answers(n int, answered chan<- int) error {
	in := f.in
	count := 0
	for total := 0; total < n; {
		head, err := in.Peek(frameHead)
		if err != nil {
			return err
		}
		length, _ := wholeFrame(head)
		kind, flags := head[3], head[4]
		frame, err := in.Peek(frameHead + length)
		if err != nil {
			return err
		}
		switch kind {
		case frameHeaders:
			if frame[frameHead] != 0x88 && string(frame[frameHead:frameHead+5]) != "\x08\x03201" {
				return fmt.Errorf("answer %q", frame)
			}
		case frameReset, frameGoAway:
			return fmt.Errorf("frame %q", frame)
		}
		if (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0 {
			total++
			count++
		}
		in.Discard(frameHead + length)
		if in.Buffered() < frameHead && count > 0 {
			answered <- count
			count = 0
		}
	}
	if count > 0 {
		answered <- count
	}
	return nil
}
