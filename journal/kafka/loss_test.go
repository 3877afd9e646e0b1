//go:build engines

package kafka_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/engines"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/kafka"
)

func TestThreeBrokers(t *testing.T) {
	k := real(t, 3)
	contract(t, k.Seeds())
	t.Run("group", func(t *testing.T) { group(t, k.Seeds()) })
	for _, harm := range []struct {
		name       string
		harm, heal func(*engines.Broker) error
	}{
		{"the leader is killed", (*engines.Broker).Kill, (*engines.Broker).Start},
		{"the leader is paused", (*engines.Broker).Pause, (*engines.Broker).Resume},
		{"the leader is stopped", (*engines.Broker).Stop, (*engines.Broker).Start},
	} {
		t.Run(harm.name, func(t *testing.T) { losesNothing(t, k, harm.harm, harm.heal) })
	}
}

// crowd appends to one partition, each writer one record after the other, and
// keeps what was acknowledged.
type crowd struct {
	journal *kafka.Journal
	mu      sync.Mutex
	acked   map[string]journal.Position
	count   atomic.Int64
	failed  atomic.Int64
}

var hurt = journal.Partition{Topic: journal.Ledger, Shard: 2}

func (c *crowd) write(ctx context.Context, writer int) error {
	for n := 0; ctx.Err() == nil; n += 2 {
		pair := [][]byte{fmt.Appendf(nil, "%d/%d", writer, n), fmt.Appendf(nil, "%d/%d", writer, n+1)}
		at, err := c.journal.Append(ctx, hurt, pair...)
		if err != nil {
			c.failed.Add(1) // they may appear, or not
			continue
		}
		c.mu.Lock()
		c.acked[string(pair[0])], c.acked[string(pair[1])] = at[0], at[1]
		c.mu.Unlock()
		c.count.Add(1)
		if n%8 == 0 {
			if end, err := c.journal.End(ctx, hurt); err == nil && end <= at[1] {
				return fmt.Errorf("End is %d after %d was acknowledged", end, at[1])
			}
		}
	}
	return nil
}

// more waits until so many appends more were acknowledged.
func (c *crowd) more(t *testing.T, ctx context.Context, n int64) {
	t.Helper()
	target := c.count.Load() + n
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for c.count.Load() < target {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%d appends were acknowledged of %d, %d failed", c.count.Load(), target, c.failed.Load())
		}
	}
}

// read follows the partition until it has come to the end that is sent to it.
func read(ctx context.Context, j *kafka.Journal, end <-chan journal.Position) (found []journal.Record, err error) {
	var at, last journal.Position
	for ctx.Err() == nil {
		records, next, err := j.Read(ctx, hurt, at, 1<<20)
		if err != nil {
			return nil, err
		}
		found, at = append(found, records...), next
		select {
		case last = <-end:
		default:
		}
		if last > 0 && at >= last {
			return found, nil
		}
		if len(records) == 0 {
			short, stop := context.WithTimeout(ctx, 100*time.Millisecond)
			if err := j.Wait(short, hurt, at); err != nil && short.Err() == nil {
				stop()
				return nil, err
			}
			stop()
		}
	}
	return nil, ctx.Err()
}

func losesNothing(t *testing.T, k *engines.Kafka, harm, heal func(*engines.Broker) error) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
	defer stop()
	c := loud(k)
	create(t, c)
	writing, reading := open(t, c), open(t, c)
	defer writing.Close()
	defer reading.Close()
	w := &crowd{journal: writing, acked: make(map[string]journal.Position)}
	writers, enough := context.WithCancel(ctx)
	defer enough()
	const crowdSize = 8
	errs := make(chan error, crowdSize)
	for i := range crowdSize {
		go func() { errs <- w.write(writers, i) }()
	}
	end := make(chan journal.Position, 1)
	type result struct {
		found []journal.Record
		err   error
	}
	seen := make(chan result, 1)
	go func() {
		found, err := read(ctx, reading, end)
		seen <- result{found, err}
	}()

	w.more(t, ctx, 100+draw.Int64N(400))
	leader, err := k.Leader(ctx, c.Prefix+"ledger", int32(hurt.Shard))
	if err == nil {
		err = harm(leader)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.more(t, ctx, crowdSize+1) // more than those that were under way
	t.Logf("acknowledged again after %v", time.Since(began))
	w.more(t, ctx, draw.Int64N(400))
	if err := heal(leader); err != nil {
		t.Fatal(err)
	}
	if err := k.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	w.more(t, ctx, 200)
	enough()
	for range crowdSize {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	last, err := writing.End(ctx, hurt)
	if err != nil {
		t.Fatal(err)
	}
	end <- last
	r := <-seen
	if r.err != nil {
		t.Fatal(r.err)
	}
	judge(t, w.acked, r.found)
	t.Logf("%d appends acknowledged, %d failed, %d records read", w.count.Load(), w.failed.Load(), len(r.found))
}

// judge: each record once, those of a writer in its order, and each that was
// acknowledged at the position that it was acknowledged at.
func judge(t *testing.T, acked map[string]journal.Position, found []journal.Record) {
	last := make(map[int]int)
	var before journal.Position
	for _, r := range found {
		var writer, n int
		if _, err := fmt.Sscanf(string(r.Data), "%d/%d", &writer, &n); err != nil {
			t.Fatal(err)
		}
		if r.Position <= before || n < last[writer] || n == last[writer] && n > 0 {
			t.Fatalf("%s at %d comes after %d/%d at %d", r.Data, r.Position, writer, last[writer], before)
		}
		last[writer], before = n, r.Position
		if at, ok := acked[string(r.Data)]; ok {
			if at != r.Position {
				t.Fatalf("%s stands at %d, acknowledged at %d", r.Data, r.Position, at)
			}
			delete(acked, string(r.Data))
		}
	}
	for data, at := range acked {
		t.Fatalf("%d acknowledged records are lost, %s at %d is one", len(acked), data, at)
	}
}
