package receipt

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal"
	journaldisk "github.com/tocsin-push/tocsin/journal/disk"
	"github.com/tocsin-push/tocsin/record"
	storedisk "github.com/tocsin-push/tocsin/store/disk"
)

// On a disk that is nearly full no send is taken in any more, and the ledger of
// those that were is counted, saved and trimmed to its end.
func TestANearlyFullDiskIsTrimmed(t *testing.T) {
	fs := vfs.NewMem()
	fatal := func(err error) { panic(err) }
	jc, sc := journaldisk.Default(), storedisk.Default()
	jc.FS, jc.Reserve, jc.Memory, jc.Log, jc.Stop = fs, 1000, 64<<10, slog.New(slog.DiscardHandler), fatal
	sc.FS, sc.Reserve, sc.Memory, sc.Log, sc.Stop = fs, 1000, 64<<10, slog.New(slog.DiscardHandler), fatal
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 5000, TotalBytes: 10_000})
	j, err := journaldisk.Open("journal", jc)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s, err := storedisk.Open("store", sc)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ledger := journal.Partition{Topic: journal.Ledger}
	told := begin(t)
	told.take()
	told.open(10, 11)
	for _, r := range told.log {
		if stamp := stampOf(r.Envelope); stamp != nil {
			stamp.Term = 1
		}
		if _, err := j.Append(t.Context(), ledger, record.Encode(r.Envelope)); err != nil {
			t.Fatal(err)
		}
	}
	end, err := j.End(t.Context(), ledger)
	if err != nil {
		t.Fatal(err)
	}

	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 200, TotalBytes: 10_000})
	for err = error(nil); err == nil; { // the disk is looked at once a second
		_, err = j.Append(t.Context(), journal.Partition{Topic: journal.Sends}, []byte("a send"))
	}
	if !errors.Is(err, journal.ErrFull) {
		t.Fatal(err)
	}
	config := Default()
	config.Save = time.Millisecond
	shell := NewShell(config, 0, 1, j, s, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan error)
	go func() { done <- shell.Run(ctx) }()
	for shell.Durable() < uint64(end) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := j.Trim(ctx, ledger, journal.Position(shell.Durable())); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if first, err := j.First(t.Context(), ledger); err != nil || first < end {
		t.Fatalf("the ledger begins at %d, it ended at %d, %v", first, end, err)
	}
}
