package sim

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin"
)

// post changes options as a test of the whole product does.
func (s *Sim) post(t testing.TB, faults string) {
	t.Helper()
	r, err := http.Post(s.setup.Control+"/faults", "application/json", strings.NewReader(faults))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s %v", faults, r.StatusCode, text, err)
	}
}

// end reads until the connection is over.
func (r *raw) end() error {
	for {
		if _, err := r.framer.ReadFrame(); err != nil {
			return err
		}
	}
}

// pushed is a connection that one push was answered on.
func (s *Sim) pushed(t testing.TB, bearer string) *raw {
	t.Helper()
	r := s.dial(t, tocsin.APNs)
	r.until(headersOf(r.push(s, bearer, aToken)))
	return r
}

// A GOAWAY reaches every connection, idle ones too, and names the last stream
// that was processed.
func TestGoAwayPeriod(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	one, two, idle := s.pushed(t, bearer), s.pushed(t, bearer), s.dial(t, tocsin.APNs)
	one.until(headersOf(one.push(s, bearer, aToken)))
	s.post(t, `{"apns":{"network":{"goaway_period":"20ms"}}}`)
	for r, last := range map[*raw]uint32{one: 3, two: 1, idle: 0} {
		away := r.until(goAwayFor(http2.ErrCodeNo)).(*http2.GoAwayFrame)
		if away.LastStreamID != last || string(away.DebugData()) != `{"reason":"Shutdown"}` {
			t.Errorf("GOAWAY names %d with %q, want %d", away.LastStreamID, away.DebugData(), last)
		}
	}
	later := s.dial(t, tocsin.APNs)
	later.until(goAwayFor(http2.ErrCodeNo))
	if n := s.Totals()[tocsin.APNs].GoAways; n < 4 {
		t.Errorf("%d GOAWAYs counted, want at least 4", n)
	}
	s.post(t, `{"apns":{"network":{"goaway_period":"0s"}}}`)
	s.pushed(t, bearer)
}

// Connections end in a TCP reset one after the other, in the order of the seed.
func TestResetPeriod(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	open := []*raw{s.pushed(t, bearer), s.pushed(t, bearer), s.pushed(t, bearer)}
	s.post(t, `{"apns":{"network":{"reset_period":"5ms"}}}`)
	for _, r := range open {
		if err := r.end(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v, want a reset", err)
		}
	}
	if n := s.Totals()[tocsin.APNs].Resets; n != 3 {
		t.Errorf("%d resets counted, want 3", n)
	}
}

// A burst refuses so many pushes, which were not processed, and no more.
func TestRefuseBurst(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	r := s.pushed(t, bearer)
	s.post(t, `{"apns":{"network":{"refuse_period":"20ms","refuse_burst":3}}}`)
	refused, between := 0, 0 // between: accepted after a burst
	for refused < 7 || between == 0 {
		id := r.push(s, bearer, aToken)
		f := r.until(func(f http2.Frame) bool { return headersOf(id)(f) || resetOf(id, http2.ErrCodeRefusedStream)(f) })
		switch {
		case f.Header().Type == http2.FrameRSTStream:
			refused++
		case refused > 0:
			between++
		}
	}
	s.post(t, `{"apns":{"network":{"refuse_period":"0s"}}}`)
	r.until(headersOf(r.push(s, bearer, aToken)))
	a := s.ledger.Accounts("")[tocsin.APNs]
	if a.Answers["none"] != refused || a.Accepted != a.Received-refused {
		t.Errorf("%+v: want %d refused, the rest accepted", a, refused)
	}
}

// The one connection that falls silent answers what it had read, and then not
// even a PING; another one works.
func TestSilent(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	dead, other := s.pushed(t, bearer), s.pushed(t, bearer)
	s.post(t, `{"apns":{"network":{"silent":1}}}`)
	dead.until(headersOf(dead.push(s, bearer, aToken)))
	if err := errors.Join(dead.framer.WritePing(false, [8]byte{}), dead.tls.SetReadDeadline(time.Now().Add(100*time.Millisecond))); err != nil {
		t.Fatal(err)
	}
	dead.push(s, bearer, aToken)
	for range 20 {
		other.until(headersOf(other.push(s, bearer, aToken)))
	}
	for {
		f, err := dead.framer.ReadFrame()
		if err != nil {
			if timeout, ok := errors.AsType[interface {
				error
				Timeout() bool
			}](err); !ok || !timeout.Timeout() {
				t.Errorf("the dead connection ended: %v", err)
			}
			break
		}
		if f.Header().Type != http2.FrameSettings {
			t.Errorf("the dead connection sent %v", f)
		}
	}
	if a := s.ledger.Accounts("")[tocsin.APNs]; a.Received != 23 {
		t.Errorf("%d pushes in the ledger, want 23", a.Received)
	}
	if n := s.Totals()[tocsin.APNs].Silent; n != 1 {
		t.Errorf("%d connections counted as dead, want 1", n)
	}
}

