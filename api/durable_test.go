package api

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
)

// slowEnds answers End when it is let, with how often it was asked.
type slowEnds struct {
	journal.Journal
	asked atomic.Uint64
	let   chan struct{}
}

func (s *slowEnds) End(ctx context.Context, p journal.Partition) (journal.Position, error) {
	n := s.asked.Add(1)
	<-s.let
	return journal.Position(n), nil
}

// A mark is asked for after its request arrived: those who wait share one
// asking, but never one that began before they came.
func TestMarksAreNeverOlderThanTheirRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := &slowEnds{Journal: journalmem.New(), let: make(chan struct{})}
		m := &marks{journal: ends, shards: 1, tasks: new(sync.WaitGroup)}
		got := make(chan uint64, 10)
		take := func() {
			mark, err := m.take(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			got <- mark[0]
		}
		go take()
		synctest.Wait() // the first asking is under way
		for range 5 {
			go take()
		}
		synctest.Wait()
		ends.let <- struct{}{}
		if first := <-got; first != 1 {
			t.Fatalf("first mark %d", first)
		}
		synctest.Wait()
		ends.let <- struct{}{}
		for range 5 {
			if mark := <-got; mark != 2 {
				t.Fatalf("a request that came later has mark %d, want 2", mark)
			}
		}
		m.tasks.Wait()
		if n := ends.asked.Load(); n != 2 {
			t.Fatalf("the log was asked %d times", n)
		}
	})
}

// brokenAppends loses every append of changes after the first few.
type brokenAppends struct {
	journal.Journal
	left *atomic.Int64
}

func (b brokenAppends) Append(ctx context.Context, p journal.Partition, data ...[]byte) ([]journal.Position, error) {
	if p.Topic == journal.Changes && b.left.Add(-1) < 0 {
		return nil, errors.New("the disk is gone")
	}
	return b.Journal.Append(ctx, p, data...)
}

// The offset of an import never covers a line whose change is not durable.
func TestOffsetOnlyCoversWhatIsDurable(t *testing.T) {
	for appends := int64(0); appends < 60; appends += 4 {
		var left atomic.Int64
		left.Store(appends)
		w := newWorld(t, func(_ *Config, d *Deps) { d.Journal = brokenAppends{d.Journal, &left} })
		_, c := w.newProject("a")
		opened, err := c.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
		if err != nil {
			t.Fatal(err)
		}
		data := manyLines(10_000)
		if _, err := c.Upload(t.Context(), opened, bytes.NewReader(data), nil); err == nil {
			w.stop()
			return // enough appends for everything
		}
		now, err := c.GetImport(t.Context(), opened.ID)
		for err == nil && now.Status == client.ImportRunning {
			now, err = c.GetImport(t.Context(), opened.ID)
		}
		if err != nil || now.Status != client.ImportOpen {
			t.Fatalf("%+v %v", now, err)
		}
		if n := everybody(t, c); n < now.Imported || int64(bytes.Count(data[:now.Offset], []byte("\n"))) != now.Imported {
			t.Fatalf("after %d appends %d subscriptions are there, the import counts %d up to %d", appends, n, now.Imported, now.Offset)
		}
		w.stop()
	}
	t.Fatal("the import never came to its end")
}
