package sim

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin"
)

// Each fault does what its name says, and the ledger knows it.
func TestFaults(t *testing.T) {
	s := start(t, nil)
	bearer := s.apnsToken(t, time.Now())
	set := func(change func(*Options)) {
		o := Default().APNs
		change(&o)
		if err := s.SetOptions(tocsin.APNs, o); err != nil {
			t.Fatal(err)
		}
		s.Reset()
	}
	account := func() *Account { return s.ledger.Accounts("")[tocsin.APNs] }
	t.Run("reset, then good", func(t *testing.T) {
		set(func(o *Options) { o.Shares.Reset = 1 })
		r := s.dial(t, tocsin.APNs)
		r.until(resetOf(r.push(s, bearer, aToken), http2.ErrCodeInternal))
		r.until(headersOf(r.push(s, bearer, aToken)))
		if a := account(); a.Accepted != 2 || a.Repeated != 1 {
			t.Fatalf("%+v", a)
		}
	})
	t.Run("refused, then good", func(t *testing.T) {
		set(func(o *Options) { o.Shares.Refused = 1 })
		r := s.dial(t, tocsin.APNs)
		r.until(resetOf(r.push(s, bearer, aToken), http2.ErrCodeRefusedStream))
		r.until(headersOf(r.push(s, bearer, aToken)))
		if a := account(); a.Accepted != 1 || a.Received != 2 {
			t.Fatalf("%+v", a)
		}
	})
	t.Run("cut", func(t *testing.T) {
		set(func(o *Options) { o.Shares.Cut = 1 })
		r := s.dial(t, tocsin.APNs)
		r.push(s, bearer, aToken)
		for {
			if _, err := r.framer.ReadFrame(); err != nil {
				break
			}
		}
		if a := account(); a.Accepted != 1 || a.Answers["none"] != 1 {
			t.Fatalf("%+v", a)
		}
	})
	t.Run("goaway in mid-stream", func(t *testing.T) {
		set(func(o *Options) { o.GoAwayEvery = 3 })
		r := s.dial(t, tocsin.APNs)
		r.push(s, bearer, aToken)
		r.until(settingsWith(1000))
		for range 9 {
			r.push(s, bearer, aToken)
		}
		away := r.until(goAwayFor(0)).(*http2.GoAwayFrame)
		if away.LastStreamID != 5 || string(away.DebugData()) != `{"reason":"Shutdown"}` {
			t.Fatalf("last %d, debug %s", away.LastStreamID, away.DebugData())
		}
		if err := r.framer.WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
		r.until(func(f http2.Frame) bool {
			if headersOf(f.Header().StreamID)(f) && f.Header().StreamID > 5 {
				t.Errorf("stream %d was answered after the GOAWAY", f.Header().StreamID)
			}
			ping, ok := f.(*http2.PingFrame)
			return ok && ping.IsAck()
		})
		if a := account(); a.Received != 3 {
			t.Fatalf("%+v", a)
		}
	})
	t.Run("slow and delay", func(t *testing.T) {
		set(func(o *Options) {
			o.Shares.Slow, o.SlowDelay, o.Delay = 0.5, Duration(40*time.Millisecond), Duration(10*time.Millisecond)
		})
		c, before := s.httpClient(), time.Now()
		for i := range 8 {
			if got, err := s.push(t, c, fmt.Sprintf("%04x", i), map[string]string{"authorization": "bearer " + bearer}, "{}"); err != nil || got.Status != 200 {
				t.Fatal(got, err)
			}
		}
		if took := time.Since(before); took < 80*time.Millisecond {
			t.Fatalf("8 answers took %v", took)
		}
		if a := account(); a.Accepted != 8 {
			t.Fatalf("%+v", a)
		}
	})
	t.Run("script", func(t *testing.T) {
		set(func(o *Options) {
			o.Script = map[string][]Answer{aToken: {{Status: 500, Reason: "InternalServerError"},
				{Status: 410, Reason: "ExpiredToken", Timestamp: 1234}, {Status: 200}}}
		})
		c := s.httpClient()
		for _, want := range []apnsAnswer{{Status: 500, Reason: "InternalServerError"},
			{Status: 410, Reason: "ExpiredToken", Timestamp: 1234}, {Status: 200}, {Status: 200}} {
			got, err := s.push(t, c, aToken, map[string]string{"authorization": "bearer " + bearer}, "{}")
			if got.ID = ""; err != nil || got != want {
				t.Fatalf("%+v %v, want %+v", got, err, want)
			}
		}
	})
	t.Run("greatest rate", func(t *testing.T) {
		set(func(o *Options) { o.MaxRate = 1000 })
		r, before := s.dial(t, tocsin.APNs), time.Now()
		r.push(s, bearer, aToken)
		r.until(settingsWith(1000))
		last := uint32(0)
		for range 100 {
			last = r.push(s, bearer, aToken)
		}
		r.until(headersOf(last))
		if took := time.Since(before); took < 95*time.Millisecond || took > 5*time.Second {
			t.Fatalf("101 pushes at 1,000 a second took %v", took)
		}
	})
}

// The answers to the same tokens are the same whatever the order, the
// connection and the number of them at once.
func TestAnswersDoNotDependOnOrder(t *testing.T) {
	run := func(backwards bool) map[string]apnsAnswer {
		s := start(t, func(c *Config) {
			c.Seed = 7
			c.APNs.Shares = Shares{Gone: 0.1, BadToken: 0.1, Throttled: 0.2, Unavailable: 0.2}
		})
		got, c := make(map[string]apnsAnswer), s.httpClient()
		bearer := "bearer " + s.apnsToken(t, time.Now())
		for i := range 300 {
			if backwards {
				i = 299 - i
				if i%100 == 0 {
					c = s.httpClient()
				}
			}
			for attempt := range 2 {
				a, err := s.push(t, c, fmt.Sprintf("%08x", i), map[string]string{"authorization": bearer}, "{}")
				if err != nil {
					t.Fatal(err)
				}
				a.ID, a.Timestamp = "", 0
				got[fmt.Sprint(i, attempt)] = a
			}
		}
		return got
	}
	one, two := run(false), run(true)
	if len(one) != 600 || fmt.Sprint(one) != fmt.Sprint(two) {
		t.Fatal("answers differ")
	}
	statuses := make(map[int]int)
	for _, a := range one {
		statuses[a.Status]++
	}
	for _, status := range []int{http.StatusGone, 400, 429, 503, 200} {
		if statuses[status] == 0 {
			t.Errorf("no answer %d among %v", status, statuses)
		}
	}
}