// A drip carries so many bytes a second and no more, and ends at once.
func TestDrip(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	r := s.pushed(t, bearer)
	s.post(t, `{"apns":{"network":{"drip":5000}}}`)
	r.until(headersOf(r.push(s, bearer, aToken))) // it was being read already
	before, last := time.Now(), uint32(0)
	for range 10 {
		last = r.push(s, bearer, aToken) // at least 90 bytes, of which 100 are read in 20 ms
	}
	r.until(headersOf(last))
	if took := time.Since(before); took < 150*time.Millisecond {
		t.Errorf("ten pushes took %v", took)
	}
	s.post(t, `{"apns":{"network":{"drip":100}}}`)
	for range 100 {
		last = r.push(s, bearer, aToken)
	}
	s.post(t, `{"apns":{"network":{"drip":0}}}`)
	r.until(headersOf(last)) // at 100 bytes a second it took minutes
}

func TestNoHandshake(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	r := s.pushed(t, bearer)
	s.post(t, `{"apns":{"network":{"no_handshake":true}}}`)
	address := strings.TrimPrefix(s.account(tocsin.APNs).Endpoints[0].Origin, "https://")
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: s.Roots()}); err == nil {
		t.Error("a handshake was done")
	}
	r.until(headersOf(r.push(s, bearer, aToken))) // a connection that was up stays
	s.post(t, `{"apns":{"network":{"no_handshake":false}}}`)
	s.pushed(t, bearer)
	if n := s.Totals()[tocsin.APNs].Handshakes; n != 1 {
		t.Errorf("%d failed handshakes counted, want 1", n)
	}
}

// Options change at their time, unannounced, until others are set.
func TestThen(t *testing.T) {
	s := start(t, nil)
	r := s.pushed(t, s.apnsToken(t, time.Now()))
	s.post(t, `{"apns":{"quota":600000,"delay":"5ms","then":[
		{"after":"10ms","set":{"quota":150000,"delay":"500ms","streams":50}},
		{"after":"10ms","set":{"quota":900000,"delay":"5ms","streams":70}},
		{"after":"1h","set":{"quota":1}}]}}`)
	r.until(settingsWith(50))
	r.until(settingsWith(70))
	if o := s.Options(tocsin.APNs); o.Quota != 900000 || o.Delay != Duration(5*time.Millisecond) || o.RetryAfter != 1 || len(o.Then) != 1 {
		t.Fatalf("%+v", o)
	}
	s.post(t, `{"apns":{"quota":3,"then":[{"after":"0s","set":{"streams":80}}]}}`)
	r.until(settingsWith(80))
	if o := s.Options(tocsin.APNs); o.Quota != 3 || len(o.Then) != 0 {
		t.Fatalf("%+v", o)
	}
	// A change whose time came while other options were being set comes too late.
	v := s.service(tocsin.APNs)
	before := v.rules.Load()
	late, err := before.with([]byte(`{"quota":4}`))
	if err != nil {
		t.Fatal(err)
	}
	next, err := late.compile()
	if err != nil {
		t.Fatal(err)
	}
	s.post(t, `{"apns":{"quota":5}}`)
	if v.install(next, before); s.Options(tocsin.APNs).Quota != 5 {
		t.Fatalf("%+v", s.Options(tocsin.APNs))
	}
}

func TestSetFaults(t *testing.T) {
	for _, wrong := range []string{`{"fcm":{"qouta":1}}`, `{"fcm":{"then":[{"after":"1s","set":{"streams":0}}]}}`, `{"mail":{}}`,
		`{"fcm":{"then":[{"after":"1s"}]}}`, `{"fcm":{"then":[{"after":"-1s","set":{}}]}}`, `{"fcm":{"network":{"drip":1}}}`,
		`{"fcm":{"then":[{"after":"1s","set":{"then":[]}}]}}`, `{"fcm":{"network":{"refuse_period":"1s"}}}`,
		`{"fcm":{"network":{"goaway_period":"1us"}}}`, `{"fcm":{"network":{"silent":-1}}}`, `[]`} {
		c := Default()
		if err := c.SetFaults([]byte(wrong)); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
	c := Default()
	if err := c.SetFaults([]byte(`{"apns":{"shares":{"gone":0.5},"network":{"drip":1000}}}`)); err != nil || c.APNs.Shares.Gone != 0.5 ||
		c.APNs.Network.Drip != 1000 || c.APNs.Streams != 1000 || c.FCM.Network.Drip != 0 {
		t.Fatalf("%+v %v", c.APNs, err)
	}
}
