package crashtest

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// played runs the script and returns the disk as a kill at its end leaves it.
func played(t *testing.T, engine Engine) (left *vfs.MemFS) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	if err := engine.Play(disk, unexpected, func() { left = copyOf(disk) }); err != nil {
		t.Fatal(err)
	}
	return left
}

// copyOf is a disk with the same content.
func copyOf(disk *vfs.MemFS) *vfs.MemFS {
	return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// files reads every file below a folder.
func files(t *testing.T, disk vfs.FS, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	names, err := disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file := disk.PathJoin(dir, name)
		info, err := disk.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(all, files(t, disk, file))
			continue
		}
		f, err := disk.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		all[file] = b
	}
	return all
}

// rewrite replaces the content of a file.
func rewrite(t *testing.T, disk vfs.FS, file string, b []byte) {
	t.Helper()
	f, err := disk.Create(file, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(slices.Clone(b)) // a race build of the disk in memory scrambles what it is given
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// kindOf is the part of a file's name that says what it holds.
func kindOf(file string) string {
	base := path.Base(file)
	if i := strings.IndexByte(base, '-'); i > 0 {
		return base[:i]
	}
	return strings.TrimLeft(base, "0123456789")
}

// shown is the part of a file's name that an error about it must show: a marker
// is missed by its kind, a table that is gone by its number.
func shown(file string) string {
	base := path.Base(file)
	if strings.HasPrefix(base, "marker.") {
		return base[:strings.IndexByte(base[7:], '.')+7]
	}
	return strings.TrimSuffix(base, ".sst")
}

// judge checks a damaged disk: it must be refused by an error that names the
// file, or everything acknowledged must be there, as it was.
func judge(t *testing.T, engine Engine, disk *vfs.MemFS, file string) (refused bool) {
	t.Helper()
	err := engine.Check(disk, engine.Acknowledged(), unexpected)
	if err == nil {
		return false
	}
	if errors.Is(err, ErrWrong) {
		t.Errorf("%s: %v", file, err)
	} else if !strings.Contains(err.Error(), shown(file)) {
		t.Errorf("%s: the error does not name the file: %v", file, err)
	}
	return true
}

// FlippedBytes flips one byte at sampled offsets of every file that a killed
// process left.
func FlippedBytes(t *testing.T, open func() Engine) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	samples := 25
	if testing.Short() {
		samples = 8
	}
	engine := open()
	disk := played(t, engine)
	if err := engine.Check(copyOf(disk), engine.Acknowledged(), unexpected); err != nil {
		t.Fatal(err)
	}
	all := files(t, disk, "/")
	flips, refusals := map[string]int{}, map[string]int{}
	for _, file := range slices.Sorted(maps.Keys(all)) {
		content := all[file]
		for n := range min(samples, len(content)) {
			at := r.IntN(len(content))
			if n < 4 { // the ends are where formats have headers, and logs their last records
				at = []int{0, len(content) - 1, len(content) / 2, len(content) * 9 / 10}[n]
			}
			damaged := slices.Clone(content)
			damaged[at] ^= 1 << r.IntN(8)
			rotten := copyOf(disk)
			rewrite(t, rotten, file, damaged)
			flips[kindOf(file)]++
			if judge(t, engine, rotten, file) {
				refusals[kindOf(file)]++
			}
		}
	}
	for kind, n := range flips {
		t.Logf("%-10s %3d flips, %3d refused", kind, n, refusals[kind])
	}
	for _, kind := range []string{".log", ".sst", "MANIFEST"} {
		if refusals[kind] == 0 {
			t.Errorf("no damaged %s was refused", kind)
		}
	}
}

// TornTails cuts off or removes every file that a killed process left, and lets
// garbage follow the end of its logs.
func TornTails(t *testing.T, open func() Engine) {
	engine := open()
	disk := played(t, engine)
	for file, content := range files(t, disk, "/") {
		refused := 0
		for _, length := range []int{0, 1, len(content) / 2, len(content) - 1} {
			if length < 0 || length >= len(content) {
				continue
			}
			torn := copyOf(disk)
			rewrite(t, torn, file, content[:length])
			if judge(t, engine, torn, file) {
				refused++
			}
		}
		gone := copyOf(disk)
		if err := gone.Remove(file); err != nil {
			t.Fatal(err)
		}
		if judge(t, engine, gone, file) {
			refused++
		}
		if strings.HasSuffix(file, ".log") && len(content) > 0 {
			if refused == 0 {
				t.Errorf("%s was cut off and nobody noticed", file)
			}
			longer := copyOf(disk)
			rewrite(t, longer, file, append(slices.Clone(content), strings.Repeat("garbage", 100)...))
			if err := engine.Check(longer, engine.Acknowledged(), unexpected); err != nil {
				t.Errorf("%s with an unfinished write at its end: %v", file, err)
			}
		}
	}
}
