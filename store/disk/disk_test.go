package disk

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/storetest"
)

// clock is moved by the test and read by the store.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// quick is a configuration for tests; a fatal error ends the test.
func quick(fs vfs.FS, c *clock) Config {
	conf := Default()
	conf.Memory, conf.FS, conf.Now, conf.Reserve = 64<<10, fs, c.now, 1
	conf.Sweep = time.Hour // tests sweep themselves
	conf.Log = slog.New(slog.DiscardHandler)
	conf.Stop = func(err error) { panic(err) }
	return conf
}

func open(t *testing.T, dir string, c Config) *Store {
	t.Helper()
	s, err := Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Engine {
		clock := newClock()
		dir, c := t.TempDir(), quick(vfs.Default, clock)
		s := open(t, dir, c)
		return storetest.Engine{Store: s, Now: clock.now, Advance: clock.advance, Reopen: func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, c)
			return s
		}}
	})
}

// What is dead is swept when nothing can need its version any more, and not
// before; rows that live on stay.
func TestSweep(t *testing.T) {
	clock := newClock()
	s := open(t, "/store", quick(vfs.NewMem(), clock))
	defer s.Close()
	at, soon := store.Place{Table: "t", Partition: "p"}, clock.now().Add(time.Minute)
	write := func(w store.Write) {
		t.Helper()
		if err := s.Write(t.Context(), at, w); err != nil {
			t.Fatal(err)
		}
	}
	write(store.Write{Key: "expires", Version: 5, Expires: soon})
	write(store.Write{Key: "renewed", Version: 5, Expires: soon})
	write(store.Write{Key: "renewed", Version: 6})
	write(store.Write{Key: "deleted", Version: 5, Delete: true})
	for _, key := range []string{"lock", "kept lock"} {
		if _, _, err := s.PutIf(t.Context(), at, key, nil, []byte("v"), soon); err != nil {
			t.Fatal(err)
		}
	}
	if ok, _, err := s.PutIf(t.Context(), at, "kept lock", []byte("v"), []byte("w"), time.Time{}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	stored := func(want ...string) {
		t.Helper()
		for len(want) < 5 {
			want = append(want, "")
		}
		if _, err := s.sweep(); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"expires", "renewed", "deleted", "lock", "kept lock"} {
			_, present, err := s.get(rowKey(at, key))
			if err != nil {
				t.Fatal(err)
			}
			wanted := false
			for _, w := range want {
				wanted = wanted || w == key
			}
			if present != wanted {
				t.Fatalf("row %q is stored: %v, want %v", key, present, wanted)
			}
		}
	}
	stored("expires", "renewed", "deleted", "lock", "kept lock")
	clock.advance(time.Minute)
	stored("expires", "renewed", "deleted", "kept lock")
	clock.advance(store.Keep - 2*time.Minute)
	write(store.Write{Key: "deleted", Version: 4})
	stored("expires", "renewed", "deleted", "kept lock")
	clock.advance(time.Minute)
	stored("expires", "renewed", "kept lock")
	clock.advance(time.Minute)
	stored("renewed", "kept lock")
	if due, err := s.due(clock.now().Add(1000 * time.Hour)); err != nil || len(due) != 0 {
		t.Fatalf("%d index entries are left, %v", len(due), err)
	}
}

// Below half of the reserve nothing begins, below an eighth nothing is written,
// and everything is still read.
func TestNearlyFull(t *testing.T) {
	fs, clock := vfs.NewMem(), newClock()
	c := quick(fs, clock)
	c.Reserve = 1000
	s := open(t, "/store", c)
	defer s.Close()
	at, free := store.Place{Table: "t"}, func(n uint64) {
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 10_000})
		clock.advance(time.Second)
	}
	free(250)
	if err := s.Write(t.Context(), at, store.Write{Key: "k", Version: 1}); err != nil {
		t.Fatal(err)
	}
	if ok, _, err := s.PutIf(t.Context(), at, "p", nil, []byte("v"), time.Time{}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	free(249)
	if ok, _, err := s.PutIf(t.Context(), at, "q", nil, []byte("v"), time.Time{}); ok || !errors.Is(err, store.ErrFull) {
		t.Fatalf("PutIf on a nearly full disk: %v, %v", ok, err)
	}
	free(125)
	if err := s.Write(t.Context(), at, store.Write{Key: "k", Version: 2}); err != nil {
		t.Fatalf("a save with an eighth of the reserve: %v", err)
	}
	free(124)
	if err := s.Write(t.Context(), at, store.Write{Key: "k", Version: 3}); !errors.Is(err, store.ErrFull) {
		t.Fatalf("Write on a nearly full disk: %v", err)
	}
	if ok, _, err := s.PutIf(t.Context(), at, "p", nil, []byte("v"), time.Time{}); ok || !errors.Is(err, store.ErrFull) {
		t.Fatalf("PutIf on a nearly full disk: %v, %v", ok, err)
	}
	if row, err := s.Get(t.Context(), at, "k"); err != nil || row.Version != 2 {
		t.Fatalf("Get on a nearly full disk: %+v, %v", row, err)
	}
	free(500)
	if err := s.Write(t.Context(), at, store.Write{Key: "k", Version: 3}); err != nil {
		t.Fatal(err)
	}
}
