package sim

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tocsin-push/tocsin"
)

// A cold connection has one stream; the first good token opens a thousand.
func TestStreamLimit(t *testing.T) {
	s := start(t, func(c *Config) { c.APNs.Shares.Lost = 1; c.APNs.Failures = 2 })
	r := s.dial(t, tocsin.APNs)
	r.until(settingsWith(1))
	bearer := s.apnsToken(t, time.Now())
	r.push(s, "wrong", aToken) // answered: 403
	r.until(headersOf(1))
	r.push(s, bearer, aToken) // never answered: stays open
	r.until(settingsWith(1000))
	for i := range 999 {
		r.push(s, bearer, fmt.Sprintf("%04x", i))
	}
	over := r.push(s, bearer, aToken)
	r.until(resetOf(over, http2.ErrCodeRefusedStream))
	if n := s.Totals()[tocsin.APNs].Refused; n != 1 {
		t.Fatalf("%d refused, want 1", n)
	}
	// A stream that the client gives up makes room again.
	if err := r.framer.WriteRSTStream(3, http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
	r.push(s, bearer, aToken) // its second attempt is lost too
	over = r.push(s, bearer, aToken)
	r.until(resetOf(over, http2.ErrCodeRefusedStream))
	o := s.Options(tocsin.APNs)
	o.Streams = 50
	if err := s.SetOptions(tocsin.APNs, o); err != nil {
		t.Fatal(err)
	}
	r.until(settingsWith(50))
	if a := s.ledger.Accounts("")[tocsin.APNs]; a.Accepted != 1001 || a.Answers["none"] != 1001 || a.Answers["403"] != 1 || a.Distinct != 1000 || a.Repeated != 1 {
		t.Fatalf("%+v", a)
	}
}

// A request may come in pieces: CONTINUATION, padding, priority, many DATA
// frames, trailers.
func TestRequestInPieces(t *testing.T) {
	s := start(t, func(c *Config) { c.StreamWindow = 100 })
	r := s.dial(t, tocsin.APNs)
	r.until(settingsWith(1))
	block := r.pushHeaders(s, s.apnsToken(t, time.Now()), aToken)
	err := errors.Join(
		r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:10], PadLength: 7,
			Priority: http2.PriorityParam{StreamDep: 3, Weight: 9}}),
		r.framer.WriteContinuation(1, false, block[10:11]),
		r.framer.WriteContinuation(1, true, block[11:]),
		r.framer.WriteDataPadded(1, false, []byte(`{"aps":`), make([]byte, 9)),
		r.framer.WritePing(false, [8]byte{1, 2, 3}),
		r.framer.WriteRawFrame(0xfa, 0, 1, []byte("unknown types are ignored")),
		r.framer.WriteData(1, false, []byte(`"`+strings.Repeat("x", 80)+`"}`)))
	if err != nil {
		t.Fatal(err)
	}
	given := uint32(0)
	r.until(func(f http2.Frame) bool {
		if update, ok := f.(*http2.WindowUpdateFrame); ok && update.StreamID == 1 {
			given += update.Increment
		}
		return given == 17+83
	})
	trailers := r.encode("x-end", "yes")
	if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: trailers, EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	f := r.until(headersOf(1)).(*http2.HeadersFrame)
	if f.HeaderBlockFragment()[0] != 0x88 || !f.StreamEnded() {
		t.Fatalf("answer %x", f.HeaderBlockFragment())
	}
}

// An answer's body leaves only as far as the peer's windows allow.
func TestAnswerWaitsForWindow(t *testing.T) {
	s := start(t, nil)
	r := s.dial(t, tocsin.APNs)
	if err := r.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5}); err != nil {
		t.Fatal(err)
	}
	id := r.push(s, "wrong", aToken)
	body := ""
	more := func(f http2.Frame) bool {
		if data, ok := f.(*http2.DataFrame); ok {
			body += string(data.Data())
			return true
		}
		return false
	}
	r.until(more)
	if body != `{"rea` {
		t.Fatalf("body %q, want 5 bytes of it", body)
	}
	if err := r.framer.WriteWindowUpdate(id, 3); err != nil {
		t.Fatal(err)
	}
	r.until(more)
	if err := r.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}); err != nil {
		t.Fatal(err)
	}
	if f := r.until(more); !f.(*http2.DataFrame).StreamEnded() || body != `{"reason":"InvalidProviderToken"}` {
		t.Fatalf("body %q", body)
	}
}

