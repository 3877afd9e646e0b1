package folder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// whoHolds lists the files of a folder in which some bytes stand.
func whoHolds(t *testing.T, fs vfs.FS, dir string, wanted []byte) (files []string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			continue // removed meanwhile
		}
		content, err := io.ReadAll(file)
		if err = errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, wanted) {
			files = append(files, name)
		}
	}
	return files
}

func TestPurgeLeavesNothingOfWhatWasDeleted(t *testing.T) {
	dir := t.TempDir() // a real file system: one in memory does not use logs again
	f, err := Open(dir, config(vfs.Default))
	if err != nil {
		t.Fatal(err)
	}
	secret := func(i int) []byte { // that compression leaves as it is
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		return sum[:]
	}
	write := func(do func(b *pebble.Batch) error) {
		t.Helper()
		b := f.DB.NewBatch()
		if err := errors.Join(do(b), f.Apply(b), f.Wait(b)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2000 { // several tables, and logs that are used again
		write(func(b *pebble.Batch) error {
			return errors.Join(b.Set(fmt.Appendf(nil, "row/%04d", i), append(secret(i), make([]byte, 1000)...), nil))
		})
	}
	write(func(b *pebble.Batch) error { return b.DeleteRange([]byte("row/0000"), []byte("row/0500"), nil) })
	write(func(b *pebble.Batch) error { return b.DeleteRange([]byte("row/1900"), []byte("row/2000"), nil) }) // still in logs
	for i := 500; i < 600; i++ {
		write(func(b *pebble.Batch) error {
			if i%2 == 0 {
				return b.Delete(fmt.Appendf(nil, "row/%04d", i), nil)
			}
			return b.Set(fmt.Appendf(nil, "row/%04d", i), []byte("nobody"), nil)
		})
	}
	held := 0
	for i := range 600 {
		held += len(whoHolds(t, vfs.Default, dir, secret(i)))
	}
	if held < 500 {
		t.Fatalf("%d of 600 are there to be purged", held) // some lie across two blocks of a log
	}
	if err := f.Purge(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if i >= 600 && i < 1900 {
			continue
		}
		if found := whoHolds(t, vfs.Default, dir, secret(i)); found != nil {
			t.Fatalf("value %d is left in %v", i, found)
		}
	}
	for i := 600; i < 1900; i++ {
		value, closer, err := f.DB.Get(fmt.Appendf(nil, "row/%04d", i))
		if err != nil || !bytes.HasPrefix(value, secret(i)) {
			t.Fatalf("row %d is %.30q, %v", i, value, err)
		}
		closer.Close()
	}
	// It is a folder like any other afterwards, also when nobody closed it.
	commit(t, f, "after", 100)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(dir, config(vfs.Default)); err != nil {
		t.Fatal(err)
	}
	if _, closer, err := f.DB.Get([]byte("after")); err != nil {
		t.Fatal(err)
	} else {
		closer.Close()
	}
	if err := errors.Join(f.Purge(context.Background()), f.Close()); err != nil {
		t.Fatal(err)
	}
}
