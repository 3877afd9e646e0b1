package disk_test

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/disk"
	"github.com/tocsin-push/tocsin/journal/journaltest"
)

// quick is a configuration for tests; a fatal error ends the test.
func quick(fs vfs.FS) disk.Config {
	c := disk.Default()
	c.Memory, c.Tail, c.FS = 64<<10, 4<<10, fs
	c.Log = slog.New(slog.DiscardHandler)
	c.Stop = func(err error) { panic(err) }
	return c
}

func open(t *testing.T, dir string, c disk.Config) *disk.Journal {
	t.Helper()
	j, err := disk.Open(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestContract(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Engine {
		dir, c := t.TempDir(), quick(vfs.Default)
		c.Reserve = 1
		j := open(t, dir, c)
		return journaltest.Engine{Journal: j, Reopen: func() journal.Journal {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = open(t, dir, c)
			return j
		}}
	})
}
