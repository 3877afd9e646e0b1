package journal_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
)

var ledgerOne = journal.Partition{Topic: journal.Ledger, Shard: 1}

func closing(w *record.Writer) []byte {
	return record.Encode(w.Next(&record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{}}}, time.Unix(1, 0), record.Scope{}))
}

// moody fails every other read.
type moody struct {
	journal.Journal
	reads int
}

func (m *moody) Read(ctx context.Context, p journal.Partition, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	if m.reads++; m.reads%2 == 1 {
		return nil, 0, errors.New("the disk sulks")
	}
	return m.Journal.Read(ctx, p, from, limit)
}

func TestFollowHandsOnEveryRecordOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		log := &moody{Journal: mem.New()}
		writer := record.NewWriter(5)
		var numbers []uint64
		ended := make(chan error)
		go func() {
			ended <- journal.Follow(ctx, log, ledgerOne, 0, 0, time.Second, slog.New(slog.DiscardHandler), func(entries []journal.Entry, next journal.Position) {
				for _, e := range entries {
					if numbers = append(numbers, e.Envelope.Number); uint64(next) <= e.Position {
						t.Errorf("next is %d after a record at %d", next, e.Position)
					}
				}
			})
		}()
		for range 3 {
			if _, err := log.Append(ctx, ledgerOne, closing(writer), closing(writer)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(time.Second) // of the bubble's clock: the pause after a failed read
			synctest.Wait()
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("a follower that was told to end says %v", err)
		}
		if len(numbers) != 6 {
			t.Fatalf("six records were appended, %v were handed on", numbers)
		}
		for i, n := range numbers {
			if n != uint64(i+1) {
				t.Errorf("handed on as %v", numbers)
			}
		}
	})
}

func TestFollowNeverSkipsWhatIsTrimmedOrUnreadable(t *testing.T) {
	log := mem.New()
	at, err := log.Append(t.Context(), ledgerOne, closing(record.NewWriter(5)), []byte("no record"))
	if err != nil {
		t.Fatal(err)
	}
	hand := func([]journal.Entry, journal.Position) {}
	if err := journal.Follow(t.Context(), log, ledgerOne, at[0], 0, time.Second, slog.Default(), hand); !errors.Is(err, record.ErrDamaged) {
		t.Errorf("an unreadable record gives %v", err)
	}
	if err := log.Trim(t.Context(), ledgerOne, at[1]); err != nil {
		t.Fatal(err)
	}
	if err := journal.Follow(t.Context(), log, ledgerOne, at[0], 0, time.Second, slog.Default(), hand); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("a trimmed position gives %v", err)
	}
}
