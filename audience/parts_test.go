package audience

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal/mem"
)

// inParts is a folder in which small projects too are stored in parts.
func inParts(t *testing.T, fs vfs.FS) *Folder {
	folder := folderOn(t, fs)
	folder.small = 0
	return folder
}

// chain is a shard with two snapshots that share parts with older ones, and a
// tail.
func chain(t *testing.T, fs vfs.FS) (*appender, *Follower) {
	t.Helper()
	w := newAppender(mem.New())
	var f *Follower
	for n := range 5 {
		w.append(t, phone(n, of(fmt.Sprint(n)), with("city", fmt.Sprint("city ", n))))
		f = open(t, w.journal, inParts(t, fs), slog.New(slog.DiscardHandler))
		stop := running(t, f)
		if n < 4 {
			if err := f.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
	}
	f = open(t, w.journal, inParts(t, fs), slog.New(slog.DiscardHandler))
	if len(f.good[0].files) < 2 || f.base == nil || len(f.base.files) < 2 || !f.good[0].apart(f.base) {
		t.Fatalf("want two snapshots of several files each, have %v and %v", f.good[0], f.base)
	}
	return w, f
}

// started is a follower of five subscriptions that has caught up.
func started(t *testing.T, w *appender, fs vfs.FS, what string) (f *Follower, stop func(), said string) {
	t.Helper()
	var log bytes.Buffer
	f = open(t, w.journal, inParts(t, fs), slog.New(slog.NewTextHandler(&log, nil)))
	stop = running(t, f)
	if c := counted(t, f.Shard(), nil); c.Matched != 5 {
		t.Errorf("%s: there are %d subscriptions", what, c.Matched)
	}
	return f, stop, log.String()
}

// A part is written once, and again only when it has changed; the two snapshots
// that are kept have no byte in common.
func TestSnapshotsShareWhatDidNotChange(t *testing.T) {
	fs := vfs.NewMem()
	w := newAppender(mem.New())
	f := open(t, w.journal, inParts(t, fs), slog.New(slog.DiscardHandler))
	stop := running(t, f)
	defer stop()
	for n := range 12 {
		if n < 2 {
			for i := range 20 {
				w.append(t, phone(20*n+i, with("city", fmt.Sprint("city ", i))))
			}
		}
		if err := errors.Join(f.Shard().Await(t.Context(), w.append(t, optIn(n, false))), f.Snapshot(t.Context())); err != nil {
			t.Fatal(err)
		}
		if n < 6 {
			continue // files of which less than half is needed are written again
		}
		own, shared := 0, 0
		f.good[0].each(func(at place) {
			if at.file == 0 {
				own++
			} else {
				shared++
			}
		})
		// Opted in or not is the codes of a column, its sets are not stored.
		if own == 0 || own > 3 || shared < 20 {
			t.Errorf("snapshot %d: of %d parts %d were written", n, own+shared, own)
		}
		if !f.good[0].apart(f.good[1]) {
			t.Errorf("snapshot %d shares a file with the one before", n)
		}
	}
}

// Of a file of which little is needed nothing is shared, and the files of a
// snapshot are few: what is on the disk is a small multiple of what is needed.
func TestFilesAreFewAndMostlyNeeded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	fs := vfs.NewMem()
	w := newAppender(mem.New())
	folder := inParts(t, fs)
	f := open(t, w.journal, folder, slog.New(slog.DiscardHandler))
	stop := running(t, f)
	defer stop()
	most, many := 0.0, 0
	for n := range 200 {
		// Some parts change all the time, some seldom, and new ones come.
		mark := w.append(t, phone(random.IntN(30), with(fmt.Sprint("name ", min(n/4, random.IntN(60))), fmt.Sprint(n))))
		if err := errors.Join(f.Shard().Await(t.Context(), mark), f.Snapshot(t.Context())); err != nil {
			t.Fatal(err)
		}
		files, err := folder.list(3)
		if err != nil {
			t.Fatal(err)
		}
		var stored, needed uint64 // but for the lists of parts, which are large here
		for _, m := range f.good {
			for _, file := range m.files {
				if stored += file.size; !slices.Contains(files, file.id) {
					t.Fatalf("%v is not there", file)
				}
			}
			m.each(func(at place) { needed += at.length })
		}
		many = max(many, len(files))
		if n > 10 {
			most = max(most, float64(stored)/float64(needed))
		}
	}
	t.Logf("at most %d files, and %.1f times what is needed", many, most)
	if many > 2*(maxFiles+1) || most > 2.5 {
		t.Errorf("there were %d files, and %.1f times what was needed", many, most)
	}
}

