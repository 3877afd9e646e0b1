package bulk

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tocsin-push/tocsin/provider"
)

// peer is the server's end of one connection, moved frame by frame by a test.
type peer struct {
	t       testing.TB
	framer  *http2.Framer
	conn    *tls.Conn
	decoder *hpack.Decoder
	block   bytes.Buffer
	encoder *hpack.Encoder
	onAck   func() // called once, with the next acknowledgement of SETTINGS
	onPing  func() // called for each PING in place of an answer
}

type asked struct {
	stream uint32
	fields map[string]string
	body   string
	frames int // of DATA
}

// piped runs script for each connection that the pool opens, numbered from 0.
// The test runs in a bubble where time is faked.
func piped(t *testing.T, cfg Config, script func(n int, p *peer), test func(pool *Pool)) {
	synctest.Test(t, func(t *testing.T) {
		certificate, der := selfSigned()
		x, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(x)
		var peers sync.WaitGroup
		defer peers.Wait()
		var n atomic.Int32
		server := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
		dial := func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			k := int(n.Add(1)) - 1
			peers.Go(func() {
				defer far.Close()
				c := tls.Server(far, server)
				if c.Handshake() != nil {
					return
				}
				hello := make([]byte, len(preface))
				if _, err := io.ReadFull(c, hello); err != nil {
					return // given up
				}
				if string(hello) != preface {
					t.Errorf("preface %q", hello)
				}
				p := &peer{t: t, conn: c, framer: http2.NewFramer(c, c)}
				p.framer.AllowIllegalWrites = true
				p.decoder = hpack.NewDecoder(4096, nil)
				p.encoder = hpack.NewEncoder(&p.block)
				script(k, p)
				io.Copy(io.Discard, c) // until the client leaves
			})
			return near, nil
		}
		pool, err := New(cfg, Options{Origin: "https://example.com", TLS: &tls.Config{RootCAs: roots}, Dial: dial, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			pool.Close(ctx)
		}()
		test(pool)
	})
}

func (p *peer) settings(s ...http2.Setting) { p.framer.WriteSettings(s...) }

// frame reads the next frame that is not SETTINGS, PING or a window update; nil is the end.
func (p *peer) frame() http2.Frame {
	for {
		f, err := p.framer.ReadFrame()
		if err != nil {
			return nil
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			switch {
			case !f.IsAck():
				p.framer.WriteSettingsAck()
			case p.onAck != nil:
				p.onAck()
				p.onAck = nil
			}
		case *http2.WindowUpdateFrame:
		case *http2.PingFrame:
			switch {
			case f.IsAck():
				return f
			case p.onPing != nil:
				p.onPing()
			default:
				p.framer.WritePing(true, f.Data)
			}
		default:
			return f
		}
	}
}

// request reads one whole request; others must not be mixed into it.
func (p *peer) request() (a asked, ok bool) {
	h, ok := p.frame().(*http2.HeadersFrame)
	if !ok {
		return a, false
	}
	a = asked{stream: h.StreamID, fields: map[string]string{}}
	fields, err := p.decoder.DecodeFull(h.HeaderBlockFragment())
	if err != nil {
		p.t.Errorf("request on stream %d: %v", h.StreamID, err)
	}
	for _, f := range fields {
		a.fields[f.Name] = f.Value
	}
	for ended := h.StreamEnded(); !ended; {
		d, ok := p.frame().(*http2.DataFrame)
		if !ok || d.StreamID != h.StreamID {
			return a, false
		}
		a.body += string(d.Data())
		a.frames++
		ended = d.StreamEnded()
	}
	return a, true
}

// answer writes the head of an answer, ended or not.
func (p *peer) answer(stream uint32, end bool, fields ...string) {
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.encode(fields...), EndStream: end, EndHeaders: true})
}

func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

func (p *peer) ok(stream uint32) { p.answer(stream, true, ":status", "200", "apns-id", "x") }

// serve answers everything with 200.
func (p *peer) serve() {
	for {
		a, ok := p.request()
		if !ok {
			return
		}
		if n := len(a.body); n > 0 {
			p.framer.WriteWindowUpdate(0, uint32(n))
		}
		p.ok(a.stream)
	}
}

// push submits n pushes and returns the batch when it is done.
func push(pool *Pool, n int) *provider.Batch {
	b, done := batch(n, func(i int) string { return string(rune('a' + i%26)) })
	submit(pool, b)
	return <-done
}

func expect(t testing.TB, b *provider.Batch, want ...provider.Result) {
	t.Helper()
	if len(want) == 1 {
		for range len(b.Results) - 1 {
			want = append(want, want[0])
		}
	}
	for i := range b.Results {
		if b.Results[i] != want[i] {
			t.Fatalf("results %v, want %v", b.Results, want)
		}
	}
}

// quick has short times, as a bubble has no cost for waiting.
func quick() Config {
	c := Default()
	c.AnswerTimeout, c.PingAfter, c.PingTimeout = 10*time.Second, 4*time.Second, 2*time.Second
	return c
}
