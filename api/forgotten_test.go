package api

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/receipt"
)

// A send is listed for longer than its counters are kept: afterwards it says so,
// and does not look like one that nobody has begun.
func TestAnOldSendSaysThatItsDetailIsGone(t *testing.T) {
	var later atomic.Int64
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	_, c := w.newProject("a")
	sent, err := c.Send(t.Context(), hello(), "")
	if err != nil {
		t.Fatal(err)
	}
	look := func(age time.Duration) client.Send {
		t.Helper()
		later.Store(int64(age))
		got, err := c.GetSend(t.Context(), sent.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	kept := receipt.Default().Retention
	if got := look(kept - time.Hour); got.Status != client.SendAccepted || got.Forgotten || got.Counters == nil {
		t.Errorf("before: %+v", got)
	}
	if got := look(kept + time.Hour); got.Status != client.SendFinished || !got.Forgotten || got.Counters != nil {
		t.Errorf("after: %+v", got)
	}
}
