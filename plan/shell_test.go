package plan

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// A scheduled send survives a stop of the process, is cut when due with the
// marks of that instant, and is not cut again by the next process.
func TestShellPlansAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := journalmem.New(), storemem.New(time.Now)
		writer := record.NewWriter(50)
		write := func(topic journal.Topic, shard tocsin.Shard, e *record.Envelope) journal.Position {
			at, err := j.Append(t.Context(), journal.Partition{Topic: topic, Shard: shard}, record.Encode(writer.Next(e, time.Now(), scope)))
			if err != nil {
				t.Fatal(err)
			}
			return at[0]
		}
		incarnation := uint64(0)
		run := func() (*Shell, func()) {
			incarnation++
			shell := NewShell(Default(2), 0, incarnation, j, s, slog.New(slog.DiscardHandler))
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- shell.Run(ctx) }()
			return shell, func() {
				stop()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
		}
		slices := func(shard tocsin.Shard) (all []*record.Slice) {
			read, _, err := j.Read(t.Context(), journal.Partition{Topic: journal.Slices, Shard: shard}, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range read {
				e, err := record.Decode(r.Data)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, e.GetSlice())
			}
			return all
		}

		_, stop := run()
		later := query(1)
		later.Scheduled, later.Due = true, time.Now().Add(time.Hour).UnixNano()
		write(journal.Sends, 0, &record.Envelope{Body: &record.Envelope_Send{Send: later}})
		write(journal.Sends, 0, &record.Envelope{Body: &record.Envelope_Send{Send: query(2, 1, 1)}})
		synctest.Wait()
		if len(slices(0)) != 1 || len(slices(1)) != 1 {
			t.Fatalf("%d and %d slices of the send that is due", len(slices(0)), len(slices(1)))
		}
		time.Sleep(10 * time.Second)
		stop()

		changed := write(journal.Changes, 1, &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{}}})
		_, stop = run()
		time.Sleep(time.Hour)
		synctest.Wait()
		if have := slices(1); len(have) != 2 || have[1].Mark <= uint64(changed) {
			t.Fatalf("slices when due: %v", have)
		}
		time.Sleep(10 * time.Second)
		stop()

		shell, stop := run()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(slices(0)) != 2 {
			t.Fatalf("%d slices after another start", len(slices(0)))
		}
		if sends, _ := shell.Durable(); sends < 2 {
			t.Fatalf("cursor of sends is %d", sends)
		}
		stop()
	})
}

// Timers run on a clock of their own, which a suspended machine stops and no
// step of the wall clock reaches: what is due by the wall clock is looked for.
func TestNoTimerOutlivesAStepOfTheClock(t *testing.T) {
	now := time.Now()
	for wait, want := range map[time.Duration]time.Duration{24 * time.Hour: time.Second, time.Millisecond: time.Millisecond, -time.Hour: -time.Hour} {
		if have := until(now, now.Add(wait).Round(0)); have.Round(time.Millisecond) != want {
			t.Errorf("waits %v for what is due in %v", have, wait)
		}
	}
}
