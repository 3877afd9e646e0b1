package audience

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// at applies changes that were written at an instant.
func (w *world) at(at time.Time, changes ...*record.Change) {
	w.t.Helper()
	e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}},
		at, record.Scope{Project: news})
	w.pos += 3
	data := record.Encode(e)
	w.log = append(w.log, data)
	w.again(w.pos, data)
}

// event is one by a subscription, or by a user.
func event(name string, at time.Time, by any, more ...func(*record.Event)) *record.Change {
	e := &record.Event{Name: name, At: at.UnixNano()}
	switch by := by.(type) {
	case int:
		e.Subscription, e.Profile = subscription(by).Bytes(), AnonymousKey(subscription(by))
	case string:
		e.Profile = UserKey(by)
	}
	for _, f := range more {
		f(e)
	}
	return &record.Change{Change: &record.Change_Event{Event: e}}
}

func told(number uint64) func(*record.Event) { return func(e *record.Event) { e.Repeat = number } }

// did is what a subscription's person did, in words.
func (w *world) did(s *Shard, n int) string { return deeds(s)[subscription(n)] }

// deeds is what the person of everybody did.
func deeds(s *Shard) map[tocsin.SubscriptionID]string {
	all := make(map[tocsin.SubscriptionID]string)
	if p := s.projects[news]; p != nil {
		for o := range uint32(p.rows.ids.Len()) {
			if text := p.deeds(o); text != "" {
				all[p.rows.ids.At(o)] = text
			}
		}
	}
	return all
}

func (p *project) deeds(o uint32) string {
	deeds := p.done.own.Of(o)
	if person := p.rows.profile.At(o); person != 0 {
		deeds = append(deeds, p.done.people.Of(person-1)...)
	}
	var parts []string
	for _, d := range deeds {
		part := fmt.Sprintf("%s %d from %s to %s", d.Name, d.Count, fromSeconds(d.First).Format("02T15"), fromSeconds(d.Last).Format("02T15"))
		for _, day := range d.Days {
			part += fmt.Sprintf(" %s:%d", fromSeconds(day.Day*24*60*60).Format("02"), day.Times)
		}
		for _, o := range d.Times {
			for _, f := range o.Fields {
				part += fmt.Sprintf(" %s=%s", f.Name, f.Value)
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// What a person does is the person's: it counts for subscriptions to come, and
// not for one that has become somebody else's.
func TestEventsAreThePersons(t *testing.T) {
	w := newWorld(t)
	of := func(user string) func(*record.Upsert) { return func(u *record.Upsert) { u.Profile = UserKey(user) } }
	price := func(e *record.Event) {
		e.Fields = []*record.Attribute{{Name: "amount", Value: &record.Attribute_Integer{Integer: 12}}}
	}
	expect := func(n int, want string) {
		t.Helper()
		if got := w.did(w.shard, n); got != want {
			t.Errorf("subscription %d: %q, want %q", n, got, want)
		}
		if got := w.did(reread(t, w.shard), n); got != want {
			t.Errorf("subscription %d, read back: %q, want %q", n, got, want)
		}
	}
	w.at(noon, phone(1), phone(2, of("ann")), event("read", noon, 1), event("read", noon.Add(-25*time.Hour), 1), event("bought", noon, "ann", price))
	expect(1, "read 2 from 22T11 to 23T12 22:1 23:1")
	expect(2, "bought 1 from 23T12 to 23T12 23:1 amount=12")

	w.at(noon, event("read", noon.Add(time.Hour), 2), phone(1, of("ann"))) // she signs in on her old phone
	both := "bought 1 from 23T12 to 23T12 23:1 amount=12, read 3 from 22T11 to 23T13 22:1 23:2"
	expect(1, both)
	expect(2, both)
	w.at(noon, phone(2, of("ben")), phone(3, of("ann")))
	expect(2, "")
	expect(3, both)

	// An anonymous one that goes takes what it did along.
	w.at(noon, phone(4), event("read", noon, 4))
	w.at(noon, &record.Change{Change: &record.Change_Delete{Delete: &record.Delete{Subscription: subscription(4).Bytes()}}}, phone(4))
	expect(4, "")
}

// A repeat does nothing for a day of the log at least, also after a restart.
func TestEventsThatAreToldAgain(t *testing.T) {
	w := newWorld(t)
	w.at(noon, phone(1), event("read", noon, 1, told(77)), event("read", noon, 1, told(77)), event("read", noon, 1, told(78)), event("read", noon, 1))
	again := func(after time.Duration, want string) {
		t.Helper()
		w.shard = reread(t, w.shard)
		w.at(noon.Add(after), event("read", noon, 1, told(77)))
		if got := w.did(w.shard, 1); got != want {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
	again(0, "read 3 from 23T12 to 23T12 23:3")
	again(35*time.Hour, "read 3 from 23T12 to 23T12 23:3")
	again(36*time.Hour, "read 4 from 23T12 to 23T12 23:4")
	again(37*time.Hour, "read 4 from 23T12 to 23T12 23:4")
}

// Days fall off as the log goes on, totals stay.
func TestEventsAgeWithTheLog(t *testing.T) {
	w := newWorld(t)
	field := func(e *record.Event) {
		e.Fields = []*record.Attribute{{Name: "page", Value: &record.Attribute_Text{Text: "front"}}}
	}
	w.at(noon, phone(1), event("read", noon, 1, field), event("read", noon.Add(24*time.Hour), 1, field))
	for _, step := range []struct {
		days int
		want string
	}{
		{29, "read 2 from 23T12 to 24T12 23:1 24:1 page=front page=front"},
		{30, "read 2 from 23T12 to 24T12 23:1 24:1 page=front"},
		{89, "read 2 from 23T12 to 24T12 23:1 24:1"},
		{90, "read 2 from 23T12 to 24T12 24:1"},
		{91, "read 2 from 23T12 to 24T12"},
	} {
		w.at(noon.AddDate(0, 0, step.days), phone(2))
		if got := w.did(w.shard, 1); got != step.want {
			t.Errorf("after %d days: %q, want %q", step.days, got, step.want)
		}
	}
	w.at(noon.AddDate(0, 0, 91), event("read", noon, 1, field)) // told very late
	if got, want := w.did(w.shard, 1), "read 3 from 23T12 to 24T12"; got != want {
		t.Errorf("told late: %q, want %q", got, want)
	}
}