// Damage to any part of the newest snapshot, in whichever file, to its list or
// its end, falls back to the one before and names the file.
func TestDamageToAnyPartFallsBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	healthy := vfs.NewCrashableMem()
	w, f := chain(t, healthy)
	type spot struct {
		file partFile
		at   uint64
	}
	own := f.good[0].files[0]
	spots := []spot{{own, 0}, {own, own.size}, {own, own.size + uint64(len(f.good[0].encode())) + endLength - 1}}
	f.good[0].each(func(at place) {
		spots = append(spots, spot{f.good[0].files[at.file], at.offset + uint64(random.Int64N(int64(at.length)))})
	})
	for i, s := range spots {
		for kind, damage := range map[string]func([]byte) []byte{
			"flipped": func(b []byte) []byte { b[s.at] ^= 1 << random.IntN(8); return b },
			"torn":    func(b []byte) []byte { return b[:s.at] },
			"longer":  func(b []byte) []byte { return append(b[:s.at:s.at], append([]byte("x"), b[s.at:]...)...) },
			"gone":    nil,
		} {
			what := fmt.Sprintf("%s at %d of %v", kind, s.at, s.file)
			fs := healthy.CrashClone(vfs.CrashCloneCfg{})
			path := f.folder.path(3, s.file.id)
			if damage != nil {
				contents(t, fs, path, damage)
			} else if s.file == own {
				continue // nobody knows that there was one
			} else if err := fs.Remove(path); err != nil {
				t.Fatal(err)
			}
			again, stop, said := started(t, w, fs, what)
			stop()
			// A byte too many may stand behind the last part of an old file, or in its list.
			if fell := strings.Contains(said, path); !fell && (kind != "longer" && (kind != "flipped" || i > 0) || s.file == own && i > 0) {
				t.Errorf("%s: it was taken, or the log does not name the file: %s", what, said)
			} else if fell && again.good[0].id != f.base.id {
				t.Errorf("%s: it did not fall back to the one before", what)
			}
		}
	}
}

// A snapshot that shares parts with one that this process has not read looks at
// them first, and writes those again that are damaged.
func TestRotIsNotBuiltUpon(t *testing.T) {
	healthy := vfs.NewCrashableMem()
	w, f := chain(t, healthy)
	var parts []place
	f.base.each(func(at place) { parts = append(parts, at) })
	w.append(t, optIn(0, false))
	for _, at := range parts {
		fs := healthy.CrashClone(vfs.CrashCloneCfg{})
		contents(t, fs, f.folder.path(3, f.base.files[at.file].id), func(b []byte) []byte { b[at.offset] ^= 1; return b })
		again, stop, _ := started(t, w, fs, "before")
		if err := again.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		newest := again.good[0].id
		for _, file := range again.good[1].files {
			if err := fs.Remove(again.folder.path(3, file.id)); err != nil {
				t.Fatal(err)
			}
		}
		again, stop, said := started(t, w, fs, "after")
		stop()
		if again.good[0].id != newest {
			t.Errorf("a snapshot was made of the damaged part %v: %s", at, said)
		}
	}
}

// Rewrite leaves nothing of the files that were there, nor of what was freed.
func TestRewriteLeavesNothingOld(t *testing.T) {
	fs := vfs.NewMem()
	w, f := chain(t, fs)
	stop := running(t, f)
	defer stop()
	before, err := f.folder.list(3)
	if err != nil {
		t.Fatal(err)
	}
	mark := w.append(t, remove(1))
	if err := errors.Join(f.Shard().Await(t.Context(), mark), f.Rewrite(t.Context())); err != nil {
		t.Fatal(err)
	}
	after, err := f.folder.list(3)
	if err != nil || len(after) != 2 {
		t.Fatal(after, err)
	}
	for _, id := range after {
		for _, old := range before {
			if id == old {
				t.Errorf("%v is still there", id)
			}
		}
		contents(t, fs, f.folder.path(3, id), func(b []byte) []byte {
			for _, gone := range []string{"city 1", string(token(1))} {
				if bytes.Contains(b, []byte(gone)) {
					t.Errorf("%v holds %q", id, gone)
				}
			}
			if !bytes.Contains(b, []byte("city 2")) {
				t.Errorf("%v does not hold what is there", id)
			}
			return b
		})
	}
	if first, err := w.journal.First(t.Context(), partition); err != nil || uint64(first) < mark {
		t.Errorf("the log begins at %d, %v", first, err)
	}
}

// A file of an earlier version is read, and stays until two of this version are
// there.
func TestFilesOfEarlierVersionsGiveWay(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		content, err := os.ReadFile("testdata/snapshot." + version)
		if err != nil {
			t.Fatal(err)
		}
		shard, err := decodeShard(3, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		fs, j := vfs.NewMem(), mem.New()
		w := newAppender(j)
		for range shard.Applied() + 3 {
			w.append(t, optIn(99, true)) // nobody's
		}
		folder := folderOn(t, fs)
		old := snapshotID{applied: shard.Applied()}
		file, err := fs.Create(folder.path(3, old), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(blocks(content)); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		f := open(t, j, folder, slog.New(slog.DiscardHandler))
		stop := running(t, f)
		for want := 2; want < 4; want++ {
			if c := counted(t, f.Shard(), query(t, `{"country":"FR"}`)); c.Matched != 2 {
				t.Errorf("version %s: %+v", version, c)
			}
			mark := w.append(t, optIn(99, true))
			if err := errors.Join(f.Shard().Await(t.Context(), mark), f.Snapshot(t.Context())); err != nil {
				t.Fatal(err)
			}
			if files, _ := folder.list(tocsin.Shard(3)); len(files) != 2 || want == 2 && files[1] != old || want == 3 && files[1] == old {
				t.Errorf("version %s: files are %v", version, files)
			}
		}
		stop()
	}
}

// blocks is the content of a file of version 1 or 2.
func blocks(content []byte) []byte {
	file := []byte(blocksHead)
	le := binary.LittleEndian
	file = le.AppendUint32(le.AppendUint32(file, uint32(len(content))), checksum(content))
	total := le.AppendUint64(nil, uint64(len(content)))
	return append(le.AppendUint32(le.AppendUint32(append(file, content...), 0), checksum(total)), total...)
}
