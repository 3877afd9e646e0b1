package folder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config is how a folder is opened; every field but Filters and Passing must be set.
type Config struct {
	FS      vfs.FS           // vfs.Default, or a file system in memory for tests
	Memory  uint64           // bytes of one table in memory; at most two, and a cache of one more, exist
	Reserve uint64           // bytes of free space below which new work is refused
	Filters bool             // rows are looked up that mostly are not there: tables carry Bloom filters
	Passing bool             // rows come in order, are read once or twice and go: tables are not compressed, and merged late
	Now     func() time.Time // for the age of the last look at the free space
	Log     *slog.Logger
	Stop    func(error) // ends the process and does not return
}

// syncEvery is the least time between two syncs of the log, a few times what one
// takes: whoever comes meanwhile shares the next one. Without it a log that many
// write to is synced thousands of times a second, for one record or two.
const syncEvery = 500 * time.Microsecond

// lateMerge is how many tables may lie above each other before they are merged,
// where most are gone before that; Pebble's own is 4.
const lateMerge = 16

// format is what Pebble writes, named so that a newer Pebble does not raise it by
// itself: no older build can open the folder after that. The newest of its time,
// because with Pebble's default damage to the log goes unseen.
const format = pebble.FormatValueSeparation

// Folder is an open database. All methods may be called at once.
type Folder struct {
	DB *pebble.DB

	dir   string
	c     Config
	lock  *pebble.Lock
	guard *guard

	space  sync.Mutex
	looked time.Time
	free   uint64

	damage  sync.Mutex
	damaged string               // the file found damaged first
	told    map[string]time.Time // when a complaint went to the log last
}

// Open locks the folder, checks its logs and opens the database, new ones too.
// After an error the process should end: Pebble may leave goroutines behind.
func Open(dir string, c Config) (_ *Folder, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("folder %s: %w", dir, err)
		}
	}()
	if err := makeDir(c.FS, dir); err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, c: c, told: map[string]time.Time{}}
	if f.lock, err = pebble.LockDirectory(dir, c.FS); err != nil {
		return nil, fmt.Errorf("it is in use by another process: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.lock.Close())
		}
	}()
	n, err := openNote(c.FS, dir)
	if err != nil {
		return nil, err
	}
	f.guard = &guard{FS: c.FS, note: n, stop: f.stop}
	if err = n.verify(c.FS, dir); err == nil {
		err = f.open()
	}
	if err != nil {
		return nil, errors.Join(err, f.guard.close())
	}
	return f, nil
}

// makeDir makes the folder and sees to it that a power loss cannot take it, or
// a folder above it, as a whole. A folder that is there may be so only since a
// process that was killed.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for parent := fs.PathDir(dir); parent != dir; dir, parent = parent, fs.PathDir(parent) {
		if err := syncDir(fs, parent); errors.Is(err, os.ErrPermission) {
			return nil // then it is not one that we made
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) open() (err error) {
	options := &pebble.Options{
		FS:                    f.guard,
		Lock:                  f.lock,
		FormatMajorVersion:    format,
		ErrorIfNotExists:      f.guard.note.complete,
		MemTableSize:          f.c.Memory,
		CacheSize:             int64(f.c.Memory),
		WALMinSyncInterval:    func() time.Duration { return syncEvery },
		FlushDelayDeleteRange: 10 * time.Second, // then trimmed space comes back on an idle node too
		Logger:                logger{f},
		EventListener: &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
			if f.harm(i.Path) {
				f.c.Log.Error("a file is damaged", "file", i.Path, "error", i.Details.Error()) // as an error it would bring its stack
			}
		}},
	}
	if f.c.Filters {
		for i := range options.Levels {
			options.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // bits a row: one look in a hundred is in vain
		}
	}
	if f.c.Passing {
		options.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
		options.L0CompactionThreshold, options.L0StopWritesThreshold = lateMerge, 4*lateMerge
	}
	if f.DB, err = pebble.Open(f.dir, options); err != nil {
		return f.Explain(err)
	}
	f.guard.mu.Lock()
	defer f.guard.mu.Unlock()
	f.guard.note.complete = true
	return f.guard.save(true)
}

