package bulk

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin/provider"
)

// shared opens two connections of four streams each. The first that is asked
// answers after one delay, the other after another.
func shared(t *testing.T, delays [2]time.Duration, test func(pool *Pool)) {
	cfg := quick()
	cfg.Min, cfg.Max = 2, 2
	var asked atomic.Int32
	piped(t, cfg, func(_ int, p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 4})
		var mu sync.Mutex // of the framer's writing side
		p.onPing = func() {
			mu.Lock()
			p.framer.WritePing(true, [8]byte([]byte(pingData)))
			mu.Unlock()
		}
		delay := time.Duration(-1)
		for {
			a, ok := p.request()
			if !ok {
				return
			}
			if delay < 0 {
				delay = delays[asked.Add(1)-1]
			}
			time.AfterFunc(delay, func() {
				mu.Lock()
				p.ok(a.stream)
				mu.Unlock()
			})
		}
	}, func(pool *Pool) {
		if err := pool.Warm(context.Background()); err != nil {
			t.Fatal(err)
		}
		test(pool)
	})
}

func lastWritten(b *provider.Batch) (at time.Time, n int) {
	for _, w := range b.Wrote {
		at, n = w.At, n+w.To-w.From
	}
	return at, n
}

// A batch does not wait for streams while another connection has some.
func TestRestLeavesOverAnotherConnection(t *testing.T) {
	shared(t, [2]time.Duration{time.Second, time.Second}, func(pool *Pool) {
		for range 3 {
			start := time.Now()
			b := push(pool, 7)
			expect(t, b, accepted)
			if at, n := lastWritten(b); n != 7 || at.Sub(start) > 0 {
				t.Errorf("%d written, the last after %v", n, at.Sub(start))
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("answered after %v", took)
			}
		}
	})
}

// Nor when that connection gets its streams later, and has nothing to write.
func TestFreeStreamsTakeOver(t *testing.T) {
	const soon, late = 130 * time.Millisecond, 8 * time.Second // not when the keeper looks
	shared(t, [2]time.Duration{soon, late}, func(pool *Pool) {
		one, first := batch(4, func(int) string { return "x" })
		two, second := batch(12, func(int) string { return "y" })
		left := 0
		two.Left = func(written int) { left += written }
		start := time.Now()
		submit(pool, one)
		synctest.Wait()
		submit(pool, two)
		<-first
		<-second
		expect(t, one, accepted)
		expect(t, two, accepted)
		if at, n := lastWritten(two); n != 12 || at.Sub(start) != 2*soon {
			t.Errorf("%d written, the last after %v, want %v", n, at.Sub(start), 2*soon)
		}
		if left != 12 {
			t.Errorf("Left told of %d", left)
		}
	})
}
