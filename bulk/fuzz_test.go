package bulk

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/tocsin-push/tocsin/provider"
)

// What we understand of a header block is what x/net's decoder understands.
func FuzzDecode(f *testing.F) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, h := range []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: ":status", Value: "429"}, {Name: "retry-after", Value: "30"},
		{Name: "x-wns-error-description", Value: "no"}, {Name: "apns-id", Value: "00000000-0000"}, {Name: "secret", Value: "x", Sensitive: true}} {
		e.WriteField(h)
	}
	f.Add(block.Bytes(), []byte{0xbe, 0xbf, 0xc0})
	f.Add([]byte{0x88}, []byte{0x20, 0x3f, 0xe1, 0x1f, 0x88})
	f.Add([]byte{0x48, 0x82, 0x64, 0x02}, []byte{0xbe})
	f.Fuzz(func(t *testing.T, one, two []byte) {
		mine, theirs := newDecoder(), hpack.NewDecoder(tableSize, nil)
		for _, b := range [][]byte{one, two} {
			status, retry, note := 0, "", ""
			wrong := false
			theirs.SetEmitFunc(func(h hpack.HeaderField) {
				switch h.Name {
				case ":status":
					n, err := strconv.ParseUint(h.Value, 10, 16)
					if err != nil || len(h.Value) != 3 {
						n = 0
					}
					status = int(n)
				case "retry-after":
					retry = h.Value
				case "x-wns-error-description":
					note = h.Value
				}
			})
			if _, err := theirs.Write(b); err != nil {
				wrong = true
			} else if theirs.Close() != nil {
				wrong = true
			}
			err := mine.decode(b)
			if wrong || err == errLateResize {
				return // we skip what we do not read, and x/net allows a late change of an empty table
			}
			if err != nil {
				t.Fatalf("%x: %v, and x/net takes it", b, err)
			}
			if mine.status != status || string(mine.retry) != retry || string(mine.note) != note {
				t.Fatalf("%x: %d %q %q, want %d %q %q", b, mine.status, mine.retry, mine.note, status, retry, note)
			}
		}
	})
}

// Whatever a peer sends, every push of the batch ends with one result, the
// windows stay what RFC 9113 allows, and what is kept of the peer is bounded.
func FuzzFrames(f *testing.F) {
	hello := appendFrame(nil, 0, frameSettings, 0, 0)
	join := func(frames ...[]byte) []byte { return bytes.Join(append([][]byte{hello}, frames...), nil) }
	frame := func(kind, flags byte, stream uint32, payload ...byte) []byte {
		return append(appendFrame(nil, len(payload), kind, flags, stream), payload...)
	}
	f.Add(hello)
	f.Add(join(frame(frameHeaders, flagEndHeaders|flagEndStream, 1, 0x88)))
	f.Add(join(frame(frameHeaders, flagEndHeaders, 3, 0x8d), frame(frameData, flagEndStream, 3, []byte(`{"reason":"x"}`)...)))
	f.Add(join(frame(frameHeaders, flagEndHeaders, 1, 0x48, 3, '1', '0', '3'), frame(frameHeaders, flagEndHeaders|flagEndStream, 1, 0x88)))
	f.Add(join(frame(frameHeaders, flagEndHeaders, 1, 0x88), frame(frameHeaders, flagEndHeaders|flagEndStream, 1, 0, 1, 'a', 1, 'b')))
	f.Add(join(frame(frameHeaders, 0, 1, 0x48), frame(frameContinuation, 0, 1), frame(frameContinuation, flagEndHeaders, 1, 3, '4', '1', '0')))
	f.Add(join(frame(frameHeaders, flagEndHeaders|flagPadded|flagPriority, 1, 2, 0, 0, 0, 0, 9, 0x88, 0, 0)))
	f.Add(join(frame(frameData, flagPadded|flagEndStream, 5, 1, 'x', 0)))
	f.Add(join(appendReset(nil, 5, codeRefused)))
	f.Add(join(appendReset(nil, 11, codeCancel)))
	f.Add(join(appendGoAway(nil, codeNone)))
	f.Add(join(frame(frameSettings, 0, 0, 0, 4, 0, 0, 0, 5), frame(frameSettings, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff), appendWindowUpdate(nil, 11, 7)))
	f.Add(join(frame(frameSettings, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 5, 0, 1, 0, 0)))
	f.Add(join(frame(framePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), frame(framePing, flagAck, 0, []byte(pingData)...)))
	f.Add(join(appendWindowUpdate(nil, 0, 1), appendWindowUpdate(nil, 0, maxWindow)))
	f.Add(join(frame(frameSettings, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff), appendWindowUpdate(nil, 11, maxWindow), frame(frameSettings, 0, 0)))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := &Pool{cfg: Default(), log: quiet(), look: make(chan struct{}, 1)}
		c := newConn(p, nil)
		const n = 6
		done := 0
		b, _ := batch(n, func(int) string { return "x" })
		b.Done = func(*provider.Batch) { done++ }
		j := new(job)
		j.start(Work{Batch: b, Shape: testShape, Pushes: plain{b}}, 0)
		j.left--
		p.open++
		c.runs.add(run{job: j, first: 1, n: n, left: n, at: time.Now()})
		c.inflight, c.opened = n, 1+2*n
		c.rest = rest{job: j, index: n - 1, stream: 2*n - 1, body: make([]byte, 100), window: 5}
		for len(in) > 0 { // in pieces, as a socket gives them
			k := min(len(in), cap(c.in)-len(c.in), 700)
			c.in = append(c.in, in[:k]...)
			in = in[k:]
			if c.take() != nil {
				break
			}
			if c.window > maxWindow || c.rest.window > maxWindow && c.rest.body != nil || c.streams > p.cfg.Streams || c.tableLimit > tableSize {
				t.Fatalf("windows %d and %d, %d streams, a table of %d", c.window, c.rest.window, c.streams, c.tableLimit)
			}
			if len(c.in) > frameHeader+maxFrame || len(c.block) > 1<<16 || len(c.answers) > n {
				t.Fatalf("%d bytes and a block of %d kept, %d answers", len(c.in), len(c.block), len(c.answers))
			}
		}
		for i := range c.runs.list {
			x := &c.runs.list[i]
			for k := range x.n {
				c.unanswered(x, x.first+2*uint32(k))
			}
		}
		c.mu.Lock()
		c.unlockAndTell()
		if done != 1 || c.inflight != 0 {
			t.Fatalf("Done came %d times, %d in flight", done, c.inflight)
		}
		for i, r := range b.Results {
			if r == provider.Pending {
				t.Fatalf("push %d has no result", i)
			}
		}
		for _, d := range b.Details {
			if d.RetryAfter < 0 || d.RetryAfter > longestRetryAfter {
				t.Fatalf("wait of %v", d.RetryAfter)
			}
		}
	})
}

