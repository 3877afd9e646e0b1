package journal_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

func TestWholeRunsEveryShardUntilItIsToldToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var began []tocsin.Shard
		var running atomic.Int32
		ended := make(chan error, 1)
		go func() {
			ended <- journal.Whole{Shards: 4}.Share(ctx, "owners", func(ctx context.Context, shard tocsin.Shard) error {
				running.Add(1)
				defer running.Add(-1)
				mu.Lock()
				began = append(began, shard)
				mu.Unlock()
				if shard == 2 {
					return nil // no work for it: the others go on
				}
				<-ctx.Done()
				time.Sleep(time.Duration(shard) * time.Second) // of the bubble: leaving takes time
				return ctx.Err()
			})
		}()
		synctest.Wait()
		if running.Load() != 3 {
			t.Errorf("%d shards run, want 3", running.Load())
		}
		stop()
		if err := <-ended; err != nil || running.Load() != 0 {
			t.Errorf("Share returned %v with %d runs left", err, running.Load())
		}
		if slices.Sort(began); !slices.Equal(began, []tocsin.Shard{0, 1, 2, 3}) {
			t.Errorf("ran shards %v", began)
		}
	})
}

func TestARunThatFailsEndsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the shard's snapshot is damaged")
		var running atomic.Int32
		err := journal.Whole{Shards: 3}.Share(t.Context(), "owners", func(ctx context.Context, shard tocsin.Shard) error {
			running.Add(1)
			defer running.Add(-1)
			if shard == 1 {
				time.Sleep(time.Second)
				return broken
			}
			<-ctx.Done()
			time.Sleep(time.Second)
			return ctx.Err()
		})
		if !errors.Is(err, broken) || running.Load() != 0 {
			t.Errorf("Share returned %v with %d runs left", err, running.Load())
		}
	})
}

func TestAShardThatComesBackWaitsForItsEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, count atomic.Int32
		runs := journal.NewRuns(t.Context(), func(ctx context.Context, shard tocsin.Shard) error {
			count.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		})
		if runs.Stop(7) != nil {
			t.Error("a shard that was never begun is waited for")
		}
		runs.Begin(7)
		synctest.Wait()
		done := runs.Stop(7)
		runs.Begin(7)
		synctest.Wait()
		select {
		case <-done:
			t.Error("the first run is said to have returned while it leaves")
		default:
		}
		<-done
		synctest.Wait()
		if err := runs.End(); err != nil || count.Load() != 2 || most.Load() != 1 {
			t.Errorf("%d runs, %d of them at once, and then %v", count.Load(), most.Load(), err)
		}
	})
}
