package bulk

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin/provider"
)

func TestLateAnswersAreGivenUp(t *testing.T) {
	finished := make(chan struct{})
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		a, _ := p.request()
		b, _ := p.request()
		c, _ := p.request()
		<-time.After(time.Second)
		p.ok(b.stream)
		p.answer(c.stream, false, ":status", "200") // begun, and never ended
		for reset := 0; reset < 2; {
			switch f := p.frame().(type) {
			case *http2.RSTStreamFrame:
				if f.ErrCode != http2.ErrCodeCancel || f.StreamID == b.stream {
					t.Errorf("reset %v", f)
				}
				reset++
			default:
				t.Errorf("frame %v", f)
				close(finished)
				return
			}
		}
		p.answer(a.stream, true, ":status", "410") // too late, but the table goes on
		close(finished)
		p.serve()
	}, func(pool *Pool) {
		start := time.Now()
		b := push(pool, 3)
		if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("given up after %v", took)
		}
		expect(t, b, lost, accepted, accepted)
		<-finished
		expect(t, push(pool, 3), accepted)
	})
}

// A connection on which answers only drip gets no more work, and what it has is
// given up in time.
func TestDrippingConnectionIsLeft(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings()
		if n > 0 {
			p.serve()
			return
		}
		a, _ := p.request()
		b, _ := p.request()
		go io.Copy(io.Discard, p.conn)
		p.encode(":status", "200")
		for i := range 2 * 60 { // both answers, a byte a second
			stream := []uint32{a.stream, b.stream}[i/60]
			bytes := append(appendFrame(nil, 60-frameHeader, frameHeaders, flagEndHeaders|flagEndStream, stream), 0x88, 0, 1, 'x', 46)
			bytes = append(bytes, make([]byte, 60)...)
			if _, err := p.conn.Write(bytes[i%60 : i%60+1]); err != nil {
				return
			}
			<-time.After(time.Second)
		}
		t.Error("the connection was kept")
	}, func(pool *Pool) {
		start := time.Now()
		expect(t, push(pool, 2), lost)
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("given up after %v", took)
		}
		expect(t, push(pool, 2), accepted)
	})
}

func TestBlackHoleIsLeft(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings()
		if n > 0 {
			p.serve()
			return
		}
		p.onPing = func() {}
		p.request()
		p.request()
		for p.frame() != nil { // reads, and says nothing
		}
	}, func(pool *Pool) {
		start := time.Now()
		expect(t, push(pool, 2), lost)
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("left after %v", took)
		}
		expect(t, push(pool, 2), accepted)
	})
}

func TestPeerThatStopsReadingIsLeft(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		p.settings()
		if n > 0 {
			p.serve()
			return
		}
		p.request()
		for p.framer.WritePing(true, [8]byte{}) == nil { // speaks, and does not read
			<-time.After(time.Second)
		}
	}, func(pool *Pool) {
		start := time.Now()
		b := push(pool, 2000) // more than one write
		gone := 0             // with the connection; the rest went over another one
		for gone < 2000 && b.Results[gone] == lost {
			gone++
		}
		for i, r := range b.Results[gone:] {
			if r != accepted {
				t.Fatalf("push %d of %d: %v, wrote %v", gone+i, gone, r, b.Wrote)
			}
		}
		if gone == 0 || gone > 1000 {
			t.Errorf("%d pushes are lost", gone)
		}
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("left after %v", took)
		}
		expect(t, push(pool, 2), accepted)
	})
}

