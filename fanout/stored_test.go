package fanout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// list makes a slice of people by name, each with a value of its own, whose
// recipients stand in the store, and the rows that they stand in.
func list(people int, expiry time.Time) (*record.Slice, []store.Batch) {
	var all []*record.Recipient
	for n := range people {
		all = append(all, &record.Recipient{Profile: fmt.Sprintf("u:%d", n), Values: map[string]string{"code": fmt.Sprintf("code-%d.", n)}})
	}
	at, rows := audience.StoreExplicit(project, []byte{9}, map[tocsin.Shard][]*record.Recipient{0: all}, 1, expiry)
	return &record.Slice{Stored: at, Message: &record.Message{Fallback: "en", Languages: map[string]*record.Text{"en": {Title: "{{ code }}"}}}}, rows
}

// tired is a store that fails a few times.
type tired struct {
	store.Store
	left *atomic.Int64
}

func (s tired) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	if s.left.Add(-1) >= 0 {
		return nil, errors.New("the store is tired")
	}
	return s.Store.Scan(ctx, at, from, to, limit)
}

// Recipients that stand in the store get what was said of each, from the owner
// that opened the send and from the next one, though the store fails both.
func TestStoredRecipientsOverATakeover(t *testing.T) {
	const people = 3000
	w := newTown(t, people, nil)
	w.config.Retake, w.config.Leave = time.Millisecond, time.Millisecond
	slice, rows := list(people+1, time.Now().Add(time.Hour))
	if err := store.Save(w.ctx, w.store, rows); err != nil {
		t.Fatal(err)
	}
	var faults atomic.Int64
	w.store = tired{w.store, &faults}
	faults.Store(3)
	w.edge.hold = true
	leave := w.owner()
	id := w.send(1, slice)
	w.until(func(e *record.Envelope, v ledger.Verdict) bool { return v.InForce && e.GetClaim() != nil })
	if faults.Load() >= 0 {
		t.Fatal("nobody asked the store")
	}
	w.edge.release(func(b *provider.Batch) { b.Done(b) }) // nothing of it was written
	leave()
	faults.Store(3)
	w.owner()
	s := w.closed(id)
	if s.Audience != people || s.Unknown != 1 || s.Count(tocsin.Accepted) != people || faults.Load() >= 0 {
		t.Fatalf("audience %d, unknown %d, accepted %d, faults left %d", s.Audience, s.Unknown, s.Count(tocsin.Accepted), faults.Load())
	}
	for n := range people {
		if text := string(w.edge.seen[string(address(n))]); !strings.Contains(text, fmt.Sprintf("code-%d.", n)) {
			t.Fatalf("person %d got %s", n, text)
		}
	}
}

// A list that is lost is no empty one: nobody is passed over as long as
// somebody can be reached, and the log says what is missing.
func TestLostRecipientsAreWaitedFor(t *testing.T) {
	w := newTown(t, 100, nil)
	w.config.Retake = time.Millisecond
	w.owner()
	slice, rows := list(100, time.Now().Add(time.Hour))
	id := w.send(1, slice)
	for line := ""; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "recipients of a send are lost") || !strings.Contains(line, id.String()); {
		select {
		case line = <-w.log:
		case <-w.ctx.Done():
			t.Fatal("the log does not say that recipients are lost")
		}
	}
	if err := store.Save(w.ctx, w.store, rows); err != nil { // out of a backup
		t.Fatal(err)
	}
	if s := w.closed(id); s.Count(tocsin.Accepted) != 100 || s.Unknown != 0 {
		t.Fatalf("accepted %d, unknown %d", s.Count(tocsin.Accepted), s.Unknown)
	}
	for n := range 100 {
		if text := string(w.edge.seen[string(address(n))]); !strings.Contains(text, fmt.Sprintf("code-%d.", n)) {
			t.Fatalf("person %d got %s", n, text)
		}
	}

	slice, _ = list(100, time.Time{}) // nobody can be reached any more
	slice.Stored.Id = []byte{10}
	slice.Options = &record.Options{Ttl: 1}
	if s := w.closed(w.send(2, slice)); s.Audience != 0 || s.Unknown != 100 {
		t.Fatalf("audience %d, unknown %d", s.Audience, s.Unknown)
	}
}
