package rows

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/snapshot/snapshottest"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/disk"
	"github.com/tocsin-push/tocsin/store/mem"
)

func engineOn(t *testing.T, s store.Store) *Engine {
	t.Helper()
	e, err := New(s, Config{Rate: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngineOnMem(t *testing.T) {
	snapshottest.Run(t, func(t *testing.T) snapshottest.Engine { return kit(t, mem.New(time.Now)) })
}

func TestEngineOnDisk(t *testing.T) {
	snapshottest.Run(t, func(t *testing.T) snapshottest.Engine { return kit(t, onDisk(t)) })
}

func onDisk(t *testing.T) store.Store {
	c := disk.Default()
	c.FS, c.Log, c.Stop = vfs.NewMem(), slog.New(slog.DiscardHandler), func(err error) { panic(err) }
	s, err := disk.Open("/store", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// kit lets the kit alter pieces: it writes them with a version of its own.
func kit(t *testing.T, s store.Store) snapshottest.Engine {
	version := uint64(deleted)
	return snapshottest.Engine{Engine: engineOn(t, s), Reopen: func() snapshot.Engine { return engineOn(t, s) },
		Alter: func(shard tocsin.Shard, id snapshot.ID, change func([]byte) []byte) {
			f := named(t, s, shard).find(id)
			if f == nil {
				t.Fatalf("there is no %v", id)
			}
			version++
			var whole []byte
			count := (f.Size + pieceSize - 1) / pieceSize
			for n := range count {
				at, key := pieceAt(shard, f.Name, n)
				if row, err := s.Get(t.Context(), at, key); err == nil { // else it was altered
					whole = append(whole, row.Value...)
				}
			}
			whole = change(whole)
			for n := range count {
				at, key := pieceAt(shard, f.Name, n)
				piece := whole[:min(pieceSize, len(whole))]
				whole = whole[len(piece):]
				if err := s.Write(t.Context(), at, store.Write{Key: key, Value: bytes.Clone(piece), Version: version, Delete: len(piece) == 0}); err != nil {
					t.Fatal(err)
				}
			}
		}}
}

// named are the files of a shard, without taking them.
func named(t *testing.T, s store.Store, shard tocsin.Shard) *files {
	t.Helper()
	f := newFiles(&Engine{store: s}, shard)
	if err := f.load(context.Background()); err != nil {
		t.Fatal(err)
	}
	return f
}

// Pieces are written no faster than the rate says, all shards together, and a
// context ends the waiting.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(mem.New(time.Now), Config{Rate: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for shard := range tocsin.Shard(2) {
			files, err := e.Take(t.Context(), shard)
			if err != nil {
				t.Fatal(err)
			}
			d, err := files.Create(t.Context(), snapshot.ID{Position: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write(make([]byte, 3<<20)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 5500*time.Millisecond || took > 6*time.Second {
			t.Errorf("6 MiB took %v", took)
		}
	})
	for _, rate := range []int64{0, 1000, 8 << 30} {
		if _, err := New(nil, Config{Rate: rate}); err == nil {
			t.Errorf("a rate of %d is taken", rate)
		}
	}
}