// Explain adds the name of the damaged file to an error that Pebble returned.
func (f *Folder) Explain(err error) error {
	if err == nil {
		return nil
	}
	if i := pebble.ExtractDataCorruptionInfo(err); i != nil {
		return fmt.Errorf("%s is damaged: %w", i.Path, err)
	}
	if f.DB == nil {
		f.guard.mu.Lock()
		defer f.guard.mu.Unlock()
		return fmt.Errorf("%w (the log read last is %s)", err, f.guard.read)
	}
	return err
}

// harm notes a damaged file, and reports whether to say so.
func (f *Folder) harm(path string) bool {
	f.damage.Lock()
	defer f.damage.Unlock()
	if f.damaged == "" {
		f.damaged = path
	}
	return f.due(path)
}

// due reports whether a complaint was not said for a minute: Pebble repeats
// many times a second what fails. The caller holds damage.
func (f *Folder) due(complaint string) bool {
	now := f.c.Now()
	if last, said := f.told[complaint]; said && now.Sub(last).Abs() < time.Minute {
		return false
	}
	f.told[complaint] = now
	return true
}

// Damaged is an error that names the first table found damaged since Open, nil
// while there is none. It stays: nothing but a backup brings the rows back.
func (f *Folder) Damaged() error {
	f.damage.Lock()
	defer f.damage.Unlock()
	if f.damaged == "" {
		return nil
	}
	return fmt.Errorf("%s is damaged", f.damaged)
}

// Apply makes a batch visible in the order of the calls; Wait makes it durable.
// An error means that nothing was applied.
func (f *Folder) Apply(b *pebble.Batch) error { return f.DB.ApplyNoSyncWait(b, pebble.Sync) }

// Wait returns once the batch, and with it all that were applied before, is
// synced. Several batches share a sync.
func (f *Folder) Wait(b *pebble.Batch) error {
	if err := b.SyncWait(); err != nil {
		f.stop(fmt.Errorf("writing the log: %w", err))
	}
	return b.Close()
}

// Full reports whether less than a part of the reserve is free: 1 for new work,
// more for what must still finish. The disk is looked at once a second at most.
func (f *Folder) Full(part uint64) (bool, error) {
	f.space.Lock()
	defer f.space.Unlock()
	if now := f.c.Now(); f.looked.IsZero() || now.Sub(f.looked).Abs() >= time.Second {
		usage, err := f.c.FS.GetDiskUsage(f.dir)
		if errors.Is(err, vfs.ErrUnsupported) {
			usage.AvailBytes = f.c.Reserve // a file system in memory is never full
		} else if err != nil {
			return false, fmt.Errorf("free space of folder %s: %w", f.dir, err)
		}
		f.looked, f.free = now, usage.AvailBytes
	}
	return f.free < f.c.Reserve/part, nil
}

// Close may be called once, with no other call under way.
func (f *Folder) Close() error {
	err := f.DB.Close()
	f.guard.mu.Lock()
	err = errors.Join(err, f.guard.save(true))
	f.guard.mu.Unlock()
	if err = errors.Join(err, f.guard.close(), f.lock.Close()); err != nil {
		return fmt.Errorf("closing folder %s: %w", f.dir, err)
	}
	return nil
}

// stop ends the process. Should Config.Stop return, the goroutine ends here all
// the same: Pebble would go on as if the write had succeeded.
func (f *Folder) stop(err error) {
	err = fmt.Errorf("folder %s: %w", f.dir, err)
	f.c.Log.Error("the disk failed, the process ends", "error", err)
	f.c.Stop(err)
	select {}
}

// logger is what Pebble writes its log to.
type logger struct{ f *Folder }

func (l logger) Infof(format string, args ...any) {
	if l.f.c.Log.Enabled(context.Background(), slog.LevelDebug) {
		l.f.c.Log.Debug(fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.f.damage.Lock()
	due := l.f.due(format)
	l.f.damage.Unlock()
	if due {
		l.f.c.Log.Error(fmt.Sprintf(format, args...))
	}
}

func (l logger) Fatalf(format string, args ...any) { l.f.stop(fmt.Errorf(format, args...)) }
