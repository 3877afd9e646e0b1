package api

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/pace"
)

// While too much is open a send is refused with the time to come back, and
// leaves no trace; one for later, and one that may come in, are taken.
func TestASendIsRefusedWhileTooMuchIsOpen(t *testing.T) {
	own := false
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Crowded = func(_ tocsin.ProjectID, class tocsin.Class) (pace.Refusal, bool) {
			return pace.Refusal{Own: own, After: 2500 * time.Millisecond}, class == tocsin.Normal
		}
	})
	_, c := w.newProject("a")
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		_, err := c.Send(t.Context(), hello(), "key")
		wantProblem(t, err, status, "crowded", "")
		var p *client.Problem
		if !errors.As(err, &p) || p.RetryAfter != 3*time.Second {
			t.Fatalf("come back after %v", p.RetryAfter)
		}
		own = true
	}
	if n := len(w.logged(journal.Sends)); n != 0 {
		t.Fatalf("%d sends were logged", n)
	}
	urgent, later := hello(), hello()
	urgent.Class, later.At = tocsin.Urgent, new(time.Now().Add(time.Hour))
	for _, request := range []client.SendRequest{urgent, later} {
		if _, err := c.Send(t.Context(), request, ""); err != nil {
			t.Error(err)
		}
	}
}