// Breaches end the connection, or the stream, with the code that RFC 9113 names.
func TestBreaches(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	headers := func(r *raw, id uint32, block []byte) error {
		return r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
	}
	for name, breach := range map[string]struct {
		do   func(r *raw) error
		want func(http2.Frame) bool
	}{
		"even stream":       {func(r *raw) error { return headers(r, 2, r.pushHeaders(s, bearer, aToken)) }, goAwayFor(http2.ErrCodeProtocol)},
		"data on idle":      {func(r *raw) error { return r.framer.WriteData(5, true, nil) }, goAwayFor(http2.ErrCodeProtocol)},
		"reset of idle":     {func(r *raw) error { return r.framer.WriteRSTStream(5, 0) }, goAwayFor(http2.ErrCodeProtocol)},
		"window of idle":    {func(r *raw) error { return r.framer.WriteWindowUpdate(5, 1) }, goAwayFor(http2.ErrCodeProtocol)},
		"window overflow":   {func(r *raw) error { return r.framer.WriteWindowUpdate(0, 1<<31-1) }, goAwayFor(http2.ErrCodeFlowControl)},
		"bad HPACK":         {func(r *raw) error { return headers(r, 1, []byte{0xff, 0xff, 0xff}) }, goAwayFor(http2.ErrCodeCompression)},
		"settings length":   {func(r *raw) error { return r.framer.WriteRawFrame(4, 0, 0, []byte{1}) }, goAwayFor(http2.ErrCodeFrameSize)},
		"ping length":       {func(r *raw) error { return r.framer.WriteRawFrame(6, 0, 0, []byte{1}) }, goAwayFor(http2.ErrCodeFrameSize)},
		"push promise":      {func(r *raw) error { return r.framer.WriteRawFrame(5, 4, 1, make([]byte, 8)) }, goAwayFor(http2.ErrCodeProtocol)},
		"lone continuation": {func(r *raw) error { return r.framer.WriteRawFrame(9, 4, 1, nil) }, goAwayFor(http2.ErrCodeProtocol)},
		"frame too long":    {func(r *raw) error { return r.framer.WriteRawFrame(0, 0, 1, make([]byte, maxFrame+1)) }, goAwayFor(http2.ErrCodeFrameSize)},
		"padding":           {func(r *raw) error { return r.framer.WriteRawFrame(1, 0xc, 1, []byte{9, 0x88}) }, goAwayFor(http2.ErrCodeProtocol)},
		"split by a frame": {func(r *raw) error {
			return errors.Join(r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}}),
				r.framer.WritePing(false, [8]byte{}))
		}, goAwayFor(http2.ErrCodeProtocol)},
		"no path": {func(r *raw) error { return headers(r, 1, r.encode(":method", "POST", ":scheme", "https")) }, resetOf(1, http2.ErrCodeProtocol)},
		"upper case": {func(r *raw) error {
			return headers(r, 1, append(r.encode(":method", "POST", ":scheme", "https", ":path", "/"), "\x00\x01X\x01y"...))
		}, resetOf(1, http2.ErrCodeProtocol)},
		"pseudo after": {func(r *raw) error {
			return headers(r, 1, r.encode(":method", "POST", "a", "b", ":scheme", "https", ":path", "/"))
		}, resetOf(1, http2.ErrCodeProtocol)},
		"connection header": {func(r *raw) error {
			return headers(r, 1, r.encode(":method", "POST", ":scheme", "https", ":path", "/", "connection", "close"))
		}, resetOf(1, http2.ErrCodeProtocol)},
		"content-length": {func(r *raw) error {
			return headers(r, 1, r.encode(":method", "POST", ":scheme", "https", ":path", "/", "content-length", "3"))
		}, resetOf(1, http2.ErrCodeProtocol)},
		"closed stream": {func(r *raw) error {
			r.push(s, bearer, aToken)
			return r.framer.WriteData(1, true, []byte("x"))
		}, resetOf(1, http2.ErrCodeStreamClosed)},
		"stream number again": {func(r *raw) error {
			r.push(s, bearer, aToken)
			return headers(r, 1, r.pushHeaders(s, bearer, aToken))
		}, goAwayFor(http2.ErrCodeStreamClosed)},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.dial(t, tocsin.APNs)
			r.framer.AllowIllegalWrites = true
			if err := breach.do(r); err != nil {
				t.Fatal(err)
			}
			r.until(breach.want)
		})
	}
	r := s.dial(t, tocsin.APNs)
	r.until(settingsWith(1))
	if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.pushHeaders(s, bearer, aToken), EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the stream's window is 65,535 and is given back as it is used, the connection's likewise
		if err := r.framer.WriteData(1, false, make([]byte, 16000)); err != nil {
			t.Fatal(err)
		}
	}
	if f := r.until(headersOf(1)); !bytes.Contains(f.(*http2.HeadersFrame).HeaderBlockFragment(), []byte("413")) {
		t.Fatal("want 413 before the end of a body far too long")
	}
}

