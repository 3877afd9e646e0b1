package mem_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal/mem"
)

// office is a member that notes what it works on.
type office struct {
	*mem.Member
	mu   sync.Mutex
	runs []tocsin.Shard
	stop context.CancelFunc
	done chan error
}

func join(t *testing.T, g *mem.Groups, leaving time.Duration) *office {
	o := &office{Member: g.Member(), done: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	o.stop = stop
	go func() {
		o.done <- o.Share(ctx, "fanout", func(ctx context.Context, shard tocsin.Shard) error {
			o.note(func() { o.runs = append(o.runs, shard) })
			<-ctx.Done()
			time.Sleep(leaving) // of the bubble
			o.note(func() { o.runs = slices.DeleteFunc(o.runs, func(s tocsin.Shard) bool { return s == shard }) })
			return ctx.Err()
		})
	}()
	return o
}

func (o *office) note(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *office) has() (shards []tocsin.Shard) {
	o.note(func() { shards = slices.Sorted(slices.Values(o.runs)) })
	return shards
}

func TestMembersShareEvenlyAndHandOverOnceTheyHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mem.NewGroups(4)
		first := join(t, g, time.Second)
		synctest.Wait()
		if got := first.has(); len(got) != 4 {
			t.Fatalf("alone it works on %v", got)
		}
		second := join(t, g, time.Second)
		synctest.Wait()
		if got := second.has(); len(got) != 0 {
			t.Errorf("%v are worked on twice", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		a, b := first.has(), second.has()
		if len(a) != 2 || len(b) != 2 || slices.ContainsFunc(a, func(s tocsin.Shard) bool { return slices.Contains(b, s) }) {
			t.Fatalf("two work on %v and %v", a, b)
		}
		if got := second.Owned("fanout"); !slices.Equal(got, b) {
			t.Errorf("it is said to own %v, and works on %v", got, b)
		}
		second.stop()
		if err := <-second.done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := first.has(); len(got) != 4 {
			t.Errorf("alone again it works on %v", got)
		}
		first.stop()
		if err := <-first.done; err != nil {
			t.Error(err)
		}
	})
}

func TestAShardOfAMemberThatIsTakenForDeadGoesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := mem.NewGroups(3)
		dead := join(t, g, 0)
		synctest.Wait()
		alive := join(t, g, 0)
		synctest.Wait()
		before := dead.has()
		dead.Lose()
		synctest.Wait()
		if got := alive.has(); len(got) != 3 {
			t.Errorf("the one alive works on %v", got)
		}
		if got := dead.has(); !slices.Equal(got, before) {
			t.Errorf("a dead one cannot know, and worked on %v, now on %v", before, got)
		}
		dead.stop()
		alive.stop()
		if err := errors.Join(<-dead.done, <-alive.done); err != nil {
			t.Error(err)
		}
	})
}
