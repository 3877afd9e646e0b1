package disk

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Config is how a journal is opened.
type Config struct {
	// Memory is the size in bytes of one table in memory: 64 KiB to 1 GiB. Two
	// of them and a cache of the same size may exist.
	Memory uint64
	// Tail bounds, in bytes a partition, the records kept in memory for readers
	// that have caught up: 0 to 64 MiB.
	Tail int
	// Reserve is the free space in bytes below which topics that bring new work
	// (sends, changes) are refused with journal.ErrFull. What finishes accepted
	// work (slices, ledger) may use three quarters of it.
	Reserve uint64
	// FS is the file system. Tests bring one in memory.
	FS vfs.FS
	// Now is the clock; it only says when to look at the free space again.
	Now func() time.Time
	Log *slog.Logger
	// Stop ends the process and does not return. It is called when a write or a
	// sync failed: what the disk holds is then known after the next start only.
	Stop func(error)
}

// Default lacks Log and Stop, which the caller must bring.
func Default() Config {
	return Config{Memory: 32 << 20, Tail: 1 << 20, Reserve: 1 << 30, FS: vfs.Default, Now: time.Now}
}

func (c Config) Validate() error {
	switch {
	case c.Memory < 64<<10 || c.Memory > 1<<30:
		return errors.New("journal: Memory must be 64 KiB to 1 GiB")
	case c.Tail < 0 || c.Tail > 64<<20:
		return errors.New("journal: Tail must be 0 to 64 MiB")
	case c.FS == nil || c.Now == nil || c.Log == nil || c.Stop == nil:
		return errors.New("journal: FS, Now, Log and Stop must be set")
	}
	return nil
}
