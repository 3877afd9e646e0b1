package audience

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/snapshot"
)

// chain is a shard with two snapshots that share parts with older ones, and a
// tail.
func chain(t *testing.T, fs vfs.FS) (*appender, *Follower) {
	t.Helper()
	w := newAppender(mem.New())
	var f *Follower
	for n := range 5 {
		w.append(t, phone(n, of(fmt.Sprint(n)), with("city", fmt.Sprint("city ", n))))
		f = inParts(t, w.journal, fs, slog.New(slog.DiscardHandler))
		stop := running(t, f)
		if n < 4 {
			if err := f.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
	}
	f = inParts(t, w.journal, fs, slog.New(slog.DiscardHandler))
	if len(f.kept.Good()[0].Files) < 2 {
		t.Fatalf("want a snapshot of several files, have %v", f.kept.Good()[0])
	}
	return w, f
}

// A part is written once, and again only when it has changed; the two snapshots
// that are kept have no byte in common.
func TestSnapshotsShareWhatDidNotChange(t *testing.T) {
	fs := vfs.NewMem()
	w := newAppender(mem.New())
	f := inParts(t, w.journal, fs, slog.New(slog.DiscardHandler))
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
		f.kept.Good()[0].Each(func(at snapshot.Place) {
			if at.File == 0 {
				own++
			} else {
				shared++
			}
		})
		// Opted in or not is the codes of a column, its sets are not stored.
		if own == 0 || own > 3 || shared < 20 {
			t.Errorf("snapshot %d: of %d parts %d were written", n, own+shared, own)
		}
		if !f.kept.Good()[0].Apart(f.kept.Good()[1]) {
			t.Errorf("snapshot %d shares a file with the one before", n)
		}
	}
}

// Rewrite leaves nothing of the files that were there, nor of what was freed.
func TestRewriteLeavesNothingOld(t *testing.T) {
	fs := vfs.NewMem()
	w, f := chain(t, fs)
	stop := running(t, f)
	defer stop()
	_, before := filesOn(t, fs)
	mark := w.append(t, remove(1))
	if err := errors.Join(f.Shard().Await(t.Context(), mark), f.Rewrite(t.Context())); err != nil {
		t.Fatal(err)
	}
	files, after := filesOn(t, fs)
	if len(after) != 2 {
		t.Fatal(after)
	}
	for _, id := range after {
		for _, old := range before {
			if id == old {
				t.Errorf("%v is still there", id)
			}
		}
		contents(t, fs, files.Name(id), func(b []byte) []byte {
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
		files, _ := filesOn(t, fs)
		old := snapshot.ID{Position: shard.Applied()}
		file, err := fs.Create(files.Name(old), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(blocks(content)); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		f := open(t, j, folderOn(t, fs), slog.New(slog.DiscardHandler))
		stop := running(t, f)
		for want := 2; want < 4; want++ {
			if c := counted(t, f.Shard(), query(t, `{"country":"FR"}`)); c.Matched != 2 {
				t.Errorf("version %s: %+v", version, c)
			}
			mark := w.append(t, optIn(99, true))
			if err := errors.Join(f.Shard().Await(t.Context(), mark), f.Snapshot(t.Context())); err != nil {
				t.Fatal(err)
			}
			if _, ids := filesOn(t, fs); len(ids) != 2 || want == 2 && ids[1] != old || want == 3 && ids[1] == old {
				t.Errorf("version %s: files are %v", version, ids)
			}
		}
		stop()
	}
}

// blocks is the content of a file of version 1 or 2.
func blocks(content []byte) []byte {
	checksum := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	file := []byte("tocsin audience 1\n")
	le := binary.LittleEndian
	file = le.AppendUint32(le.AppendUint32(file, uint32(len(content))), checksum(content))
	total := le.AppendUint64(nil, uint64(len(content)))
	return append(le.AppendUint32(le.AppendUint32(append(file, content...), 0), checksum(total)), total...)
}
