package bulk

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin/provider"
)

const (
	accepted    = provider.Accepted
	lost        = provider.Lost
	unsent      = provider.Unsent
	unprocessed = provider.Unprocessed
)

func TestStreamLimitIsObeyedAlsoWhenItChanges(t *testing.T) {
	under, most := 0, 0
	piped(t, quick(), func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2})
		var open []uint32
		for k := range 8 {
			a, ok := p.request()
			if !ok {
				t.Error("no request")
				return
			}
			open = append(open, a.stream)
			under++
			most = max(most, under)
			if k == 1 {
				p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 4})
			}
			if k == 3 {
				if most != 4 {
					t.Errorf("%d streams at once, want 4", most)
				}
				p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
				for range 3 {
					p.ok(open[0])
					open = open[1:]
					under--
				}
				most = 0
			}
			if k >= 3 { // one at a time now
				p.ok(open[0])
				open = open[1:]
				under--
			}
		}
		if most > 1 {
			t.Errorf("%d streams at once, want 1", most)
		}
		p.serve()
	}, func(pool *Pool) { expect(t, push(pool, 8), accepted) })
}

func TestBodiesWaitForWindows(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 50})
		for k := range 3 {
			h := p.frame().(*http2.HeadersFrame)
			p.decoder.DecodeFull(h.HeaderBlockFragment())
			got := 0
			for got < 200 {
				d := p.frame().(*http2.DataFrame)
				got += len(d.Data())
				if d.StreamEnded() != (got == 200) {
					t.Errorf("stream ended at %d bytes", got)
				}
				if got%50 != 0 {
					t.Errorf("push %d: %d bytes so far", k, got)
				}
				switch {
				case got == 50: // by the stream's own window
					p.framer.WriteWindowUpdate(h.StreamID, 50)
				case got == 100: // by a new initial window, which counts for open streams too
					p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
				case got == 150:
					p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 50})
					p.framer.WriteWindowUpdate(h.StreamID, 100)
				}
			}
			p.ok(h.StreamID)
		}
	}, func(pool *Pool) {
		b := push(pool, 3)
		expect(t, b, accepted)
		if len(b.Wrote) != 3 || b.Wrote[2].To != 3 {
			t.Errorf("wrote %v", b.Wrote)
		}
	})
}

func TestConnectionWindowIsObeyed(t *testing.T) {
	const n = 400 // of 200 bytes: more than the 65,535 of a new connection
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		got, allowed := 0, initialWindow
		var open []uint32
		for len(open) < n {
			switch f := p.frame().(type) {
			case *http2.HeadersFrame:
				p.decoder.DecodeFull(f.HeaderBlockFragment())
			case *http2.DataFrame:
				got += len(f.Data())
				if got > allowed {
					t.Errorf("%d bytes, and %d allowed", got, allowed)
					return
				}
				if f.StreamEnded() {
					open = append(open, f.StreamID)
				}
				if got == initialWindow {
					allowed = n * 200
					p.framer.WriteWindowUpdate(0, n*200-initialWindow)
				}
			}
		}
		if got != n*200 {
			t.Errorf("%d bytes", got)
		}
		for _, s := range open {
			p.ok(s)
		}
	}, func(pool *Pool) { expect(t, push(pool, n), accepted) })
}

// A body that is answered before it was all sent is not sent on.
func TestEarlyAnswerEndsACutBody(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 50})
		h := p.frame().(*http2.HeadersFrame)
		p.decoder.DecodeFull(h.HeaderBlockFragment())
		p.frame()
		p.answer(h.StreamID, true, ":status", "413")
		if r, ok := p.frame().(*http2.RSTStreamFrame); !ok || r.StreamID != h.StreamID {
			t.Errorf("the stream was not reset: %v", r)
		}
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
		p.serve()
	}, func(pool *Pool) {
		b := push(pool, 2)
		expect(t, b, provider.Refused, accepted)
		if len(b.Wrote) != 1 || b.Wrote[0].From != 1 {
			t.Errorf("wrote %v", b.Wrote)
		}
	})
}

func TestTableSizeFollowsThePeer(t *testing.T) {
	finished := make(chan struct{})
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		for _, size := range []uint32{4096, 0, 100, 4096, 65536} {
			obeyed := false
			p.onAck = func() { // from here on the peer forgets what does not fit
				p.decoder.SetAllowedMaxDynamicTableSize(size)
				p.decoder.SetMaxDynamicTableSize(min(100, size))
				p.decoder.SetMaxDynamicTableSize(size)
				obeyed = true
			}
			p.settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: min(100, size)}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
			for seen := 0; seen < 3; {
				a, ok := p.request()
				if !ok {
					t.Error("no request")
					return
				}
				if obeyed {
					seen++
				}
				for _, h := range testShape.Headers {
					if a.fields[h.Name] != h.Value {
						t.Errorf("table of %d: %s is %q", size, h.Name, a.fields[h.Name])
					}
				}
				if !strings.HasPrefix(a.fields["x-id"], "unique-") || a.fields[":authority"] != "example.com" {
					t.Errorf("table of %d: fields %v", size, a.fields)
				}
				p.ok(a.stream)
			}
		}
		close(finished)
		p.serve()
	}, func(pool *Pool) {
		for {
			expect(t, push(pool, 1), accepted)
			select {
			case <-finished:
				return
			default:
			}
		}
	})
}

