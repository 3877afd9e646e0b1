package audience

import (
	"fmt"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Every name costs memory for every row, and a device key is public: names do
// not grow without end, and those that are known go on.
func TestNamesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(1, with("plan", "free"), of("ann")))
	for n := range 2 * MaxAttributes {
		tags := func(u *record.Upsert) {
			u.Tags = append(u.Tags, &record.TagSet{Name: fmt.Sprintf("set%d", n), Add: []string{"x"}})
		}
		w.apply(news, phone(2, with(fmt.Sprintf("name%d", n), "x"), tags))
		w.apply(news, &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: UserKey("ann"),
			Attributes: []*record.Attribute{{Name: fmt.Sprintf("of%d", n), Value: &record.Attribute_Flag{Flag: true}}}}}})
	}
	p := w.shard.projects[news]
	if attributes, sets := p.known.Names(); attributes != MaxAttributes || sets != MaxTagSets {
		t.Errorf("%d attributes and %d sets of tags of subscriptions", attributes, sets)
	}
	if attributes, _ := p.people.known.Names(); attributes != MaxAttributes {
		t.Errorf("%d attributes of people", attributes)
	}
	w.apply(news, phone(2, with("plan", "gold")))
	w.expect(`{"plan":"gold"}`, 1)
	fits := func(u *record.Upsert) bool {
		_, _, ok := w.shard.Fit(news, u.Attributes, u.Tags)
		return ok
	}
	if !fits(&record.Upsert{Attributes: []*record.Attribute{{Name: "plan"}}, Tags: []*record.TagSet{{Name: "set1"}}}) ||
		fits(&record.Upsert{Attributes: []*record.Attribute{{Name: "another"}}}) || fits(&record.Upsert{Tags: []*record.TagSet{{Name: "another"}}}) {
		t.Error("Fit says otherwise")
	}
	// Names that nobody has any more leave their room to others.
	w.apply(news, remove(2), phone(3, with("late", "x")))
	w.expect(`{"late":"x"}`, 2)
}

// Every route is a lane with connections of its own, and whoever has the device
// key can name hosts: their number is bounded, and who was there goes on.
func TestRoutesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(1))
	on := func(topic string) func(*record.Upsert) { return func(u *record.Upsert) { u.Topic = topic } }
	for n := range 2 * MaxRoutes {
		w.apply(news, phone(2+n, on(fmt.Sprintf("topic%d", n))))
	}
	full := func(u *record.Upsert) bool { return w.shard.FitRoute(news, u, MaxRoutes) }
	p := w.shard.projects[news]
	if live := p.live.GetCardinality(); len(p.routes) != MaxRoutes || live != MaxRoutes {
		t.Errorf("%d routes, %d subscriptions", len(p.routes), live)
	}
	w.apply(news, phone(1, on("one too many")), phone(5000))
	if live := p.live.GetCardinality(); live != MaxRoutes+1 {
		t.Errorf("%d subscriptions: want all those before and one more on a known route", live)
	}
	if u := phone(1, on("one too many")).GetUpsert(); full(u) {
		t.Error("FitRoute says otherwise")
	}
	if u := phone(1).GetUpsert(); !full(u) {
		t.Error("FitRoute refuses a route that is known")
	}
	if u := (&record.Upsert{Provider: uint32(tocsin.WebPush), Host: "https://p.example.com", Address: []byte("a")}); !full(u) {
		t.Error("topics leave no room for Web Push")
	}
	// A route that nobody is on any more leaves its room to another.
	w.apply(news, remove(2), phone(6000, on("one too many")))
	if s, _ := w.shard.Find(news, subscription(6000)); s.Route.Topic != "one too many" || len(p.routes) != MaxRoutes {
		t.Errorf("%+v of %d routes", s.Route, len(p.routes))
	}
}
