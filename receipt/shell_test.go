package receipt

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// The shell answers at every moment, before and after rows are saved, and in
// the next process.
func TestShellAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := journalmem.New(), storemem.New(time.Now)
		told := begin(t)
		told.story()
		ask := func(shell *Shell) {
			t.Helper()
			c, err := shell.Status(t.Context(), one)
			if err != nil || c == nil || Merge(c).Outcomes[tocsin.Accepted] != 2 {
				t.Fatalf("status %v, %v", c, err)
			}
			tr, err := shell.Trace(t.Context(), one, 13)
			if err != nil || tr.State != ledger.Ended(tocsin.Gone) || len(tr.Attempts) != 2 {
				t.Fatalf("trace %+v, %v", tr, err)
			}
			if _, err := shell.Trace(t.Context(), one, 99); !errors.Is(err, ErrNotTargeted) {
				t.Fatalf("trace of nobody: %v", err)
			}
			if c, err := shell.Status(t.Context(), tocsin.SendID{9}); c != nil || err != nil {
				t.Fatalf("status of nothing: %v, %v", c, err)
			}
		}
		for incarnation := range uint64(2) {
			shell := NewShell(Default(), 0, incarnation+1, j, s, slog.New(slog.DiscardHandler))
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- shell.Run(ctx) }()
			if incarnation == 0 {
				// Positions of the journal differ from those of the story, and
				// a term is a position.
				terms := map[uint64]uint64{}
				for _, r := range told.log {
					if stamp := stampOf(r.Envelope); stamp != nil {
						stamp.Term = terms[stamp.Term]
					}
					if take := r.Envelope.GetTake(); take != nil {
						take.Supersedes = terms[take.Supersedes]
					}
					at, err := j.Append(t.Context(), journal.Partition{Topic: journal.Ledger}, record.Encode(r.Envelope))
					if err != nil {
						t.Fatal(err)
					}
					terms[r.Position] = uint64(at[0])
				}
			}
			synctest.Wait()
			ask(shell)
			time.Sleep(time.Minute)
			ask(shell)
			if shell.Durable() == 0 {
				t.Fatal("nothing was saved")
			}
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		changes, _, err := j.Read(t.Context(), journal.Partition{Topic: journal.Changes}, 0, 1<<20)
		if err != nil || len(changes) != 1 {
			t.Fatalf("%d changes, %v", len(changes), err)
		}
	})
}

func stampOf(e *record.Envelope) *record.Stamp {
	switch b := e.Body.(type) {
	case *record.Envelope_Open:
		return b.Open.Stamp
	case *record.Envelope_Claim:
		return b.Claim.Stamp
	case *record.Envelope_Settle:
		return b.Settle.Stamp
	case *record.Envelope_Close:
		return b.Close.Stamp
	}
	return nil
}
