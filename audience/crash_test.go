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
)

// piecewise is a folder in which every part is written by itself.
func piecewise(t *testing.T, fs vfs.FS) *Folder {
	folder := inParts(t, fs)
	folder.buffer = 16
	return folder
}

// usable loads the snapshots of a folder that can be loaded and have no file in
// common, the newest first.
func usable(t *testing.T, folder *Folder) (found []*manifest, shards []*Shard) {
	t.Helper()
	ids, err := folder.list(3)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		shard, m, err := folder.load(3, id)
		if err == nil && !slices.ContainsFunc(found, func(other *manifest) bool { return !m.apart(other) }) {
			found, shards = append(found, m), append(shards, shard)
		}
	}
	return found, shards
}

// Power may be lost after any operation on the folder: as many snapshots as were
// there are there, up to two, whole and apart from each other, and the log has
// what follows on both.
func TestPowerLossAtEveryOperation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	disk, j := vfs.NewCrashableMem(), mem.New()
	var durable []*manifest // that were good when the last snapshot had been made
	crashes, parts := 0, 0
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite {
			if parts++; parts%5 > 0 {
				return nil // one is like the other
			}
		} else if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		found, _ := usable(t, inParts(t, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[crashes%3], RNG: random})))
		first, err := j.First(t.Context(), partition)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range durable {
			if len(found) <= i || found[i].id.before(m.id) < 0 || len(durable) == 2 && found[1].id.applied < uint64(first) {
				t.Fatalf("after a crash in %v of %s there are %v, %v was durable, and the log begins at %d", op.Kind, op.Path, ids(found), ids(durable), first)
			}
		}
		crashes++
		return nil
	}))
	w := newAppender(j)
	f := open(t, j, piecewise(t, fs), slog.New(slog.DiscardHandler))
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
		durable = f.good
	}
	stop()
	if crashes < 100 {
		t.Errorf("only %d crashes", crashes)
	}
}

func ids(ms []*manifest) (all []snapshotID) {
	for _, m := range ms {
		all = append(all, m.id)
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
			disk, count := vfs.NewMem(), -1
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
			f := open(t, j, piecewise(t, fs), slog.New(slog.DiscardHandler))
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
				again := open(t, j, inParts(t, disk), slog.New(slog.DiscardHandler))
				stop := running(t, again)
				defer stop()
				if again.Shard().Applied() < want || !reflect.DeepEqual(everybody(again.Shard()), everybody(f.Shard())) {
					t.Fatalf("after operation %d failed, %s: it is not what it was", fail, when)
				}
				if found, _ := usable(t, inParts(t, disk)); len(found) < 2 {
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
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: floor - 1, TotalBytes: 1 << 40})
	if err := f.Snapshot(t.Context()); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if after, _ := fs.List("audience"); len(after) != len(before) {
		t.Errorf("it left %v, there were %v", after, before)
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: floor, TotalBytes: 1 << 40})
	if err := f.Snapshot(t.Context()); err != nil {
		t.Error(err)
	}
}
