package api

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// Whoever is erased is off the disk within 24 hours, through failures and
// restarts; the row that says who it is goes before the files are rewritten.
func TestErasedWithinADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storemem.New(time.Now)
		failures := []error{errors.New("forgetting failed"), errors.New("purging failed")}
		fail := func(what int) error {
			err := failures[what]
			failures[what] = nil
			return err
		}
		var lock sync.Mutex
		var forgotten []string
		e := newEraser(Deps{Store: s, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Forget: func(_ context.Context, people []*Erasing, step func(string)) error {
				step("forgetting")
				if err := fail(0); err != nil {
					return err
				}
				lock.Lock()
				defer lock.Unlock()
				for _, one := range people {
					forgotten = append(forgotten, one.Person.Profile)
				}
				return nil
			},
			Purge: func(ctx context.Context) error {
				if rows, err := store.All(ctx, s, erasurePlace(pendingAt), "", ""); err != nil || slices.ContainsFunc(rows, func(r store.Row) bool { return len(r.Value) > 200 }) {
					t.Errorf("the table still says who is erased: %v, %v", rows, err)
				}
				return fail(1)
			}}, &imports{store: s})
		begin := func() (end func()) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- e.run(ctx) }()
			return func() {
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		end := begin()
		made := time.Now()
		ask := func(n byte, user string) *erasureRow {
			row := &erasureRow{ID: tocsin.ErasureID{n}, Project: tocsin.ProjectID{1}, Created: time.Now().UnixNano(), Due: time.Now().Add(eraseAfter).UnixNano(), Version: 1}
			if err := s.Write(t.Context(), erasurePlace(row.Project.String()), row.write()); err != nil {
				t.Fatal(err)
			}
			pending := *row
			pending.Person = &Erasing{Project: row.Project, Person: &record.Erase{Profile: user, Subscriptions: [][]byte{make([]byte, 200)}}}
			if err := s.Write(t.Context(), erasurePlace(pendingAt), pending.write()); err != nil {
				t.Fatal(err)
			}
			e.wake()
			return row
		}
		ask(1, "u:anna")
		time.Sleep(time.Hour)
		end()
		end = begin() // a new process
		ask(2, "u:ben")
		time.Sleep(time.Hour)
		synctest.Wait()
		lock.Lock()
		if len(forgotten) != 0 {
			t.Errorf("%v before it is due", forgotten)
		}
		lock.Unlock()
		time.Sleep(24*time.Hour - time.Since(made))
		synctest.Wait()
		lock.Lock()
		defer lock.Unlock()
		if want := []string{"u:anna", "u:ben"}; !slices.Equal(slices.Sorted(slices.Values(forgotten)), want) {
			t.Errorf("%v after a day, want %v", forgotten, want)
		}
		rows, err := store.All(t.Context(), s, erasurePlace(tocsin.ProjectID{1}.String()), "", "")
		if err != nil || len(rows) != 2 {
			t.Fatal(rows, err)
		}
		for _, r := range rows {
			if r.Version != listedDone {
				t.Errorf("%s is not done: %s", r.Key, r.Value)
			}
		}
		if left, err := store.All(t.Context(), s, erasurePlace(pendingAt), "", ""); err != nil || len(left) != 0 {
			t.Errorf("%v is left, %v", left, err)
		}
		if failures[0] != nil || failures[1] != nil {
			t.Error("nothing failed")
		}
		end()
	})
}
