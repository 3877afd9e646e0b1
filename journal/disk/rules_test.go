package disk_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/disk"
)

// A disk that is nearly full refuses new work first, and lets accepted work end.
func TestNearlyFull(t *testing.T) {
	fs, now := vfs.NewMem(), time.Unix(1000, 0)
	c := quick(fs)
	c.Reserve, c.Now = 1000, func() time.Time { return now }
	j := open(t, "/journal", c)
	defer j.Close()
	for _, look := range []struct {
		free   uint64
		topics map[journal.Topic]bool // accepted
	}{
		{1000, map[journal.Topic]bool{journal.Sends: true, journal.Changes: true, journal.Slices: true, journal.Ledger: true}},
		{999, map[journal.Topic]bool{journal.Sends: true, journal.Slices: true, journal.Ledger: true}},
		{250, map[journal.Topic]bool{journal.Sends: true, journal.Slices: true, journal.Ledger: true}},
		{249, nil},
		{5000, map[journal.Topic]bool{journal.Sends: true, journal.Changes: true, journal.Slices: true, journal.Ledger: true}},
	} {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: look.free, TotalBytes: 10_000})
		now = now.Add(time.Second)
		if err := j.Full(); (err == nil) != (look.free >= 1000) || err != nil && !errors.Is(err, journal.ErrFull) {
			t.Errorf("with %d bytes free: %v", look.free, err)
		}
		for _, topic := range journal.Topics {
			p := journal.Partition{Topic: topic}
			before, err := j.End(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			_, err = j.Append(t.Context(), p, []byte("record"))
			if accepted := err == nil; accepted != look.topics[topic] || err != nil && !errors.Is(err, journal.ErrFull) {
				t.Errorf("with %d bytes free %s: %v", look.free, topic, err)
			}
			after, err := j.End(t.Context(), p)
			if err != nil || (after > before) != look.topics[topic] {
				t.Errorf("with %d bytes free the end of %s went from %d to %d, %v", look.free, topic, before, after, err)
			}
			if err := j.Trim(t.Context(), p, after); err != nil {
				t.Errorf("with %d bytes free Trim: %v", look.free, err)
			}
		}
	}
}

func TestSecondOpenNamesTheFolder(t *testing.T) {
	c := quick(vfs.Default)
	dir := t.TempDir()
	j := open(t, dir, c)
	defer j.Close()
	if _, err := disk.Open(dir, c); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second open: %v", err)
	}
}

// Nothing is readable before it is synced, and appends that wait together share
// a sync.
func TestReadableOnlyWhenSynced(t *testing.T) {
	var syncs atomic.Int64
	var hold atomic.Bool
	held, release := make(chan struct{}, 100), make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
			if strings.HasSuffix(op.Path, ".log") {
				syncs.Add(1)
				if hold.Load() {
					held <- struct{}{}
					<-release
				}
			}
		}
		return nil
	}))
	j := open(t, "/journal", quick(fs))
	defer j.Close()
	p := journal.Partition{Topic: journal.Ledger}
	if _, err := j.Append(t.Context(), p, []byte("first")); err != nil {
		t.Fatal(err)
	}
	end, err := j.End(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	hold.Store(true)
	before := syncs.Load()
	const appends = 64
	var all sync.WaitGroup
	var started sync.WaitGroup
	started.Add(appends)
	for range appends {
		all.Go(func() {
			started.Done()
			if _, err := j.Append(context.Background(), p, []byte("second")); err != nil {
				t.Error(err)
			}
		})
	}
	started.Wait()
	<-held // a sync is under way: the records are applied and not durable
	if now, err := j.End(t.Context(), p); err != nil || now != end {
		t.Errorf("End went from %d to %d before the sync, %v", end, now, err)
	}
	if records, _, err := j.Read(t.Context(), p, end, 1<<20); err != nil || len(records) != 0 {
		t.Errorf("%d records were readable before the sync, %v", len(records), err)
	}
	hold.Store(false)
	close(release)
	all.Wait()
	if n := syncs.Load() - before; n >= appends {
		t.Errorf("%d appends took %d syncs", appends, n)
	}
}

// BenchmarkClaim is what a claim costs: append, and read it back.
func BenchmarkClaim(b *testing.B) {
	c := disk.Default()
	c.Log, c.Stop, c.Reserve = quick(nil).Log, func(err error) { panic(err) }, 1
	j, err := disk.Open(b.TempDir(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	p, record := journal.Partition{Topic: journal.Ledger}, make([]byte, 80)
	var reading time.Duration
	for b.Loop() {
		positions, err := j.Append(b.Context(), p, record)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if records, _, err := j.Read(b.Context(), p, positions[0], 1<<20); err != nil || len(records) != 1 {
			b.Fatal(len(records), err)
		}
		reading += time.Since(start)
	}
	b.ReportMetric(float64(reading.Nanoseconds())/float64(b.N), "ns/read-back")
}
