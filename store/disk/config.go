package disk

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config is how a store is opened.
type Config struct {
	// Memory is the size in bytes of one table in memory: 64 KiB to 1 GiB. Two
	// of them and a cache of the same size may exist.
	Memory uint64
	// Reserve is the free space in bytes of which a half must be left for PutIf and
	// an eighth for Write; below that they return store.ErrFull. The journal refuses
	// new work with the whole reserve first, then accepted work below a quarter:
	// what is saved about it, and lets logs be trimmed, goes on longest.
	Reserve uint64
	// Sweep is the time between two passes that remove rows long dead: 1 s to 1 h.
	Sweep time.Duration
	// FS is the file system. Tests bring one in memory.
	FS vfs.FS
	// Now is the clock by which rows expire.
	Now func() time.Time
	Log *slog.Logger
	// Stop ends the process and does not return. It is called when a write or a
	// sync failed: what the disk holds is then known after the next start only.
	Stop func(error)
}

// Default lacks Log and Stop, which the caller must bring.
func Default() Config {
	return Config{Memory: 16 << 20, Reserve: 1 << 30, Sweep: 10 * time.Second, FS: vfs.Default, Now: time.Now}
}

func (c Config) Validate() error {
	switch {
	case c.Memory < 64<<10 || c.Memory > 1<<30:
		return errors.New("store: Memory must be 64 KiB to 1 GiB")
	case c.Sweep < time.Second || c.Sweep > time.Hour:
		return errors.New("store: Sweep must be 1 s to 1 h")
	case c.FS == nil || c.Now == nil || c.Log == nil || c.Stop == nil:
		return errors.New("store: FS, Now, Log and Stop must be set")
	}
	return nil
}
