package audience

import (
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// A person opted out with the app; later the client imports the same token and
// says nothing about it (law L4).
func TestAnOptOutStaysWithItsAddress(t *testing.T) {
	derived := func(u *record.Upsert) { u.Derived = true }
	at := func(n int) func(*record.Upsert) { return func(u *record.Upsert) { u.Address = token(n) } }
	secret := func(u *record.Upsert) { u.Secret = []byte("hash") }
	said := func(in bool) func(*record.Upsert) { return func(u *record.Upsert) { u.OptedIn = &in } }
	for name, c := range map[string]struct {
		later *record.Change
		stays int // which subscription has the address in the end
		in    bool
	}{
		"imported for the same person":         {phone(2, of("olga"), at(1), derived), 1, false},
		"imported, and said to be opted in":    {phone(2, of("olga"), at(1), derived, said(true)), 1, true},
		"registered anew by the app":           {phone(2, of("olga"), at(1)), 2, false},
		"registered anew, opted in":            {phone(2, of("olga"), at(1), said(true)), 2, true},
		"imported for somebody else":           {phone(2, of("oleg"), at(1), derived), 2, false},
		"moved to a subscription that is live": {phone(3, of("olga"), at(1)), 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(news, phone(1, of("olga"), at(1), secret), phone(3, of("olga"), at(3)), optIn(1, false), c.later)
			id, held := w.shard.Holder(news, tocsin.APNs, token(1))
			if want := tocsin.SubscriptionID(phone(c.stays).GetUpsert().Subscription); !held || id != want {
				t.Fatalf("%v has the address, want %v", id, want)
			}
			s, _ := w.shard.Find(news, id)
			if s.OptedIn != c.in || (string(s.Secret) == "hash") != (c.stays == 1) {
				t.Errorf("%+v", s)
			}
		})
	}
}
