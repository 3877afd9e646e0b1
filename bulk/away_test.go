package bulk

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// hooked calls a function while push 2 is drafted for the first time.
type hooked struct {
	plain
	hook func()
}

func (p *hooked) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	if i == 2 && p.hook != nil {
		p.hook()
		p.hook = nil
	}
	return p.plain.AppendBody(dst, i)
}

// A GOAWAY that comes while a buffer is filled stops that buffer: the peer would
// ignore what it opens.
func TestGoAwayWhileABufferIsFilled(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings()
		if n > 0 {
			p.serve()
			return
		}
		a, _ := p.request() // another batch, so that the table is taught
		p.ok(a.stream)
		<-time.After(500 * time.Millisecond)
		p.framer.WriteGoAway(a.stream, http2.ErrCodeNo, nil)
		if f := p.frame(); f != nil {
			t.Errorf("after GOAWAY: %v", f)
		}
	}, func(pool *Pool) {
		expect(t, push(pool, 1), accepted)
		b, done := batch(5, func(int) string { return "x" })
		b.Payloads[1], b.Payloads[4] = nil, nil // refused before anything is written
		pool.Submit(Work{Batch: b, Shape: testShape, Pushes: &hooked{plain{b}, func() { <-time.After(time.Second) }}})
		start := time.Now()
		<-done
		expect(t, b, accepted, provider.Refused, accepted, accepted, provider.Refused)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		if len(b.Wrote) != 2 || len(b.Details) != 2 {
			t.Errorf("wrote %v, details %v", b.Wrote, b.Details)
		}
	})
}

// A connection that leaves is replaced while it still owes answers.
func TestLeavingConnectionIsReplacedAtOnce(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings()
		if n > 0 {
			p.serve()
			return
		}
		a, _ := p.request()
		p.framer.WriteGoAway(a.stream, http2.ErrCodeNo, nil)
		<-time.After(time.Second)
		p.ok(a.stream)
	}, func(pool *Pool) {
		b, done := batch(1, func(int) string { return "x" })
		submit(pool, b)
		synctest.Wait()
		start := time.Now()
		expect(t, push(pool, 3), accepted)
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		<-done
		expect(t, b, accepted)
	})
}

// What was not written of a batch when its connection is lost goes on over
// another one; what was written is lost.
func TestRestOfABatchSurvivesItsConnection(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 4})
		if n > 0 {
			p.serve()
			return
		}
		a, _ := p.request()
		b, _ := p.request()
		p.ok(b.stream)
		p.answer(a.stream, true, ":status", "410")
		for range 4 {
			p.request()
		}
		p.conn.Close()
	}, func(pool *Pool) {
		b := push(pool, 12)
		ok := accepted
		expect(t, b, provider.Gone, ok, lost, lost, lost, lost, ok, ok, ok, ok, ok, ok)
		last := 0
		for _, w := range b.Wrote {
			if w.From < last || w.To <= w.From {
				t.Errorf("wrote %v", b.Wrote)
			}
			last = w.To
		}
		if last != 12 {
			t.Errorf("wrote %v", b.Wrote)
		}
	})
}

// Long before stream identifiers run out another connection takes over.
func TestWornConnectionHasASuccessor(t *testing.T) {
	var connections atomic.Int32
	piped(t, quick(), func(n int, p *peer) {
		connections.Add(1)
		p.settings()
		p.serve()
	}, func(pool *Pool) {
		expect(t, push(pool, 1), accepted)
		synctest.Wait()
		worn := pool.conns[0]
		worn.nextStream = wornStream - 4
		expect(t, push(pool, 4), accepted)
		<-time.After(5 * time.Second) // nobody asks for it: the keeper sees it by itself
		synctest.Wait()
		if n := connections.Load(); n != 2 || worn.err != errWorn {
			t.Errorf("%d connections; the worn one: %v", n, worn.err)
		}
		expect(t, push(pool, 4), accepted)
	})
}

