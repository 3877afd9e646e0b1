package trial

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 600, "histories to play")
	first = flag.Uint64("seed", 1, "the first seed")
)

// A history leaves much behind and lives a few milliseconds: collecting seldom
// costs little memory and saves much of the time.
func TestMain(m *testing.M) {
	runtime.MemProfileRate = 0
	debug.SetGCPercent(2000)
	m.Run()
}

// sweep plays seeds on all cores until one breaks a law.
func sweep(from uint64, n int, o Options) (broken *Result, reached [states]int, played int) {
	town := Found(o)
	var wait sync.WaitGroup
	var mu sync.Mutex
	next := from
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				mu.Lock()
				seed := next
				if broken != nil || seed >= from+uint64(n) {
					mu.Unlock()
					return
				}
				next++
				mu.Unlock()
				r := town.Run(seed)
				mu.Lock()
				played++
				for s, met := range r.Reached {
					if met > 0 {
						reached[s]++
					}
				}
				if len(r.Broken) > 0 && (broken == nil || r.Seed < broken.Seed) {
					broken = &r
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return broken, reached, played
}

// processor is the time that the process has had of all cores.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// No history breaks a law, and each fault and each rare state is met in at
// least one in a hundred.
func TestHistories(t *testing.T) {
	begun, used := time.Now(), processor()
	broken, reached, played := sweep(*first, *seeds, Default())
	t.Logf("%d histories from seed %d of %+v, %.0f a second, %.1f ms of processor each", played, *first, Default(),
		float64(played)/time.Since(begun).Seconds(), 1000*(processor()-used).Seconds()/float64(played))
	if broken != nil {
		t.Fatalf("%v\n%s\nplay it again: go test ./trial -run Histories -seed %d -seeds 1", broken, strings.Join(broken.Broken, "\n"), broken.Seed)
	}
	var table strings.Builder
	for s := 1; s < int(states); s++ {
		fmt.Fprintf(&table, "\n%6.2f %% %s", 100*float64(reached[s])/float64(played), Name(s))
	}
	t.Log(table.String())
	if played < 100 {
		return // too few for shares
	}
	for s := 1; s < int(states); s++ {
		if 100*reached[s] < played {
			t.Errorf("%q was met in %d of %d histories", Name(s), reached[s], played)
		}
	}
}

// A seed is a history: played again it is the same to the byte.
func TestReplay(t *testing.T) {
	town, other := Found(Default()), Found(Default())
	for seed := *first; seed < *first+10; seed++ {
		a, b := town.Run(seed), other.Run(seed)
		if a.Trace != b.Trace || a.Events != b.Events {
			t.Fatalf("two runs differ:\n%v\n%v", a, b)
		}
	}
}
