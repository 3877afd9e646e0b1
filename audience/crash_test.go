package audience

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/snapshot"
)

// piecewise writes at most 16 bytes at once, so that there are instants between.
type piecewise struct{ vfs.FS }

func (p piecewise) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := p.FS.Create(name, category)
	return pieces{file}, err
}

type pieces struct{ vfs.File }

func (p pieces) Write(b []byte) (n int, err error) {
	for piece := range slices.Chunk(b, 16) {
		m, err := p.File.Write(piece)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// usable loads the snapshots of a folder that can be loaded and have no file in
// common, the newest first: each is what is found when those before it are gone.
func usable(t *testing.T, fs vfs.FS) (found []*snapshot.Manifest) {
	t.Helper()
	for {
		kept, err := folderOn(t, fs).Open(t.Context(), 3, slog.New(slog.DiscardHandler), func(s *snapshot.Saved) error {
			_, err := restoreShard(s)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(kept.Good()) == 0 {
			return found
		}
		m := kept.Good()[0]
		if !slices.ContainsFunc(found, func(other *snapshot.Manifest) bool { return !m.Apart(other) }) {
			found = append(found, m)
		}
		files, _ := filesOn(t, fs)
		if err := files.Remove(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Power may be lost after any operation on the folder: as many snapshots as were
// there are there, up to two, whole and apart from each other, and the log has
// what follows on both.
func TestPowerLossAtEveryOperation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	disk, j := vfs.NewCrashableMem(), mem.New()
	var durable []*snapshot.Manifest // that were good when the last snapshot had been made
	crashes, parts := 0, 0
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			if parts++; parts%5 > 0 {
				return nil // one is like the other
			}
		} else if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		found := usable(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[crashes%3], RNG: random}))
		first, err := j.First(t.Context(), partition)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range durable {
			if len(found) <= i || found[i].ID.Before(m.ID) < 0 || len(durable) == 2 && found[1].ID.Position < uint64(first) {
				t.Fatalf("after a crash in %v of %s there are %v, %v was durable, and the log begins at %d", op.Kind, op.Path, ids(found), ids(durable), first)
			}
		}
		crashes++
		return nil
	}))
	w := newAppender(j)
	f := inParts(t, j, piecewise{fs}, slog.New(slog.DiscardHandler))
	stop := running(t, f)
	for n := range 7 {
		changes := story(random, 100)
		if n > 3 { // so that parts are shared
			changes = changes[:2]
		}
		make := f.Snapshot
		if n == 5 {
			make = f.Rewrite
		}
		if err := errors.Join(f.Shard().Await(t.Context(), w.append(t, changes...)), make(t.Context())); err != nil {
			t.Fatal(err)
		}
		durable = f.kept.Good()
	}
	stop()
	if crashes < 100 {
		t.Errorf("only %d crashes", crashes)
	}
}

func ids(ms []*snapshot.Manifest) (all []snapshot.ID) {
	for _, m := range ms {
		all = append(all, m.ID)
	}
	return all
}

// Any operation may fail, once or from there on, as on a full disk: the snapshots
// before it stay, and the log; and the next is made as if nothing had happened.
func TestFailureOfEveryOperation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, forever := range []bool{false, true} {
		random := rand.New(rand.NewPCG(seed, 0))
		failures := 0
		for fail := 1; ; fail++ {
			disk, count := vfs.NewCrashableMem(), -1
			fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if count < 0 {
					return nil
				}
				if count++; count == fail || forever && count > fail && op.Kind != errorfs.OpRemove {
					return syscall.ENOSPC
				}
				return nil
			}))
			j := mem.New()
			w := newAppender(j)
			f := inParts(t, j, piecewise{fs}, slog.New(slog.DiscardHandler))
			stop := running(t, f)
			follow := func(n int) {
				if err := f.Shard().Await(t.Context(), w.append(t, story(random, n)...)); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				follow(20)
				if err := f.Snapshot(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			follow(2)
			count = 0
			err := f.Snapshot(t.Context())
			operations := count
			count = -1
			if err != nil && !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			if err != nil {
				failures++
			}
			check := func(when string) {
				t.Helper()
				want := f.Shard().Applied()
				again := inParts(t, j, disk, slog.New(slog.DiscardHandler))
				stop := running(t, again)
				defer stop()
				if again.Shard().Applied() < want || !reflect.DeepEqual(everybody(again.Shard()), everybody(f.Shard())) {
					t.Fatalf("after operation %d failed, %s: it is not what it was", fail, when)
				}
				if found := usable(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: random})); len(found) < 2 {
					t.Fatalf("after operation %d failed, %s: only %v can be used", fail, when, ids(found))
				}
			}
			check("at once")
			follow(2)
			if err := f.Snapshot(t.Context()); err != nil {
				t.Fatalf("after operation %d failed the next snapshot does: %v", fail, err)
			}
			check("and the next was made")
			stop()
			if operations < fail {
				break
			}
		}
		if failures < 50 {
			t.Errorf("only %d operations failed", failures)
		}
	}
}

// On a nearly full disk no snapshot takes the room that the log needs.
func TestSnapshotLeavesRoom(t *testing.T) {
	fs := vfs.NewMem()
	w, f := chain(t, fs)
	stop := running(t, f)
	defer stop()
	if err := f.Shard().Await(t.Context(), w.append(t, remove(0))); err != nil {
		t.Fatal(err)
	}
	before, _ := fs.List("audience")
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 128<<20 - 1, TotalBytes: 1 << 40})
	if err := f.Snapshot(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if after, _ := fs.List("audience"); len(after) != len(before) {
		t.Errorf("it left %v, there were %v", after, before)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 128 << 20, TotalBytes: 1 << 40})
	if err := f.Snapshot(t.Context()); err != nil {
		t.Error(err)
	}
}
