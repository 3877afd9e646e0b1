package folder

import (
	"hash/crc32"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard is the file system that Pebble gets: it keeps the note of every log as
// the log is written, synced, renamed, used again and removed.
type guard struct {
	vfs.FS
	mu   sync.Mutex
	note *note
	read string // the log that was opened last for reading, for error messages
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
	return g.note.save(true)
}

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := g.forget(name); err != nil {
		return nil, err
	}
	f, err := g.FS.Create(name, category)
	return g.watch(f, err, name)
}

func (g *guard) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	for _, name := range []string{from, to} {
		if err := g.forget(name); err != nil {
			return nil, err
		}
	}
	f, err := g.FS.ReuseForWrite(from, to, category)
	return g.watch(f, err, to)
}

func (g *guard) watch(f vfs.File, err error, path string) (vfs.File, error) {
	if name := g.PathBase(path); err == nil && isLog(name) {
		return &logFile{File: f, guard: g, name: name}, nil
	}
	return f, err
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
	return g.note.save(!strings.HasSuffix(name, ".log"))
}

// logFile is a file that is written from the start to the end, by one goroutine at
// a time.
type logFile struct {
	vfs.File
	guard *guard
	name  string
	prefix
}

func (l *logFile) Write(b []byte) (int, error) {
	n, err := l.File.Write(b)
	l.length += int64(n)
	l.sum = crc32.Update(l.sum, castagnoli, b[:n])
	return n, err
}

func (l *logFile) Sync() error {
	if err := l.File.Sync(); err != nil {
		return err
	}
	return l.guard.synced(l.name, l.prefix)
}

func (l *logFile) SyncData() error {
	if err := l.File.SyncData(); err != nil {
		return err
	}
	return l.guard.synced(l.name, l.prefix)
}
