package disk

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/snapshot/snapshottest"
)

func TestEngine(t *testing.T) {
	snapshottest.Run(t, func(t *testing.T) snapshottest.Engine {
		fs := vfs.NewMem()
		open := func() snapshot.Engine {
			folder, err := Open(fs, "snapshots")
			if err != nil {
				t.Fatal(err)
			}
			return folder
		}
		return snapshottest.Engine{Engine: open(), Reopen: open, Alter: func(shard tocsin.Shard, id snapshot.ID, change func([]byte) []byte) {
			alter(t, fs, (&files{folder: &Folder{fs: fs, dir: "snapshots"}, shard: shard}).Name(id), change)
		}}
	})
}

func alter(t *testing.T, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	f, err := open(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(change(b)); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