// Whatever a peer sets, what we write is what x/net's decoder reads: table sizes
// change between blocks, and shapes take turns.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{0, 10, 255, 1, 0, 128}, "news", "bearer x")
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, strings.Repeat("long", 300), "")
	f.Fuzz(func(t *testing.T, sizes []byte, one, two string) {
		sizes, one, two = sizes[:min(len(sizes), 32)], one[:min(len(one), 5000)], two[:min(len(two), 5000)]
		theirs := hpack.NewDecoder(tableSize, nil)
		e := newEncoder("example.com")
		b, _ := batch(1, func(int) string { return one })
		shapes := []*Shape{
			{Headers: []Header{{"a", one, Indexed}, {"b", two, NameOnly}, {"c", one, Literal}}, Unique: "id"},
			{Path: "/fixed", Headers: []Header{{"a", two, Indexed}, {"b", one, NameOnly}, {"d", two, Never}}},
		}
		for i, size := range sizes {
			limit := int(size) * 32
			theirs.SetAllowedMaxDynamicTableSize(uint32(limit))
			e.setLimit(limit)
			s := shapes[i%2]
			var block []byte
			if form := e.ready(s); form != nil {
				block = append(block, form.before...)
				if s.Path == "" {
					block = appendPath(block, plain{b}, 0)
				}
				block = append(block, form.after...)
				if s.Unique != "" {
					block = appendUnique(block, plain{b}, 0)
				}
			} else {
				block = e.teach(block, s, plain{b}, 0)
			}
			fields, err := theirs.DecodeFull(block)
			if err != nil {
				t.Fatalf("block %d: %v", i, err)
			}
			want := [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "example.com"}, {":path", "/push/" + one}}
			if s.Path != "" {
				want[3][1] = s.Path
			}
			for _, h := range s.Headers {
				want = append(want, [2]string{h.Name, h.Value})
			}
			if s.Unique != "" {
				want = append(want, [2]string{"id", "unique-00000000"})
			}
			if len(fields) != len(want) {
				t.Fatalf("block %d: %v", i, fields)
			}
			for k, field := range fields {
				if field.Name != want[k][0] || field.Value != want[k][1] {
					t.Fatalf("block %d: %v, want %v", i, field, want[k])
				}
			}
		}
	})
}
