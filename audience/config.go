package audience

import (
	"fmt"
	"time"
)

// Config is how a follower reads the log and keeps snapshots.
type Config struct {
	ReadBytes     int           // of one read of the log
	SnapshotBytes int64         // of log after which a snapshot pays; at least the size of the last one is waited for
	SnapshotEvery time.Duration // after which one is written though little changed
}

// Default returns the settings of a new installation. With them a restart
// reads at most about as much log as there is audience.
func Default() Config {
	return Config{ReadBytes: 4 << 20, SnapshotBytes: 64 << 20, SnapshotEvery: time.Hour}
}

// Validate refuses settings that would stall a follower or never end a log.
func (c Config) Validate() error {
	switch {
	case c.ReadBytes < 1<<10 || c.ReadBytes > 256<<20:
		return fmt.Errorf("audience: read bytes are %d, want 1 KiB to 256 MiB", c.ReadBytes)
	case c.SnapshotBytes < 1<<10:
		return fmt.Errorf("audience: snapshot bytes are %d, want at least 1 KiB", c.SnapshotBytes)
	case c.SnapshotEvery < time.Second || c.SnapshotEvery > 24*time.Hour:
		return fmt.Errorf("audience: snapshot every %v, want 1 s to 24 h", c.SnapshotEvery)
	}
	return nil
}
