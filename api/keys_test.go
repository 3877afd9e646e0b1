package api

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// A key is kept for a day from the request that brought it, by the clock of the
// store, and not for much longer.
func TestAnIdempotencyKeyIsKeptForADay(t *testing.T) {
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w := newWorldOn(t, journalmem.New(), storemem.New(now), filepath.Join(t.TempDir(), "key"), func(_ *Config, d *Deps) { d.Now = now })
	_, c := w.newProject("a")
	first, err := c.Send(t.Context(), hello(), "key")
	if err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(24 * time.Hour))
	if again, err := c.Send(t.Context(), hello(), "key"); err != nil || again.ID != first.ID {
		t.Fatalf("after a day: %v, %v", again.ID, err)
	}
	ahead.Store(int64(26 * time.Hour))
	if later, err := c.Send(t.Context(), hello(), "key"); err != nil || later.ID == first.ID {
		t.Fatalf("after 26 hours: %v, %v", later.ID, err)
	}
}

// A key that a request is working on is refused to others for ten seconds, and
// then belongs to nobody.
func TestAPendingKeyIsTakenOverAfterTenSeconds(t *testing.T) {
	run := func(w *acceptWorld, a *attempt) Reply {
		for a.reply == nil {
			w.step(a, 0)
		}
		return *a.reply
	}
	w := &acceptWorld{now: time.Unix(1_800_000_000, 0)}
	stuck := w.arrive(1, 1)
	w.step(stuck, 0)
	for after, want := range []Refusal{9: Running, 10: Running, 11: 0} {
		if after < 9 {
			continue
		}
		w.now = time.Unix(1_800_000_000+int64(after), 0)
		if r := run(w, w.arrive(after, 1)); r.Refusal != want {
			t.Errorf("after %d s: %+v", after, r)
		}
	}
}
