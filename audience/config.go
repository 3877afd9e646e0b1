package audience

import (
	"fmt"
	"time"
)

// Config is how a follower reads the log and keeps snapshots.
type Config struct {
	ReadBytes     int           // of one read of the log
	SnapshotBytes int64         // of log after which a snapshot pays; at least a quarter of what the last one wrote is waited for
	SnapshotEvery time.Duration // after which one is written though little changed
}

// Default returns the settings of a new installation. With them a restart reads
// 32 MiB of log a shard, or a quarter of its audience where all of it changes.
func Default() Config {
	return Config{ReadBytes: 4 << 20, SnapshotBytes: 32 << 20, SnapshotEvery: time.Hour}
}

// after is how much log to wait for when the last snapshot wrote so much: so
// snapshots write at most about four times as much as the log, and a restart has
// little of it to read.
func (c Config) after(wrote int64) int64 { return max(c.SnapshotBytes, wrote/4) }

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