func TestConnectionsResume(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings()
		a, _ := p.request()
		if resumed := p.conn.ConnectionState().DidResume; resumed != (n > 0) {
			t.Errorf("connection %d: resumed is %v", n, resumed)
		}
		p.framer.WriteGoAway(a.stream, http2.ErrCodeNo, nil)
		p.ok(a.stream)
	}, func(pool *Pool) {
		for range 3 {
			expect(t, push(pool, 1), accepted)
		}
	})
}

func TestPingMeasuresTheRoundTrip(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.onPing = func() {
			<-time.After(30 * time.Millisecond)
			p.framer.WritePing(true, [8]byte([]byte(pingData)))
		}
		p.settings()
		p.serve()
	}, func(pool *Pool) {
		expect(t, push(pool, 1), accepted)
		<-time.After(10 * time.Second)
		if s := pool.State(); s.RoundTrip != 30*time.Millisecond || s.Connections != 1 || s.UnderWay != 0 {
			t.Errorf("state %+v", s)
		}
	})
}

// A header block beyond a frame goes on in CONTINUATION, a body in more DATA;
// both follow a frame size that changes.
func TestLongHeadersAndBodies(t *testing.T) {
	long := &Shape{Headers: []Header{{"x-long", strings.Repeat("~", 40_000), Literal}, {"x-topic", "news", Indexed}}, Unique: "x-id"}
	piped(t, quick(), func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		p.framer.WriteWindowUpdate(0, 1<<20)
		p.framer.SetMaxReadFrameSize(maxFrame)
		for k := range 4 {
			p.decoder.SetMaxStringLength(1 << 20)
			h, is := p.frame().(*http2.HeadersFrame)
			if !is {
				t.Error("no request")
				return
			}
			block, frames := strings.Clone(string(h.HeaderBlockFragment())), 1
			for ended := h.HeadersEnded(); !ended; frames++ {
				c := p.frame().(*http2.ContinuationFrame)
				block += string(c.HeaderBlockFragment())
				ended = c.HeadersEnded()
			}
			fields, err := p.decoder.DecodeFull([]byte(block))
			if err != nil {
				t.Error(err)
			}
			got := map[string]string{}
			for _, f := range fields {
				got[f.Name] = f.Value
			}
			if got["x-long"] != long.Headers[0].Value || got["x-topic"] != "news" || !strings.HasPrefix(got["x-id"], "unique-") {
				t.Errorf("fields of %d", len(got))
			}
			bytes := 0
			for ended := false; !ended; {
				d := p.frame().(*http2.DataFrame)
				bytes += len(d.Data())
				ended = d.StreamEnded()
			}
			want := 3
			if k >= 2 {
				want = 2
			}
			if frames != want || bytes != 50_000 {
				t.Errorf("request %d: %d frames of headers, %d bytes", k, frames, bytes)
			}
			if k == 1 { // before it is answered and the next comes
				p.settings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 30_000})
				p.onAck = func() { p.framer.SetMaxReadFrameSize(30_000) }
				p.framer.WritePing(false, [8]byte{})
				if f, is := p.frame().(*http2.PingFrame); !is || !f.IsAck() { // it has seen the settings
					t.Error("no answer to PING")
				}
			}
			p.ok(h.StreamID)
		}
	}, func(pool *Pool) {
		for range 2 {
			b, done := batch(2, func(int) string { return "x" })
			for i := range b.Payloads {
				b.Payloads[i] = []byte(strings.Repeat("b", 50_000))
			}
			pool.Submit(Work{Batch: b, Shape: long, Pushes: plain{b}})
			expect(t, <-done, accepted)
		}
	})
}

// The peer's first SETTINGS may be read after the connection was given up.
func TestSettingsOfAConnectionThatIsOver(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	p := &Pool{cfg: Default(), log: quiet(), look: make(chan struct{}, 1)}
	c := newConn(p, near)
	c.fail(errClosed)
	c.in = appendFrame(c.in, 0, frameSettings, 0, 0)
	if err := c.take(); err != nil {
		t.Error(err)
	}
	<-c.settled
}
