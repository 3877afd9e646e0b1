package fanout

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// severed is a way to a store that several processes use, which can be cut.
type severed struct {
	store.Store
	cut atomic.Bool
}

func (s *severed) GetLatest(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if s.cut.Load() {
		<-ctx.Done()
		return store.Row{}, ctx.Err()
	}
	return s.Store.GetLatest(ctx, at, key)
}

func (s *severed) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	if s.cut.Load() {
		<-ctx.Done()
		return false, store.Row{}, ctx.Err()
	}
	return s.Store.PutIf(ctx, at, key, old, value, expires)
}

// sharer is a process that shares the quota of one subject with others: all of
// the shell, with a journal and an audience of its own.
type sharer struct {
	*town
	strict  *strict
	way     *severed
	journal *tardy
	leave   func()
}

// tardy is a journal whose appends wait while somebody wants that.
type tardy struct {
	journal.Journal
	wait atomic.Int64
}

func (j *tardy) Append(ctx context.Context, p journal.Partition, data ...[]byte) ([]journal.Position, error) {
	time.Sleep(time.Duration(j.wait.Load()))
	return j.Journal.Append(ctx, p, data...)
}

func newSharer(t *testing.T, rows store.Store, name string, people int) *sharer {
	s := &sharer{way: &severed{Store: rows}}
	s.strict = &strict{configured: 60_000, grants: 1e6, at: time.Now(), edge: edge{seen: map[string][]byte{}, times: map[string]int{}}}
	s.town = newTownSharing(t, people, map[tocsin.Provider]provider.Provider{tocsin.APNs: s.strict}, &Quotas{Store: s.way, Process: name})
	s.ctx = context.WithoutCancel(s.ctx)
	s.journal = &tardy{Journal: s.town.journal}
	s.town.journal = s.journal
	s.leave = s.owner()
	s.send(1, &record.Slice{})
	return s
}

// wrote is when each push was written.
func wrote(all ...*sharer) (at []time.Time) {
	for _, s := range all {
		s.strict.quota.Lock()
		at = append(at, s.strict.wrote...)
		s.strict.quota.Unlock()
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// between is how many of all came from an instant on, before another.
func between(at []time.Time, from, to time.Time) int {
	first, _ := slices.BinarySearchFunc(at, from, time.Time.Compare)
	last, _ := slices.BinarySearchFunc(at, to, time.Time.Compare)
	return last - first
}

// count is how many lines of the log contain something.
func (l lines) count(what string) (n int) {
	for len(l) > 0 {
		if strings.Contains(<-l, what) {
			n++
		}
	}
	return n
}

// Law L7 in sum over processes, where bytes leave, in virtual time: one loses the
// store and comes back, one says goodbye.
func TestProcessesShareAQuotaWhereBytesLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := storemem.New(time.Now)
		var all []*sharer
		for _, name := range []string{"one", "two", "three"} {
			all = append(all, newSharer(t, rows, name, 20_000))
		}
		began := time.Now()
		time.Sleep(8 * time.Second)
		if n := between(wrote(all...), began.Add(4*time.Second), time.Now()); n < 3800 {
			t.Errorf("%d left in four seconds that take 4000", n)
		}

		cut, since := all[1], time.Now()
		cut.way.cut.Store(true)
		time.Sleep(8 * time.Second)
		if last := wrote(cut)[len(wrote(cut))-1].Sub(since); last > 2*time.Second || last <= 0 {
			t.Errorf("one that lost the store sent for %v", last)
		}
		if n := between(wrote(all...), since.Add(4*time.Second), time.Now()); n < 3800 {
			t.Errorf("%d left without it, in four seconds that take 4000", n)
		}
		if n := cut.log.count("shares of quotas could not be"); n != 1 {
			t.Errorf("%d lines of the log tell of a store that fails for eight seconds", n)
		}
		cut.way.cut.Store(false)
		time.Sleep(4 * time.Second)
		if n := between(wrote(cut), time.Now().Add(-time.Second), time.Now()); n < 200 {
			t.Errorf("%d left in a second of the one that has the store again", n)
		}

		state, err := all[0].lanes.State(all[0].ctx)
		if err != nil {
			t.Fatal(err)
		}
		if s := state.Subjects[0].Shared; s.Processes != 3 || s.Own < 200 || s.Own+s.Others > 1000 {
			t.Errorf("it tells %+v", s)
		}

		all[2].leave()
		gone := time.Now()
		all[2].close()
		time.Sleep(1600*time.Millisecond - time.Since(gone)) // its last second, and 200 ms to look
		from := time.Now()
		time.Sleep(time.Second)
		if n := between(wrote(all...), from, time.Now()); n < 950 {
			t.Errorf("%d left in the second after one had said goodbye", n)
		}

		at := wrote(all...)
		for i := 1000; i < len(at); i++ {
			if d := at[i].Sub(at[i-1000]); d < time.Second {
				t.Fatalf("1001 pushes within %v, %v after the begin", d, at[i].Sub(began))
			}
		}
		for _, s := range all {
			s.leave()
		}
	})
}

// What was granted in time and is claimed too late does not leave.
func TestNothingLeavesOnAShareThatEndedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharer(t, storemem.New(time.Now), "one", 20_000)
		time.Sleep(5 * time.Second)
		since := time.Now()
		s.way.cut.Store(true)
		time.Sleep(1400 * time.Millisecond) // it has its share for half a second less, at most
		s.journal.wait.Store(int64(3 * time.Second))
		time.Sleep(10 * time.Second) // two appends: one may be under way when a claim is made
		last := wrote(s)
		if d := last[len(last)-1].Sub(since); d > 2*time.Second {
			t.Errorf("pushes left %v after the store was lost", d)
		}
		s.journal.wait.Store(0)
		s.way.cut.Store(false)
		time.Sleep(8 * time.Second)
		s.leave()
	})
}
