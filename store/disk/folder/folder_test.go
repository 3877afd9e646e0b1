package folder

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func config(fs vfs.FS) Config {
	return Config{FS: fs, Memory: 256 << 10, Reserve: 1, Now: time.Now, Log: slog.New(slog.DiscardHandler), Stop: func(err error) { panic(err) }}
}

// commit writes one row of n bytes, durably.
func commit(t *testing.T, f *Folder, key string, n int) {
	t.Helper()
	b := f.DB.NewBatch()
	if err := errors.Join(b.Set([]byte(key), make([]byte, n), nil), f.Apply(b), f.Wait(b)); err != nil {
		t.Fatal(err)
	}
}

func TestOneProcessAFolder(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/data"} {
		fs := vfs.FS(vfs.NewMem())
		if dir != "/data" {
			fs = vfs.Default
		}
		f, err := Open(dir, config(fs))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, config(fs)); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("second open: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if f, err = Open(dir, config(fs)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFreeSpaceIsLookedAtOnceASecond(t *testing.T) {
	fs, now := vfs.NewMem(), time.Unix(1000, 0)
	c := config(fs)
	c.Reserve, c.Now = 100, func() time.Time { return now }
	f, err := Open("/data", c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	full := func(part uint64, want bool) {
		t.Helper()
		if got, err := f.Full(part); got != want || err != nil {
			t.Errorf("Full(%d) is %v, %v", part, got, err)
		}
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100, TotalBytes: 1000})
	full(1, false)
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 99, TotalBytes: 1000})
	full(1, false)
	now = now.Add(time.Second)
	full(1, true)
	full(4, false)
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 24, TotalBytes: 1000})
	now = now.Add(-time.Hour) // a clock that is set back delays nothing
	full(4, true)
}

func TestAFailedSyncStopsTheProcess(t *testing.T) {
	fault := errorfs.InjectorFunc(func(op errorfs.Op) error { return nil })
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error { return fault(op) }))
	c, stopped := config(fs), make(chan error, 2)
	c.Stop = func(err error) { stopped <- err }
	f, err := Open("/data", c)
	if err != nil {
		t.Fatal(err)
	}
	fault = func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.EIO
		}
		return nil
	}
	returned := make(chan error, 1)
	go func() {
		b := f.DB.NewBatch()
		returned <- errors.Join(b.Set([]byte("k"), nil, nil), f.Apply(b), f.Wait(b))
	}()
	select {
	case err := <-stopped:
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), ".log") || !strings.Contains(err.Error(), "/data") {
			t.Errorf("the process was stopped with %v", err)
		}
	case err := <-returned:
		t.Errorf("a commit whose sync failed returned %v", err)
	}
}

// After a power loss SYNCED may be behind by some commits. Damage in those very
// commits is refused, or looks like a torn write: then what is left is a
// beginning of what was there, and whole.
func TestDamageBehindANoteThatLags(t *testing.T) {
	const commits = 40
	disk := vfs.NewCrashableMem()
	f, err := Open("/data", config(disk))
	if err != nil {
		t.Fatal(err)
	}
	for i := range commits {
		commit(t, f, fmt.Sprintf("%03d", i), 700)
	}
	left := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := left.List("/data")
	var log string
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			log = "/data/" + name
		}
	}
	file, err := left.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(file)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	refused, silent := 0, 0
	for range 60 {
		rotten := left.CrashClone(vfs.CrashCloneCfg{})
		w, err := rotten.OpenReadWrite(log, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		at := r.IntN(len(content))
		_, err = w.WriteAt([]byte{content[at] ^ 0x40}, int64(at))
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		f, err := Open("/data", config(rotten))
		if err != nil {
			if refused++; !strings.Contains(err.Error(), log) {
				t.Errorf("the error does not name %s: %v", log, err)
			}
			continue
		}
		silent++
		present := 0
		for i := range commits {
			value, closer, err := f.DB.Get(fmt.Appendf(nil, "%03d", i))
			if errors.Is(err, pebble.ErrNotFound) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if present++; present != i+1 || len(value) != 700 {
				t.Errorf("row %d is there with %d bytes, after %d others", i, len(value), present-1)
			}
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if present == commits {
			t.Errorf("offset %d is damaged and all rows are there", at)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips refused, %d taken for a torn write", refused, silent)
}

// A power loss may tear the slot that was being written. The other one is then
// right, if older.
func TestTornNote(t *testing.T) {
	disk := vfs.NewCrashableMem()
	f, err := Open("/data", config(disk))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * noteEvery {
		commit(t, f, fmt.Sprintf("%03d", i), 5000) // flushes, new logs, removed logs
		f.guard.mu.Lock()                          // Pebble removes logs meanwhile, and notes it
		torn, slot := disk.CrashClone(vfs.CrashCloneCfg{}), f.guard.note.slot
		f.guard.mu.Unlock()
		w, err := torn.OpenReadWrite("/data/"+noteName, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.WriteAt([]byte("tocsin synced 1 999 "), slot*slotSize)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		if i%9 != 0 {
			continue
		}
		left, err := Open("/data", config(torn))
		if err != nil {
			t.Fatalf("after %d commits: %v", i+1, err)
		}
		value, closer, err := left.DB.Get(fmt.Appendf(nil, "%03d", i))
		if err != nil || len(value) != 5000 {
			t.Fatalf("after %d commits the last row has %d bytes, %v", i+1, len(value), err)
		}
		if err := errors.Join(closer.Close(), left.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNoteKeepsTheNewestLogsWhenItIsFull(t *testing.T) {
	n := note{logs: map[string]prefix{"MANIFEST-000001": {7, 9}}}
	for i := range 300 {
		n.logs[fmt.Sprintf("%06d.log", i)] = prefix{int64(i), uint32(i)}
	}
	b := n.encode()
	got, ok := decodeNote(append(b, "what stood here before"...))
	if !ok || len(b) > slotSize || got.logs["MANIFEST-000001"] != (prefix{7, 9}) || got.logs["000299.log"] != (prefix{299, 299}) {
		t.Fatalf("%v: %d logs in %d bytes", ok, len(got.logs), len(b))
	}
	for i := 0; i < len(b); i += 5 {
		damaged := append([]byte(nil), b...)
		damaged[i] ^= 4
		if _, ok := decodeNote(damaged); ok {
			t.Fatalf("a note with a flipped bit at %d was taken for good", i)
		}
	}
}

// A look for a row that is not there, as for most keys of requests, reads no
// block of a table.
func TestRowsThatAreNotThereAreFiltered(t *testing.T) {
	for _, filters := range []bool{false, true} {
		c := config(vfs.NewMem())
		c.Filters = filters
		f, err := Open("/data", c)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			commit(t, f, fmt.Sprintf("row-%d", 2*i), 10)
		}
		if err := f.DB.Flush(); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if _, _, err := f.DB.Get(fmt.Appendf(nil, "row-%d", 2*i+1)); !errors.Is(err, pebble.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if m := f.DB.Metrics().Filter; filters != (m.Hits > 950) {
			t.Errorf("filters %v: %d of 1000 looks ended at one", filters, m.Hits)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
