package receipt

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// Whom a send has reached is told while it runs, and the same from its rows.
func TestReached(t *testing.T) {
	whole := begin(t)
	whole.story()
	// take, open, two claims: nobody; a settle; a take, which leaves a claim in
	// doubt; then nothing more, for what else is accepted was in doubt before.
	for at, want_ := range [][]uint32{nil, {}, {}, {}, {10}, {10, 12, 13}, {10, 12, 13}, {10, 12, 13}} {
		w := begin(t)
		for _, r := range whole.log[:at+1] {
			w.step(LedgerRead{[]Record{r}, r.Position + 1})
		}
		rows := w.m.reached(scope.Project, one)
		if (rows == nil) != (want_ == nil) || rows != nil && !slices.Equal(slices.Collect(rows.All()), want_) {
			t.Errorf("after %d records: %v, want %v", at+1, rows, want_)
		}
		if w.m.reached(tocsin.ProjectID{2}, one) != nil {
			t.Error("another project's send")
		}
	}
	whole.pass(time.Minute)
	rows, err := ReadReached(scope.Project, whole.stored(one))
	want(t, err, nil)
	want(t, slices.Collect(rows.All()), []uint32{10, 12, 13})
	rows, err = ReadReached(tocsin.ProjectID{2}, whole.stored(one))
	want(t, []any{rows.Len(), err}, []any{0, nil})
}

// The shell tells it at every moment: while the send is open, closed and not
// saved, saved, and in the next process.
func TestShellTellsWhoWasReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := journalmem.New(), storemem.New(time.Now)
		told := begin(t)
		told.story()
		var shell *Shell
		config := Default()
		config.Save = 10 * time.Second
		ask := func(want_ ...uint32) {
			t.Helper()
			for project, want_ := range map[tocsin.ProjectID][]uint32{scope.Project: want_, {2}: nil} {
				rows, err := shell.Reached(t.Context(), project, one)
				if err != nil || !slices.Equal(slices.Collect(rows.All()), want_) {
					t.Fatalf("%v, %v, want %v", rows, err, want_)
				}
			}
		}
		for incarnation := range uint64(2) {
			shell = NewShell(config, 0, incarnation+1, j, s, slog.New(slog.DiscardHandler))
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- shell.Run(ctx) }()
			if incarnation == 0 {
				ask()
				terms := map[uint64]uint64{}
				for i, r := range told.log {
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
					if i == 4 { // the first settle
						time.Sleep(gather)
						synctest.Wait()
						ask() // as it was less than a second ago
						time.Sleep(sentFresh)
						ask(10)
					}
				}
			}
			time.Sleep(sentFresh + gather)
			synctest.Wait()
			ask(10, 12, 13)
			time.Sleep(time.Minute)
			ask(10, 12, 13)
			stop()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		rows, err := shell.Reached(t.Context(), scope.Project, one) // nobody runs: it is remembered
		want(t, []any{rows.Len(), err}, []any{3, nil})
	})
}

// What is remembered of earlier sends is bounded, and what was asked for last
// stays.
func TestReachedIsForgotten(t *testing.T) {
	s, now := newSent(), noon
	all := roaring.New()
	all.AddRange(0, 1<<20)
	key := func(n int) sentKey { return sentKey{send: tocsin.SendID{byte(n >> 8), byte(n)}} }
	for n := range 2 * sentBytes / index.RowsOf(all).Size() {
		if n > 0 {
			s.get(key(0), now)
		}
		s.put(key(n), index.RowsOf(all), true, now)
	}
	if s.bytes > sentBytes || s.get(key(0), now) == nil || s.get(key(1), now) != nil {
		t.Errorf("%d bytes, %d sends", s.bytes, s.order.Len())
	}
	for n := range 2 * sentMost {
		s.put(key(n), new(index.Rows), false, now)
	}
	if s.order.Len() > sentMost || len(s.known) != s.order.Len() || s.get(key(2*sentMost-1), now.Add(sentFresh)) != nil {
		t.Errorf("%d sends", s.order.Len())
	}
}