// A sender that ignores the windows it was given is stopped.
func TestWindowsAreEnforced(t *testing.T) {
	s := start(t, func(c *Config) { c.StreamWindow = 100 })
	r := s.dial(t, tocsin.APNs)
	r.until(settingsWith(1))
	block := r.pushHeaders(s, "none", aToken)
	if err := errors.Join(r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true}),
		r.framer.WriteData(1, true, make([]byte, 101))); err != nil {
		t.Fatal(err)
	}
	r.until(resetOf(1, http2.ErrCodeFlowControl))
	c := &conn{server: &server{settings: settings{100, 1 << 20}}, receive: 200}
	if err := c.received(200); err != nil {
		t.Fatal(err)
	}
	if err := c.received(1); err != codeFlowControl {
		t.Fatalf("%v, want FLOW_CONTROL_ERROR", err)
	}
}

// A lower stream limit holds when the peer has acknowledged it, not before;
// while two are under way the higher one holds.
func TestStreamLimitIsAcknowledged(t *testing.T) {
	var c conn
	c.enforced.Store(1000)
	c.unacked = []uint32{1000, 5, 70}
	for _, want := range []uint32{70, 70, 70} {
		if c.enforced.Load() < want {
			t.Fatalf("%d is enforced, want at least %d", c.enforced.Load(), want)
		}
		if err := c.acknowledged(); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.enforced.Load(); got != 70 {
		t.Fatalf("%d is enforced, want 70", got)
	}
	if c.acknowledged() != codeProtocol {
		t.Fatal("an acknowledgement of nothing was taken")
	}
	c.unacked = []uint32{1000, 5}
	c.acknowledged()
	if c.enforced.Load() != 1000 {
		t.Fatal("a limit holds that the peer may not have seen")
	}
	c.acknowledged()
	if c.enforced.Load() != 5 {
		t.Fatal("an acknowledged limit does not hold")
	}
}

// A peer that speaks no HTTP/2 is sent away.
func TestNoPreface(t *testing.T) {
	s := start(t, nil)
	address := strings.TrimPrefix(s.account(tocsin.APNs).Endpoints[0].Origin, "https://")
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.Roots()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.SetDeadline(time.Now().Add(10 * time.Second))
	all, err := io.ReadAll(c)
	if err != nil || binary.BigEndian.Uint32(all[len(all)-4:]) != uint32(http2.ErrCodeProtocol) {
		t.Fatalf("%x %v: want a GOAWAY", all, err)
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.Roots(), MaxVersion: tls.VersionTLS12}); err == nil {
		t.Fatal("TLS 1.2 was taken")
	}
}

// Answers of FCM name their content-type once, and write it out after the peer
// has asked for a smaller table, which the block after that confirms.
func TestContentTypeIsIndexed(t *testing.T) {
	s := start(t, func(*Config) {})
	r := s.dial(t, tocsin.FCM)
	decoder := hpack.NewDecoder(headerTableSize, nil)
	ask := func() (block []byte) {
		id := r.next
		r.next += 2
		err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true,
			BlockFragment: r.encode(":method", "POST", ":scheme", "https", ":path", "/v1/projects/x/messages:send")})
		if err != nil {
			t.Fatal(err)
		}
		block = bytes.Clone(r.until(headersOf(id)).(*http2.HeadersFrame).HeaderBlockFragment())
		fields, err := decoder.DecodeFull(block)
		if err != nil || len(fields) != 2 || fields[0].Value != "401" || fields[1].Name != "content-type" || fields[1].Value != jsonType {
			t.Fatalf("%v, %v", fields, err)
		}
		return block
	}
	first, second := ask(), ask()
	if len(first) < len(jsonType) || len(second) > 6 {
		t.Errorf("blocks of %d and %d bytes", len(first), len(second))
	}
	if err := r.framer.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 100}); err != nil {
		t.Fatal(err)
	}
	decoder.SetAllowedMaxDynamicTableSize(100)
	if b := ask(); b[0] != 0x20 {
		t.Errorf("block opens with %#x, not with the new size of the table", b[0])
	}
	if b := ask(); b[0] == 0x20 || len(b) < len(jsonType) {
		t.Errorf("later block is % x", b)
	}
}
