package sim

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tocsin-push/tocsin"
)

// raw speaks frames to a simulator, right ones and wrong ones.
type raw struct {
	t       testing.TB
	tls     *tls.Conn
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   strings.Builder
	next    uint32
}

func (s *Sim) dial(t testing.TB, p tocsin.Provider) *raw {
	t.Helper()
	address := strings.TrimPrefix(s.account(p).Endpoints[0].Origin, "https://")
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.Roots(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if c.ConnectionState().Version != tls.VersionTLS13 || c.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatalf("negotiated %+v", c.ConnectionState())
	}
	r := &raw{t: t, tls: c, next: 1}
	r.framer = http2.NewFramer(c, bufio.NewReader(c))
	r.encoder = hpack.NewEncoder(&r.block)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *raw) encode(headers ...string) []byte {
	r.block.Reset()
	for i := 0; i < len(headers); i += 2 {
		r.encoder.WriteField(hpack.HeaderField{Name: headers[i], Value: headers[i+1]})
	}
	return []byte(r.block.String())
}

func (r *raw) pushHeaders(s *Sim, bearer, token string) []byte {
	return r.encode(":method", "POST", ":scheme", "https", ":path", "/3/device/"+token, ":authority", "localhost",
		"authorization", "bearer "+bearer, "apns-topic", Topic(0), "apns-push-type", "alert")
}

// push sends a whole request and returns its stream.
func (r *raw) push(s *Sim, bearer, token string) uint32 {
	r.t.Helper()
	id := r.next
	r.next += 2
	err := errors.Join(
		r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.pushHeaders(s, bearer, token), EndHeaders: true}),
		r.framer.WriteData(id, true, []byte("{}")))
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// until reads frames until one satisfies want.
func (r *raw) until(want func(http2.Frame) bool) http2.Frame {
	r.t.Helper()
	for {
		f, err := r.framer.ReadFrame()
		if err != nil {
			r.t.Fatalf("connection ended before the frame came: %v", err)
		}
		if settings, ok := f.(*http2.SettingsFrame); ok && !settings.IsAck() {
			if err := r.framer.WriteSettingsAck(); err != nil {
				r.t.Fatal(err)
			}
		}
		if want(f) {
			return f
		}
	}
}

func headersOf(id uint32) func(http2.Frame) bool {
	return func(f http2.Frame) bool { return f.Header().Type == http2.FrameHeaders && f.Header().StreamID == id }
}

func resetOf(id uint32, why http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		reset, ok := f.(*http2.RSTStreamFrame)
		return ok && reset.StreamID == id && reset.ErrCode == why
	}
}

func goAwayFor(why http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		away, ok := f.(*http2.GoAwayFrame)
		return ok && away.ErrCode == why
	}
}

func settingsWith(streams uint32) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		settings, ok := f.(*http2.SettingsFrame)
		if !ok || settings.IsAck() {
			return false
		}
		n, ok := settings.Value(http2.SettingMaxConcurrentStreams)
		return ok && n == streams
	}
}