func TestSilenceWithAnswersToPingIsKept(t *testing.T) {
	var connections atomic.Int32
	piped(t, quick(), func(n int, p *peer) {
		connections.Add(1)
		p.settings()
		pings := 0
		p.onPing = func() {
			p.framer.WritePing(true, [8]byte([]byte(pingData)))
			pings++
		}
		for {
			switch f := p.frame().(type) {
			case *http2.HeadersFrame:
				p.decoder.DecodeFull(f.HeaderBlockFragment())
			case *http2.DataFrame:
				p.ok(f.StreamID)
				if f.StreamID > 1 && pings < 10 {
					t.Errorf("%d pings in a minute of silence", pings)
				}
			default:
				return
			}
		}
	}, func(pool *Pool) {
		expect(t, push(pool, 1), accepted)
		<-time.After(time.Minute)
		expect(t, push(pool, 1), accepted)
		if n := connections.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestOneStreamUntilTheFirstIsAccepted(t *testing.T) {
	cfg := quick()
	cfg.Max, cfg.OneUntilAccepted = 1, true
	cfg.PingAfter, cfg.PingTimeout = time.Minute, time.Minute // only the first, which is waited for
	piped(t, cfg, func(_ int, p *peer) {
		p.settings()
		for k := range 3 {
			a, _ := p.request()
			if k < 2 { // refusing does not open the gate
				synctestNothing(p)
				p.answer(a.stream, true, ":status", "410")
				continue
			}
			p.ok(a.stream)
		}
		var open []uint32
		for range 5 {
			a, _ := p.request()
			open = append(open, a.stream)
		}
		for _, s := range open {
			p.ok(s)
		}
	}, func(pool *Pool) {
		if err := pool.Warm(context.Background()); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second) // for the first PING
		if n := pool.Capacity(); n != 1 {
			t.Errorf("Capacity is %d before the first is accepted", n)
		}
		gone := provider.Gone
		expect(t, push(pool, 8), gone, gone, accepted, accepted, accepted, accepted, accepted, accepted)
		if n := pool.Capacity(); n < 1000 {
			t.Errorf("Capacity is %d after the first was accepted", n)
		}
	})
}

// synctestNothing waits a second and fails when a frame comes.
func synctestNothing(p *peer) {
	p.conn.SetReadDeadline(time.Now().Add(time.Second))
	one := make([]byte, 1)
	if n, err := p.conn.Read(one); n > 0 || err == nil {
		p.t.Error("a request before the one ahead was accepted")
	}
	p.conn.SetReadDeadline(time.Time{})
}

func TestConnectionsGrowWhenAnswersTakeTheirTime(t *testing.T) {
	cfg := quick()
	cfg.Max, cfg.IdleTimeout = 4, 20*time.Second
	var ended atomic.Int32
	piped(t, cfg, func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		for {
			switch f := p.frame().(type) {
			case *http2.HeadersFrame:
				p.decoder.DecodeFull(f.HeaderBlockFragment())
			case *http2.DataFrame:
				<-time.After(500 * time.Millisecond)
				p.ok(f.StreamID)
			default:
				ended.Add(1)
				return
			}
		}
	}, func(pool *Pool) {
		start := time.Now()
		var waits []chan *provider.Batch
		for range 40 {
			b, done := batch(1, func(int) string { return "x" })
			submit(pool, b)
			waits = append(waits, done)
		}
		for _, done := range waits {
			expect(t, <-done, accepted)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("%v for 40 pushes of 0.5 s: the pool did not grow", took)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n := ended.Load(); n != 3 {
			t.Errorf("%d idle connections were closed, want 3", n)
		}
	})
}

func TestStopIsSeenWithoutStreams(t *testing.T) {
	cfg := quick()
	cfg.PingTimeout = 5 * time.Second // while the peer looks away
	piped(t, cfg, func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		a, _ := p.request()
		<-time.After(3 * time.Second)
		p.ok(a.stream)
		p.serve()
	}, func(pool *Pool) {
		b, done := batch(3, func(int) string { return "x" })
		queued, queuedDone := batch(3, func(int) string { return "x" })
		submit(pool, b)
		submit(pool, queued)
		<-time.After(time.Second)
		start := time.Now()
		queued.Stop.Store(true)
		expect(t, <-queuedDone, unsent)
		b.Stop.Store(true)
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("Stop took %v", took)
		}
		expect(t, <-done, accepted, unsent, unsent)
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Time
		start := time.Now()
		pool, err := New(quick(), Options{Origin: "https://example.com", Log: quiet(),
			Dial: func(context.Context, string, string) (net.Conn, error) {
				dials = append(dials, time.Now())
				return nil, errors.New("no route")
			}})
		if err != nil {
			t.Fatal(err)
		}
		b := push(pool, 3)
		expect(t, b, provider.Later)
		if len(b.Wrote) != 0 || len(b.Details) != 3 {
			t.Errorf("wrote %v, details %v", b.Wrote, b.Details)
		}
		if err := pool.Warm(context.Background()); err == nil {
			t.Error("Warm succeeds")
		}
		<-time.After(10 * time.Minute)
		pool.Close(context.Background())
		if n := len(dials); n < 20 || n > 50 {
			t.Errorf("%d attempts in 10 minutes, the last after %v", n, dials[n-1].Sub(start))
		}
	})
}