func TestGoAway(t *testing.T) {
	piped(t, quick(), func(n int, p *peer) {
		if n > 0 {
			p.settings()
			p.serve()
			return
		}
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 4})
		var open []uint32
		for range 4 {
			a, _ := p.request()
			open = append(open, a.stream)
		}
		p.framer.WriteGoAway(maxStream, http2.ErrCodeNo, nil) // the warning that a graceful end starts with
		p.ok(open[0])
		p.framer.WriteGoAway(open[1], http2.ErrCodeNo, []byte(`{"reason":"Shutdown"}`))
		p.answer(open[1], true, ":status", "410")
		for {
			if f := p.frame(); f == nil {
				return
			} else if _, is := f.(*http2.HeadersFrame); is {
				t.Error("a request after GOAWAY")
			}
		}
	}, func(pool *Pool) {
		one, first := batch(6, func(int) string { return "x" })
		two, second := batch(3, func(int) string { return "y" })
		submit(pool, one)
		submit(pool, two)
		<-first
		<-second
		expect(t, one, accepted, provider.Gone, unprocessed, unprocessed, accepted, accepted)
		if w := one.Wrote; len(w) < 2 || w[0].From != 0 || w[len(w)-1].To != 6 {
			t.Errorf("wrote %v", w)
		}
		expect(t, two, accepted)
	})
}

func TestResets(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		var s []uint32
		for range 5 {
			a, _ := p.request()
			s = append(s, a.stream)
		}
		p.framer.WriteRSTStream(s[0], http2.ErrCodeRefusedStream)
		p.framer.WriteRSTStream(s[1], http2.ErrCodeInternal)
		p.answer(s[2], false, ":status", "200")
		p.framer.WriteRSTStream(s[2], http2.ErrCodeInternal) // the status was said
		p.answer(s[3], true, ":status", "410")
		p.framer.WriteRSTStream(s[3], http2.ErrCodeNo) // after the end: nothing
		p.answer(s[4], false, ":status", "200")
		p.framer.WriteData(s[4], false, []byte("half"))
		p.framer.WriteRSTStream(s[4], http2.ErrCodeRefusedStream) // it has begun an answer: not unprocessed
	}, func(pool *Pool) {
		expect(t, push(pool, 5), unprocessed, lost, accepted, provider.Gone, accepted)
	})
}

func TestAnswersInEveryForm(t *testing.T) {
	finished := make(chan struct{})
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		var s []uint32
		for range 7 {
			a, _ := p.request()
			s = append(s, a.stream)
		}
		p.framer.WritePing(false, [8]byte{1})
		p.answer(s[0], false, ":status", "103", "link", "x")
		p.answer(s[0], true, ":status", "200")

		p.answer(s[1], false, ":status", "200") // trailers
		p.answer(s[1], true, "grpc-status", "0")

		block := p.encode(":status", "410", "x-long", strings.Repeat("long", 100))
		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s[2], BlockFragment: block[:1], EndStream: true})
		p.framer.WriteContinuation(s[2], false, block[1:2])
		p.framer.WriteContinuation(s[2], false, nil)
		p.framer.WriteContinuation(s[2], true, block[2:])

		p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s[3], BlockFragment: p.encode(":status", "429", "retry-after", "90"),
			EndHeaders: true, PadLength: 30, Priority: http2.PriorityParam{StreamDep: 1, Weight: 3}})
		p.framer.WriteDataPadded(s[3], false, []byte("sl"), make([]byte, 20))
		p.framer.WriteRawFrame(0xfa, 3, 0, []byte("unknown"))
		p.framer.WriteData(s[3], false, nil)
		p.framer.WriteData(s[3], true, []byte("ow"))

		at := time.Now().Add(40 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
		p.answer(s[4], false, ":status", "503", "retry-after", at)
		p.answer(s[5], false, ":status", "400", "x-wns-error-description", "bad") // answers interleaved
		p.framer.WriteData(s[4], true, []byte("busy"))
		p.framer.WriteData(s[5], true, []byte(strings.Repeat("e", 6000)))

		p.framer.WriteData(s[6], true, []byte("no head"))
		defer close(finished)
		for {
			switch f := p.frame().(type) {
			case *http2.PingFrame:
				if !f.IsAck() || f.Data != [8]byte{1} {
					t.Errorf("PING answered with %v", f)
				}
				return
			case nil:
				t.Error("PING was not answered")
				return
			}
		}
	}, func(pool *Pool) {
		b := push(pool, 7)
		<-finished
		expect(t, b, accepted, accepted, provider.Gone, provider.Later, provider.Later, provider.Refused, lost)
		got := map[int]provider.Detail{}
		for _, d := range b.Details {
			got[d.Index] = d
		}
		if d := got[3]; d.Text != "429 slow" || d.RetryAfter != 90*time.Second {
			t.Errorf("push 3: %+v", d)
		}
		if d := got[4]; d.Text != "503 busy" || d.RetryAfter != 40*time.Second {
			t.Errorf("push 4: %+v", d)
		}
		if d := got[5]; d.Text != "400 "+strings.Repeat("e", 4096) {
			t.Errorf("push 5: %d bytes of text", len(d.Text))
		}
	})
}

