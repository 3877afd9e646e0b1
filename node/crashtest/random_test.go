package crashtest_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
)

var (
	kills  = flag.Int("kills", 1, "how often a node is killed at a random instant")
	people = flag.Int("people", 2_000, "subscriptions that each round sends to")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano())%1e6, "of what is drawn: audience, faults, windows and instants")
	lanes  = flag.Int("lanes", 3, "how many worlds are killed side by side: each mostly waits for answers that do not come")
	only   = flag.Int("only", 0, "repeat this kill alone")
	from   = flag.Int("from", 1, "number of the first kill")
)

// TestRandomKills kills a node while it sends, at an instant drawn over the
// time that the sends take, and judges the ledgers when the next node has
// finished them. The node that finished is the next to be killed, so that the
// folder grows old.
func TestRandomKills(t *testing.T) {
	t.Logf("seed %d", *seed)
	program := build(t, strings.ReplaceAll("node "+*bug, " ", "-"), bugOf[*bug].edits...)
	inLanes(t, func(t *testing.T, lane int) {
		var w *world
		for number := *from; number <= *kills; number++ {
			if number%*lanes != lane || *only > 0 && number != *only {
				continue
			}
			draw := random(*seed, number)
			window := windowOf(number / *lanes)
			if w == nil {
				w = newWorld(t, program, *seed, *people)
				w.begin(window)
			} else if window != w.window {
				w.restart(window)
			}
			span := w.span()
			doubt := tocsin.Resend
			if draw.IntN(3) == 0 {
				doubt = tocsin.Skip
			}
			r := w.plan(draw, doubt)
			early := draw.Float64() // most happens in the first part; later a few retries are waited for
			w.killAt(r, time.Duration(early*early*float64(span)), draw)
			if !w.report(r, number, *kills, "at a random instant") {
				t.Errorf("repeat it with: go test ./node/crashtest -run TestRandomKills -v -seed %d -kills %d -people %d -only %d", *seed, *kills, *people, number)
				return
			}
		}
	})
}

// begin starts the first node and imports the audience.
func (w *world) begin(window int) {
	w.Helper()
	w.window = window
	w.start("", 0)
	w.setUp()
}

// span is how long a round takes that nobody disturbs, with this window.
func (w *world) span() time.Duration {
	w.Helper()
	if w.spans[w.window] == 0 {
		r := w.plan(random(w.seed, 0), tocsin.Resend)
		ctx := context.Background()
		w.fire(ctx, r)
		w.finish(ctx, r)
		w.spans[w.window] = time.Since(r.begun)
		if !w.report(r, 0, *kills, "no kill") {
			w.FailNow()
		}
	}
	return w.spans[w.window]
}

// restart ends the node cleanly and starts it with another window.
func (w *world) restart(window int) {
	w.Helper()
	w.node.Process.Signal(syscall.SIGTERM)
	<-w.node.ended
	if w.node.err != nil {
		w.Fatalf("the node did not end cleanly: %v\n%s", w.node.err, w.complaints())
	}
	w.window = window
	w.start("", 0)
}

// killAt fires a round and kills the node after a while; one time in eight the
// next one too, soon after its start. draw may be nil.
func (w *world) killAt(r *round, after time.Duration, draw *rand.Rand) {
	w.Helper()
	ctx := context.Background()
	soon := time.Duration(0)
	if draw != nil && draw.IntN(8) == 0 {
		soon = time.Duration(1+draw.IntN(300)) * time.Millisecond
	}
	fired := make(chan struct{})
	go func() {
		defer close(fired)
		w.fire(ctx, r)
	}()
	<-time.After(after)
	w.node.kill()
	<-fired
	w.deaths++
	r.killed = after
	w.start("", 0)
	if soon > 0 {
		<-time.After(soon)
		w.node.kill()
		w.deaths++
		w.start("", 0)
	}
	w.finish(ctx, r)
}

// report judges a round and prints its line. It forgets what the providers
// received, so that the next round starts from nothing.
func (w *world) report(r *round, number, of int, where string) bool {
	w.Helper()
	v, err := w.judge(context.Background(), r)
	c := r.orders[0].ended.Counters
	w.Logf("kill %d/%d seed %d window %s %s after %.3f s, %d killed, ready %.2f s; everybody %d (%s): accepted %d gone %d refused %d in doubt %d;"+
		" all sends %d pushes, accepted twice %d (by a take %d), marked %d, traced %d; %.1f s", number, of, w.seed, windowName(w.window), where,
		r.killed.Seconds(), w.deaths, w.slowest.Seconds(), c.Audience, r.orders[0].request.Message.OnDoubt, c.Accepted, c.Gone, c.Refused, c.InDoubt,
		v.pushes, v.twice, v.takenOver, v.doubtful, v.traced, time.Since(r.begun).Seconds())
	if err != nil {
		w.Errorf("a law is broken:\n%v", err)
	}
	if w.slowest > restartLimit {
		w.Errorf("ready %.2f s after a kill: at most %v is allowed", w.slowest.Seconds(), restartLimit)
	}
	w.deaths, w.slowest = 0, 0
	w.providers.command(w.T, "/reset", nil)
	return !w.Failed()
}
