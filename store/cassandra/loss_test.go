//go:build engines

package cassandra

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/engines"
	"github.com/tocsin-push/tocsin/store"
)

// load is writers at work, and what they were told.
type load struct {
	s     *Store
	acked atomic.Int64 // writes and puts
	ended sync.WaitGroup

	mu     sync.Mutex
	rows   map[string]uint64 // key of writer: version acknowledged last
	counts map[string]uint64 // key of putter: number acknowledged last
	errs   map[string]int    // "write", "put": calls that failed; "doubt": outcome unknown
	slow   time.Duration     // the longest call
}

// keys is how many rows a writer writes before it writes over the first: a lost
// one must not be hidden by what is written later.
const keys = 4096

func counted(n uint64) []byte { return fmt.Appendf(nil, "number %d", n) }

// placeOf spreads writers over partitions, and so over nodes.
func placeOf(i int) store.Place { return store.Place{Table: "loss", Partition: fmt.Sprint(i)} }

func (l *load) note(kind string, began time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = max(l.slow, time.Since(began))
	if err != nil {
		l.errs[kind]++
	}
}

// write writes two rows at a time, in ever higher versions. A call that fails is
// made again.
func (l *load) write(ctx context.Context, i int) {
	at := placeOf(i)
	for n := uint64(1); ctx.Err() == nil; {
		began := time.Now()
		key := fmt.Sprintf("row/%d", n%keys)
		err := l.s.Write(ctx, at, store.Write{Key: key, Value: counted(n), Version: n}, store.Write{Key: "last", Value: counted(n), Version: n})
		if ctx.Err() != nil {
			return
		}
		l.note("write", began, err)
		if err == nil {
			l.mu.Lock()
			l.rows[fmt.Sprintf("%d/%s", i, key)] = n
			l.mu.Unlock()
			l.acked.Add(1)
			n++
		}
	}
}

// count counts a row up by conditional puts. After one whose outcome is not known
// it reads the row, as long as that takes.
func (l *load) count(ctx context.Context, i int) error {
	at, key := placeOf(i), "count"
	var old []byte
	for n := uint64(1); ctx.Err() == nil; {
		began := time.Now()
		ok, now, err := l.s.PutIf(ctx, at, key, old, counted(n), time.Time{})
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, store.ErrAmbiguous) {
			l.note("doubt", began, err)
		} else {
			l.note("put", began, err)
		}
		switch {
		case err == nil && ok:
		case err == nil && string(now.Value) == string(counted(n)): // by an earlier try of ours
		case err == nil:
			return fmt.Errorf("counter %d is %q, %q was acknowledged", i, now.Value, old)
		default:
			continue // again: at most one of the tries finds the old value
		}
		l.mu.Lock()
		l.counts[fmt.Sprint(i)] = n
		l.mu.Unlock()
		l.acked.Add(1)
		old = counted(n)
		n++
	}
	return nil
}

func begin(t *testing.T, s *Store, writers, putters int) (l *load, stop func()) {
	l = &load{s: s, rows: map[string]uint64{}, counts: map[string]uint64{}, errs: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	for i := range writers {
		l.ended.Go(func() { l.write(ctx, i) })
	}
	for i := range putters {
		l.ended.Go(func() {
			if err := l.count(ctx, writers+i); err != nil {
				t.Error(err)
			}
		})
	}
	return l, func() { cancel(); l.ended.Wait() }
}

// more returns when so many more calls were acknowledged.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for goal := l.acked.Load() + n; l.acked.Load() < goal; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls were acknowledged, and no %d more within a minute", l.acked.Load(), n)
		}
	}
}

// check reads everything that was acknowledged.
func (l *load) check(t *testing.T, writers, putters int) {
	t.Helper()
	lost := 0
	for i := range writers {
		rows, err := store.All(t.Context(), l.s, placeOf(i), "", "")
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]uint64{}
		for _, r := range rows {
			if string(r.Value) != string(counted(r.Version)) {
				t.Errorf("row %d/%s is %q at version %d", i, r.Key, r.Value, r.Version)
			}
			have[r.Key] = r.Version
		}
		for n := range uint64(keys) {
			key := fmt.Sprintf("row/%d", n)
			if have[key] < l.rows[fmt.Sprintf("%d/%s", i, key)] || have[key] > have["last"] {
				lost++
			}
		}
	}
	for i := range putters {
		row, err := l.s.GetLatest(t.Context(), placeOf(writers+i), "count")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		// At most one put more than acknowledged: the one that stop interrupted.
		if n := l.counts[fmt.Sprint(writers+i)]; n > 0 && string(row.Value) != string(counted(n)) && string(row.Value) != string(counted(n+1)) {
			t.Errorf("counter %d is %q, %d was acknowledged", writers+i, row.Value, n)
		}
	}
	if lost > 0 {
		t.Errorf("%d rows that were acknowledged are lost", lost)
	}
	t.Logf("%d calls acknowledged, nothing lost: %v; failed: %v, longest %v", l.acked.Load(), lost == 0, maps.Collect(maps.All(l.errs)), l.slow)
}

func drawn(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// killedAlone kills the only node twice in the middle of writes and puts.
func killedAlone(t *testing.T, c *engines.Cassandra) {
	const writers, putters = 8, 4
	r := drawn(t)
	s := prepared(t, config(t, c, "alone"), 1)
	defer s.Close()
	l, stop := begin(t, s, writers, putters)
	defer stop()
	for range 2 {
		l.more(t, 200+r.Int64N(1000))
		if err := c.Nodes[0].Kill(); err != nil {
			t.Fatal(err)
		}
		if err := c.Nodes[0].Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.more(t, 200)
	stop()
	l.check(t, writers, putters)
}

// A node of three is killed, and one is paused, in the middle of writes and puts:
// plain calls do not fail, puts fail as ambiguous only, and nothing is lost. What
// was written is read then from any two nodes.
func TestThreeNodes(t *testing.T) {
	c := start(t, 3)
	t.Run("contract", func(t *testing.T) { contract(t, c) })
	t.Run("killed and paused", func(t *testing.T) { killedOfThree(t, c) })
}

func killedOfThree(t *testing.T, c *engines.Cassandra) {
	const writers, putters = 8, 4
	r := drawn(t)
	s := prepared(t, config(t, c, "three"), 3)
	defer s.Close()
	l, stop := begin(t, s, writers, putters)
	defer stop()
	l.more(t, 200+r.Int64N(1000))
	killed := c.Nodes[r.IntN(3)]
	if err := killed.Kill(); err != nil {
		t.Fatal(err)
	}
	l.more(t, 500)
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	paused := c.Nodes[r.IntN(3)]
	l.more(t, r.Int64N(500))
	if err := paused.Pause(); err != nil {
		t.Fatal(err)
	}
	l.more(t, 500)
	if err := paused.Resume(); err != nil {
		t.Fatal(err)
	}
	l.more(t, 200)
	stop()
	l.mu.Lock()
	if l.errs["write"] > 0 || l.errs["put"] > 0 {
		t.Errorf("calls failed while two of three nodes ran: %v", l.errs)
	}
	l.mu.Unlock()
	l.check(t, writers, putters)
	for _, n := range c.Nodes {
		if err := n.Pause(); err != nil {
			t.Fatal(err)
		}
		l.check(t, writers, putters)
		if err := n.Resume(); err != nil {
			t.Fatal(err)
		}
	}
}