func TestReceivedBytesAreGivenBack(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		given, sent := initialWindow, 0
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				break
			}
			switch f := f.(type) {
			case *http2.WindowUpdateFrame:
				given += int(f.Increment)
			case *http2.DataFrame:
				p.answer(f.StreamID, false, ":status", "200")
				p.framer.WriteData(f.StreamID, true, make([]byte, 16000))
				sent += 16000
			}
		}
		if sent != 200*16000 || given < sent {
			t.Errorf("%d bytes sent, %d allowed", sent, given)
		}
	}, func(pool *Pool) {
		for range 200 {
			expect(t, push(pool, 1), accepted)
		}
	})
}

func TestStreamsRunOut(t *testing.T) {
	connections := 0
	piped(t, quick(), func(n int, p *peer) {
		connections++
		p.settings()
		p.serve()
	}, func(pool *Pool) {
		expect(t, push(pool, 1), accepted)
		synctest.Wait()
		pool.conns[0].nextStream = maxStream - 2
		b := push(pool, 5)
		expect(t, b, accepted)
		expect(t, push(pool, 5), accepted)
		if connections != 2 {
			t.Errorf("%d connections", connections)
		}
	})
}

// A window may fall below 0 when the initial one shrinks (RFC 9113 6.9.2).
func TestWindowBelowZero(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 50})
		h := p.frame().(*http2.HeadersFrame)
		p.decoder.DecodeFull(h.HeaderBlockFragment())
		p.frame() // 50 of 200 bytes
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
		p.framer.WriteWindowUpdate(h.StreamID, 40) // up to 0
		p.framer.WritePing(false, [8]byte{})
		if f, is := p.frame().(*http2.PingFrame); !is || !f.IsAck() {
			t.Error("a body went on beyond its window")
		}
		p.framer.WriteWindowUpdate(h.StreamID, 7)
		if d, is := p.frame().(*http2.DataFrame); !is || len(d.Data()) != 7 {
			t.Errorf("%v in a window of 7", d)
		}
		p.framer.WriteWindowUpdate(h.StreamID, 143)
		if d, is := p.frame().(*http2.DataFrame); !is || !d.StreamEnded() {
			t.Errorf("%v at the end", d)
		}
		p.ok(h.StreamID)
	}, func(pool *Pool) { expect(t, push(pool, 1), accepted) })
}

// Nobody reads a long body; it must not hold up its stream for want of a window.
func TestLongAnswersAreCut(t *testing.T) {
	piped(t, quick(), func(_ int, p *peer) {
		p.settings()
		for _, status := range []string{"200", "410"} {
			a, _ := p.request()
			p.answer(a.stream, false, ":status", status)
			for range 4 {
				p.framer.WriteData(a.stream, false, make([]byte, 15_000))
			}
			if r, is := p.frame().(*http2.RSTStreamFrame); !is || r.StreamID != a.stream || r.ErrCode != http2.ErrCodeCancel {
				t.Errorf("%v after 60,000 bytes", r)
			}
		}
		a, _ := p.request()
		p.answer(a.stream, false, ":status", "410")
		p.answer(a.stream, false, "x-trailer", "that does not end the stream")
		if r, is := p.frame().(*http2.RSTStreamFrame); !is || r.ErrCode != http2.ErrCodeProtocol {
			t.Errorf("%v after trailers", r)
		}
	}, func(pool *Pool) {
		for _, want := range []provider.Result{accepted, provider.Gone, provider.Gone} {
			expect(t, push(pool, 1), want)
		}
		<-time.After(time.Second) // the last reset has come too
	})
}