// A peer that breaks the protocol is told so and left; what it owes is Lost.
func TestViolations(t *testing.T) {
	settings := func(id http2.SettingID, value uint32) func(*peer, uint32) {
		return func(p *peer, _ uint32) {
			p.framer.WriteRawFrame(frameSettings, 0, 0, []byte{0, byte(id), byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)})
		}
	}
	for name, test := range map[string]struct {
		code  http2.ErrCode
		wrong func(p *peer, stream uint32)
	}{
		"push promise":           {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRawFrame(framePushPromise, flagEndHeaders, s, make([]byte, 8)) }},
		"headers of no stream":   {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.ok(s + 2) }},
		"headers of stream 0":    {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.ok(0) }},
		"data of an even stream": {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteData(s+1, true, nil) }},
		"reset of no stream":     {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRSTStream(s+2, 0) }},
		"window of no stream":    {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteWindowUpdate(s+2, 1) }},
		"lone continuation":      {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteContinuation(s, true, nil) }},
		"endless continuation": {http2.ErrCodeEnhanceYourCalm, func(p *peer, s uint32) {
			p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s})
			go func() {
				for p.framer.WriteContinuation(s, false, nil) == nil {
				}
			}()
		}},
		"interrupted block": {http2.ErrCodeProtocol, func(p *peer, s uint32) {
			p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s})
			p.framer.WritePing(false, [8]byte{})
		}},
		"padding beyond the frame":  {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameData, flagPadded, s, []byte{9, 1}) }},
		"block that is not HPACK":   {http2.ErrCodeCompression, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameHeaders, flagEndHeaders, s, []byte{0xff, 0xff}) }},
		"window overflow":           {http2.ErrCodeFlowControl, func(p *peer, s uint32) { p.framer.WriteWindowUpdate(0, maxWindow) }},
		"window by nothing":         {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameWindowUpdate, 0, 0, make([]byte, 4)) }},
		"window too short":          {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameWindowUpdate, 0, 0, make([]byte, 3)) }},
		"frame too large":           {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.conn.Write(appendFrame(nil, maxFrame+1, 0xfa, 0, 0)) }},
		"ping too short":            {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.framer.WriteRawFrame(framePing, 0, 0, make([]byte, 7)) }},
		"ping on a stream":          {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRawFrame(framePing, 0, s, make([]byte, 8)) }},
		"reset too short":           {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameReset, 0, s, nil) }},
		"goaway too short":          {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameGoAway, 0, 0, nil) }},
		"goaway on a stream":        {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameGoAway, 0, s, make([]byte, 8)) }},
		"settings on a stream":      {http2.ErrCodeProtocol, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameSettings, 0, s, nil) }},
		"settings that enable push": {http2.ErrCodeProtocol, settings(http2.SettingEnablePush, 1)},
		"settings too short":        {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameSettings, 0, 0, make([]byte, 5)) }},
		"settings ack with bytes":   {http2.ErrCodeFrameSize, func(p *peer, s uint32) { p.framer.WriteRawFrame(frameSettings, flagAck, 0, make([]byte, 6)) }},
		"initial window too large":  {http2.ErrCodeFlowControl, settings(http2.SettingInitialWindowSize, 1<<31)},
		"frame size too small":      {http2.ErrCodeProtocol, settings(http2.SettingMaxFrameSize, 100)},
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan http2.ErrCode, 1)
			piped(t, quick(), func(n int, p *peer) {
				p.settings()
				if n > 0 {
					p.serve()
					return
				}
				p.onPing = func() {} // an answer would wait for the pipe, and with it what the client says
				a, _ := p.request()
				test.wrong(p, a.stream)
				for {
					switch f := p.frame().(type) {
					case *http2.GoAwayFrame:
						told <- f.ErrCode
						return
					case nil:
						close(told)
						return
					}
				}
			}, func(pool *Pool) {
				expect(t, push(pool, 1), lost)
				if got := <-told; got != test.code {
					t.Errorf("told %v, want %v", got, test.code)
				}
				expect(t, push(pool, 1), accepted)
			})
		})
	}
}

func TestFirstFrameMustBeSettings(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		if n == 0 {
			p.framer.WritePing(false, [8]byte{})
			p.frame()
			return
		}
		p.settings()
		p.serve()
	}, func(pool *Pool) {
		expect(t, push(pool, 1), provider.Later)
		expect(t, push(pool, 1), accepted)
	})
}
