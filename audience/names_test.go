package audience

import (
	"fmt"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// naming changes a name.
func naming(edition uint64, tags bool, from, to string) *record.Change {
	return &record.Change{Change: &record.Change_Names{Names: &record.Names{Edition: edition, Tags: tags, From: from, To: to}}}
}

// knowing is apply for a writer who knows an edition of the project's names.
func (w *world) knowing(edition uint64, changes ...*record.Change) {
	w.t.Helper()
	e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes, Names: edition}}},
		noon, record.Scope{Project: news})
	w.pos += 3
	w.again(w.pos, record.Encode(e))
}

func tagged(name, tag string) func(*record.Upsert) {
	return func(u *record.Upsert) { u.Tags = append(u.Tags, &record.TagSet{Name: name, Add: []string{tag}}) }
}

// A name goes from subscriptions and from what people hand on, at once and for
// good: also when somebody writes it who did not know.
func TestNamesAreDeletedAndRenamed(t *testing.T) {
	w := newWorld(t)
	person := &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: UserKey("ann"),
		Attributes: []*record.Attribute{{Name: "plan", Value: &record.Attribute_Text{Text: "gold"}}, {Name: "town", Value: &record.Attribute_Text{Text: "Lyon"}}},
		Tags:       []*record.TagSet{{Name: "likes", Add: []string{"sport"}}}}}}
	w.apply(news, phone(0, of("ann")), person, phone(1, with("plan", "free"), with("town", "Nice"), tagged("likes", "food")))
	w.apply(other, phone(0, with("plan", "gold")))
	w.knowing(1, naming(1, false, "plan", ""))
	w.knowing(2, naming(2, false, "town", "place"))
	w.knowing(3, naming(3, true, "likes", "topics"))
	see := func() {
		t.Helper()
		w.expect(`{"plan":{"$exists":true}}`)
		w.expect(`{"town":{"$exists":true}}`)
		w.expect(`{"likes":{"$exists":true}}`)
		w.expect(`{"place":"Nice"}`, 1)
		w.expect(`{"place":"Lyon"}`, 0, 2)
		w.expect(`{"topics":{"$contains":"sport"}}`, 0, 2)
		w.expect(`{"topics":{"$contains":"food"}}`, 1)
	}
	w.apply(news, phone(2, of("ann"))) // inherits
	see()
	w.knowing(2, naming(2, false, "place", "")) // a repeat
	w.shard = reread(t, w.shard)
	see()
	// Who knows edition 1 calls the city a town. Who knows none may still write plans.
	w.knowing(1, phone(1, with("town", "Brest"), tagged("likes", "art")))
	w.apply(news, phone(1, with("plan", "gold")))
	w.expect(`{"plan":{"$exists":true}}`)
	w.expect(`{"place":"Brest"}`, 1)
	w.expect(`{"topics":{"$contains":"art"}}`, 1)
	// The names are free for others.
	w.knowing(3, phone(1, with("plan", "new"), with("town", "of old")))
	w.expect(`{"plan":"new"}`, 1)
	w.expect(`{"town":"of old","place":"Brest"}`, 1)
	if s, _ := w.shard.Find(other, subscription(0)); s.Attributes["plan"].Text != "gold" {
		t.Errorf("another project has %+v", s)
	}
	// Who has both keeps what stands under the new name.
	w.knowing(4, naming(4, false, "town", "place"))
	w.expect(`{"place":"Brest"}`, 1)
	// Changes of yesterday are not remembered: everybody knows.
	late := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: []*record.Change{naming(5, true, "a", "")}}}},
		noon.Add(recall+1), record.Scope{Project: news})
	w.pos++
	w.again(w.pos, record.Encode(late))
	if n := w.shard.projects[news].names; n.edition != 5 || len(n.past) != 1 {
		t.Errorf("%+v", n)
	}
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
	fits := func(u *record.Upsert) bool {
		ok, err := NewAdmitted().Admit(t.Context(), Answers{Shard: w.shard}, news, u, MaxRoutes)
		return ok && err == nil
	}
	p := w.shard.projects[news]
	if live := p.live.GetCardinality(); len(p.routes) != MaxRoutes || live != MaxRoutes {
		t.Errorf("%d routes, %d subscriptions", len(p.routes), live)
	}
	w.apply(news, phone(1, on("one too many")), phone(5000))
	if live := p.live.GetCardinality(); live != MaxRoutes+1 {
		t.Errorf("%d subscriptions: want all those before and one more on a known route", live)
	}
	if u := phone(1, on("one too many")).GetUpsert(); fits(u) {
		t.Error("Admit says otherwise")
	}
	if u := phone(1).GetUpsert(); !fits(u) {
		t.Error("Admit refuses a route that is known")
	}
	if u := (&record.Upsert{Provider: uint32(tocsin.WebPush), Host: "https://p.example.com", Address: []byte("a")}); !fits(u) {
		t.Error("topics leave no room for Web Push")
	}
	// A route that nobody is on any more leaves its room to another.
	w.apply(news, remove(2), phone(6000, on("one too many")))
	if s, _ := w.shard.Find(news, subscription(6000)); s.Route.Topic != "one too many" || len(p.routes) != MaxRoutes {
		t.Errorf("%+v of %d routes", s.Route, len(p.routes))
	}
}
