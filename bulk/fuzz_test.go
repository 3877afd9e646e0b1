package bulk

import (
	"bytes"
	"strconv"
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

// Whatever a peer sends, every push of the batch ends with one result.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(nil, 0, frameSettings, 0, 0))
	f.Add(append(appendFrame(appendFrame(nil, 0, frameSettings, 0, 0), 1, frameHeaders, flagEndHeaders|flagEndStream, 1), 0x88))
	f.Add(append(appendFrame(appendFrame(nil, 0, frameSettings, 0, 0), 1, frameHeaders, flagEndHeaders, 3), 0x8d))
	f.Add(appendReset(appendFrame(nil, 0, frameSettings, 0, 0), 5, codeRefused))
	f.Add(appendGoAway(appendFrame(nil, 0, frameSettings, 0, 0), codeNone))
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
		for len(in) > 0 { // in pieces, as a socket gives them
			k := min(len(in), cap(c.in)-len(c.in), 700)
			c.in = append(c.in, in[:k]...)
			in = in[k:]
			if c.take() != nil {
				break
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
	})
}
