package audience

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/mem"
)

// away is a log whose servers can be gone: then nothing of it can be read.
type away struct {
	journal.Journal
	gone atomic.Bool
}

var errAway = errors.New("no broker answers")

func (a *away) End(ctx context.Context, p journal.Partition) (journal.Position, error) {
	if a.gone.Load() {
		return 0, errAway
	}
	return a.Journal.End(ctx, p)
}

func (a *away) Read(ctx context.Context, p journal.Partition, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	if a.gone.Load() {
		return nil, 0, errAway
	}
	return a.Journal.Read(ctx, p, from, limit)
}

func (a *away) Wait(ctx context.Context, p journal.Partition, from journal.Position) error {
	if a.gone.Load() {
		return errAway
	}
	return a.Journal.Wait(ctx, p, from)
}

// The log is away when the shard begins, and again for five minutes while it
// runs: it ends neither time, answers meanwhile, and goes on when the log is back.
func TestAShardOutlivesALogThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &away{Journal: mem.New()}
		changes := newAppender(log)
		changes.append(t, phone(1))
		f := open(t, log, folderOn(t, vfs.NewMem()), slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		outage := func(people int) {
			t.Helper()
			log.gone.Store(true)
			changes.append(t, phone(9)) // wakes who waits: the next read fails
			for range 300 {
				time.Sleep(time.Second) // of the bubble's clock
				synctest.Wait()
				select {
				case err := <-ended:
					t.Fatalf("the shard ended with its log: %v", err)
				default:
				}
			}
			if n := len(everybody(f.Shard())); n != people {
				t.Fatalf("%d are known while the log is away, want %d", n, people)
			}
			log.gone.Store(false)
			time.Sleep(readAgain)
			synctest.Wait()
		}
		log.gone.Store(true)
		go func() { ended <- f.Run(ctx) }()
		outage(0)
		select {
		case <-f.Ready():
		default:
			t.Fatal("not ready though the log is back")
		}
		outage(2)
		if mark := changes.append(t, phone(3)); f.Shard().Await(ctx, mark) != nil || len(everybody(f.Shard())) != 3 {
			t.Errorf("%d are known, want 3", len(everybody(f.Shard())))
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("told to end it says %v", err)
		}
	})
}
