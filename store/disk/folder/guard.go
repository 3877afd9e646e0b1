package folder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the file system that Pebble gets: it keeps the note of every log as
// the log is written, synced, renamed, used again and removed. It stops the
// process when a log cannot be made, written or synced, or the folder cannot be
// synced: Pebble would panic at some of these, and say less at the others. A
// table that cannot be written is tried again by Pebble.
type guard struct {
	vfs.FS
	stop func(error)
	mu   sync.Mutex
	note *note
	read string // the log that was opened last for reading, for error messages
	shut bool   // the note is closed; what Pebble left running changes no log any more

	reusing sync.Mutex // held while a log is taken for use again, or blanked
	afresh  bool       // no log is used again: behind its new end would stand what it held before
}

var errShut = errors.New("the folder was closed")

// save saves the note. g.mu is held.
func (g *guard) save(sync bool) error {
	if g.shut {
		return errShut
	}
	return g.note.save(sync)
}

func (g *guard) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	return g.note.file.Close()
}

// isLog: these files are written from the start to the end and hold no
// checksums that tell damage from a torn write. An OPTIONS file begins its life
// as a temporary one.
func isLog(name string) bool {
	return strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".dbtmp") ||
		strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "OPTIONS-")
}

// forget drops a log from the note, durably, before anything happens to the log.
func (g *guard) forget(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.note.logs[g.PathBase(name)]; !known {
		return nil
	}
	delete(g.note.logs, g.PathBase(name))
	return g.save(true)
}

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	err := g.forget(name)
	if err != nil {
		return nil, g.failed("making", name, err)
	}
	f, err := g.FS.Create(name, category)
	return g.watch(f, err, name)
}

func (g *guard) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	for _, name := range []string{from, to} {
		if err := g.forget(name); err != nil {
			return nil, g.failed("using again", name, err)
		}
	}
	g.reusing.Lock()
	defer g.reusing.Unlock()
	if !g.afresh {
		f, err := g.FS.ReuseForWrite(from, to, category)
		return g.watch(f, err, to)
	}
	if err := g.FS.Remove(from); err != nil {
		return nil, g.failed("removing", from, err)
	}
	f, err := g.FS.Create(to, category)
	return g.watch(f, err, to)
}

func (g *guard) watch(f vfs.File, err error, path string) (vfs.File, error) {
	if err != nil {
		return nil, g.failed("making", path, err)
	}
	if isLog(g.PathBase(path)) {
		return &logFile{File: f, guard: g, path: path}, nil
	}
	return f, nil
}

// failed stops the process when a log failed; else the error is Pebble's.
func (g *guard) failed(what, path string, err error) error {
	if err != nil && !errors.Is(err, errShut) && isLog(g.PathBase(path)) {
		g.stop(fmt.Errorf("%s %s: %w", what, path, err))
	}
	return err
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &folderFile{File: f, guard: g, path: name}, nil
}

// folderFile is the open folder, which is synced when a file came or went.
type folderFile struct {
	vfs.File
	guard *guard
	path  string
}

func (d *folderFile) Sync() error {
	err := d.File.Sync()
	if err != nil {
		d.guard.stop(fmt.Errorf("syncing folder %s: %w", d.path, err))
	}
	return err
}

func (g *guard) Remove(name string) error {
	if err := g.forget(name); err != nil {
		return err
	}
	return g.FS.Remove(name)
}

func (g *guard) Rename(from, to string) error {
	g.mu.Lock()
	p, known := g.note.logs[g.PathBase(from)]
	g.mu.Unlock()
	for _, name := range []string{from, to} {
		if err := g.forget(name); err != nil {
			return err
		}
	}
	if err := g.FS.Rename(from, to); err != nil || !known || !isLog(g.PathBase(to)) {
		return err
	}
	return g.synced(g.PathBase(to), p)
}

func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if isLog(g.PathBase(name)) {
		g.mu.Lock()
		g.read = name
		g.mu.Unlock()
	}
	return g.FS.Open(name, opts...)
}

// synced remembers what a log is known to hold. A manifest is synced rarely and
// matters much, so its note is synced at once.
func (g *guard) synced(name string, p prefix) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.note.logs[name] = p
	return g.save(!strings.HasSuffix(name, ".log"))
}

// logFile is written from the start to the end, by one goroutine at a time.
type logFile struct {
	vfs.File
	guard *guard
	path  string
	prefix
}

func (l *logFile) Write(b []byte) (int, error) {
	sum := crc32.Update(l.sum, castagnoli, b)
	n, err := l.File.Write(b)
	if err == nil {
		l.length, l.sum = l.length+int64(n), sum
	}
	return n, l.guard.failed("writing", l.path, err)
}

func (l *logFile) Sync() error { return l.synced(l.File.Sync()) }

func (l *logFile) SyncData() error { return l.synced(l.File.SyncData()) }

func (l *logFile) synced(err error) error {
	if err == nil && strings.HasPrefix(l.guard.PathBase(l.path), "MANIFEST-") {
		// Pebble's marker names the manifest next: on a disk that orders nothing
		// the marker could be there after a power loss, and the manifest not.
		err = syncDir(l.guard.FS, l.guard.PathDir(l.path))
	}
	if err == nil {
		err = l.guard.synced(l.guard.PathBase(l.path), l.prefix)
	}
	return l.guard.failed("syncing", l.path, err)
}
