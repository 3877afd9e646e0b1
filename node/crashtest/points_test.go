package crashtest_test

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
)

var (
	points = flag.Bool("points", false, "kill a node at each failpoint too")
	point  = flag.String("point", "", "of these, repeat those whose name holds this")
)

// phase is a part of a node's life.
type phase int

const (
	sending  phase = iota // a round, and a while after it
	recovery              // the start after a kill in the middle of a round, and what finishes it
	setUp                 // the first start, project, credentials, import
	phases
)

var phaseNames = [phases]string{"while sending", "in recovery", "in the first start"}

// recorded is how often each failpoint was passed in each part.
type recorded [phases]map[string]int

// record lets a node live through every part and counts what it passes.
func (w *world) record() (r recorded) {
	w.Helper()
	ctx := context.Background()
	passed := func() map[string]int {
		counts, err := w.node.passed()
		if err != nil {
			w.Fatal(err)
		}
		return counts
	}
	w.begin(512)
	r[setUp] = passed()
	// Rounds until everything was saved, and a third snapshot of a shard made: then
	// the log below the second is trimmed and, of a small shard, the first removed.
	number := 1
	for ; number <= 3 || r[sending]["journal: changes: trim / after"] == 0; number++ { // three, for one of them is cancelled
		if number > 10 {
			w.Fatalf("no snapshot was replaced by a newer one in %d rounds", number)
		}
		one := w.plan(random(w.seed, -number), tocsin.Resend)
		w.fire(ctx, one)
		w.finish(ctx, one)
		w.spans[w.window] = time.Since(one.begun)
		<-time.After(2500 * time.Millisecond)
		w.report(one, 0, 0, "no kill")
		r[sending] = passed()
	}
	for name, n := range r[setUp] {
		if r[sending][name] -= n; r[sending][name] == 0 {
			delete(r[sending], name)
		}
	}
	for name, n := range r[sending] { // of one round
		if strings.HasPrefix(name, "store: catalogue: ") && r[setUp][name] > 0 { // once a day, and not in each round
			delete(r[sending], name)
			continue
		}
		r[sending][name] = (n + number - 2) / (number - 1)
	}
	two := w.plan(random(w.seed, -100), tocsin.Resend)
	w.killAt(two, w.spans[w.window]/2, nil)
	<-time.After(3 * time.Second)
	r[recovery] = passed()
	w.report(two, 0, 0, "to record a recovery")
	return r
}

// names lists all failpoints.
func (r recorded) names() (all []string) {
	for _, part := range r {
		all = slices.AppendSeq(all, maps.Keys(part))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// best is the part to kill in: where sends are under way if possible.
func (r recorded) best(name string) (in phase, n int) {
	for in = range phases {
		if n = r[in][name]; n > 0 {
			break
		}
	}
	return in, n
}

// TestEveryPoint kills a node at each failpoint that a recorded life passed,
// and judges as TestRandomKills does.
func TestEveryPoint(t *testing.T) {
	if !*points {
		t.Log("only with -points")
		return
	}
	t.Logf("seed %d", *seed)
	program := build(t, "node-")
	w := newWorld(t, program, *seed, *people)
	have := w.record()
	names := have.names()
	for _, name := range names {
		in, n := have.best(name)
		t.Logf("%6d %s: %s", n, phaseNames[in], name)
	}
	t.Logf("%d failpoints", len(names))
	if len(names) < 25 {
		t.Errorf("%d failpoints: want 25 at least", len(names))
	}
	for _, missing := range missingSteps(t, names) {
		t.Errorf("no failpoint at a durable step: %s", missing)
	}
	if t.Failed() {
		return
	}
	span := w.spans[512]
	w.end()
	inLanes(t, func(t *testing.T, lane int) {
		var w *world
		for i, name := range names {
			if i%*lanes != lane || !strings.Contains(name, *point) {
				continue
			}
			in, n := have.best(name)
			draw := random(*seed, i)
			switch window := windowOf(i / *lanes); {
			case in == setUp:
				w.end()
				w = newWorld(t, program, *seed, *people)
				w.window = window
			case w == nil:
				w = newWorld(t, program, *seed, *people)
				w.begin(window)
			case window != w.window:
				w.restart(window)
			}
			w.spans[512] = span
			doubt := tocsin.Resend
			if draw.IntN(4) == 0 {
				doubt = tocsin.Skip
			}
			pass := 1 + draw.IntN(max(1, n*2/3))
			r := w.dieAt(in, name, pass, doubt)
			if !w.report(r, i+1, len(names), phaseNames[in]+" at "+name) {
				t.Errorf("repeat it with: go test ./node/crashtest -run TestEveryPoint -v -points -seed %d -people %d -point %q", *seed, *people, name)
				return
			}
		}
	})
}

// dieAt lets a round happen over a death at a failpoint.
func (w *world) dieAt(in phase, name string, pass int, doubt tocsin.OnDoubt) *round {
	w.Helper()
	ctx := context.Background()
	if in == setUp {
		w.start(name, pass)
		w.setUp()
	}
	r := w.plan(random(w.seed, w.rounds), doubt)
	switch in {
	case setUp:
		w.fire(ctx, r)
	case recovery:
		fired := make(chan struct{})
		go func() { defer close(fired); w.fire(ctx, r) }()
		<-time.After(w.spans[512] / 2)
		w.node.kill()
		<-fired
		w.deaths++
		w.start(name, 1)
	case sending:
		for try := 1; ; try++ {
			if err := w.node.arm(name, pass); err != nil {
				w.Fatal(err)
			}
			w.fire(ctx, r)
			select {
			case <-w.node.ended:
			case <-time.After(w.spans[512] + 8*time.Second):
			}
			if w.node.disarm(); w.node.died() || try == 5 {
				break
			}
			// Rounds do not pass it equally often; a forecast that comes late is none.
			w.finish(ctx, r)
			w.report(r, 0, 0, "not reached: "+name)
			r, pass = w.plan(random(w.seed, w.rounds), doubt), 1
		}
		r.killed = time.Since(r.begun)
	}
	w.finish(ctx, r)
	if in == recovery && w.deaths < 2 { // it comes some time after the start
		select {
		case <-w.node.ended:
			w.finish(ctx, r)
		case <-time.After(8 * time.Second):
		}
	}
	if want := map[phase]int{setUp: 1, sending: 1, recovery: 2}[in]; w.deaths < want {
		w.Errorf("the node did not die at %s, which it passed when it was recorded", name)
	}
	return r
}
