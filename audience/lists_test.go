package audience

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

func importID(n int) tocsin.ImportID {
	return tocsin.MakeID[tocsin.ImportID](noon, [10]byte{byte(n >> 8), byte(n)})
}

// listChange is a step of list n of a name; upload 0 is the list itself.
func listChange(name string, n int, step uint32, upload int, entries ...string) *record.Change {
	u := &record.ListUpdate{Name: name, List: importID(n).Bytes(), Step: step}
	if upload != 0 {
		u.Upload = importID(upload).Bytes()
	}
	for _, entry := range entries {
		if text, is := strings.CutPrefix(entry, "sub "); is {
			var number int
			fmt.Sscan(text, &number)
			id := subscription(number)
			u.Subscriptions = append(u.Subscriptions, id[:]...)
		} else {
			u.Users = append(u.Users, entry)
		}
	}
	return &record.Change{Change: &record.Change_List{List: u}}
}

// again takes the shard through a snapshot.
func (w *world) restart() {
	w.t.Helper()
	w.shard = reread(w.t, w.shard)
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, of("anna")), phone(1), phone(2, of("ben")), phone(3, of("carla")))
	w.apply(news, listChange("vip", 1, ListMake, 0), listChange("vip", 1, ListAdd, 0, "anna", "dora", "sub 1", "sub 9"))
	w.expect(`{"list":"vip"}`, 0, 1)
	w.expect(`{"list":{"$ne":"vip"}}`, 2, 3)
	w.expect(`{"list":{"$in":["vip","nobody"]}}`, 0, 1)
	w.expect(`{"list":"nobody"}`)
	// Those who come later are in it, with all that they have.
	w.apply(news, phone(4, of("dora")), phone(5, of("anna")), phone(9, of("erik")))
	w.expect(`{"list":"vip"}`, 0, 1, 4, 5, 6)
	// An opt-out and a deletion end nothing.
	w.apply(news, optIn(4, false), remove(5), remove(9))
	w.expect(`{"list":"vip"}`, 0, 1)
	w.restart()
	w.apply(news, optIn(4, true), phone(5, of("anna")), phone(9, of("ben")))
	w.expect(`{"list":"vip"}`, 0, 1, 4, 5, 6)
	// Whoever takes a device over takes its place by themselves alone.
	w.apply(news, phone(5, of("ben")), phone(1, of("ben")))
	w.expect(`{"list":"vip"}`, 0, 1, 4, 6)
	w.apply(news, listChange("vip", 1, ListRemove, 0, "anna", "sub 1", "nobody", "sub 77"))
	w.expect(`{"list":"vip"}`, 4, 6)
	// A draft is nobody's list until it takes the place at once.
	w.apply(news, listChange("vip", 1, ListDraft, 7), listChange("vip", 1, ListAdd, 7, "ben", "carla"))
	w.expect(`{"list":"vip"}`, 4, 6)
	w.apply(news, phone(10, of("carla")))
	w.restart()
	have, _ := w.shard.List(news, "vip")
	if want := (ask.List{ID: importID(1), Upload: importID(7), Size: ask.ListSize{People: 1, KnownPeople: 1, Singles: 1, KnownSingles: 1}, Draft: ask.ListSize{People: 2, KnownPeople: 2, Singles: 0, KnownSingles: 0}}); have != want {
		t.Fatalf("%+v", have)
	}
	w.apply(news, listChange("vip", 1, ListReplace, 7), listChange("vip", 1, ListReplace, 7), listChange("vip", 1, ListAdd, 7, "anna"))
	w.expect(`{"list":"vip"}`, 1, 2, 3, 5, 6, 7)
	// The name is given again: what is meant for the list before is left out.
	w.apply(news, listChange("vip", 1, ListDelete, 0), listChange("vip", 1, ListAdd, 0, "anna"))
	w.expect(`{"list":"vip"}`)
	w.apply(news, listChange("vip", 2, ListMake, 0), listChange("vip", 1, ListAdd, 0, "anna"), listChange("vip", 2, ListAdd, 0, "ben"),
		listChange("vip", 1, ListDelete, 0))
	w.expect(`{"list":"vip"}`, 1, 2, 5, 6)
	w.shard.Apply(1000, &record.Envelope{Project: other.Bytes(), Body: &record.Envelope_Changes{Changes: &record.Changes{}}})
	if _, there := w.shard.List(other, "vip"); there {
		t.Fatal("another project's list")
	}
}

// Whoever is erased is in no list any more, known or not, and comes again as
// somebody new.
func TestErasedFromLists(t *testing.T) {
	w := newWorld(t)
	erase := func(profile string) *record.Change {
		return &record.Change{Change: &record.Change_Erase{Erase: &record.Erase{Profile: profile}}}
	}
	w.apply(news, listChange("vip", 1, ListMake, 0), listChange("vip", 1, ListAdd, 0, "anna", "ben", "carla", "sub 0", "sub 1", "sub 8", "sub 9"),
		phone(0, of("anna")), phone(1))
	w.expect(`{"list":"vip"}`, 0, 1)
	m := w.shard.begin()
	w.apply(news, erase(UserKey("anna")), erase(UserKey("ben")), erase(AnonymousKey(subscription(1))), erase(AnonymousKey(subscription(8))))
	if l, _ := readBack(t, m).List(news, "vip"); l.Size != (ask.ListSize{People: 3, KnownPeople: 1, Singles: 4, KnownSingles: 2}) {
		t.Errorf("the snapshot that was begun before has %+v", l.Size)
	}
	m.End()
	w.apply(news, listChange("vip", 1, ListAdd, 0, "sub 20"), &record.Change{Change: &record.Change_Erase{Erase: &record.Erase{
		Profile: UserKey("somebody of another shard"), Subscriptions: [][]byte{subscription(20).Bytes()}}}})
	have, _ := w.shard.List(news, "vip")
	if want := (ask.ListSize{People: 1, KnownPeople: 0, Singles: 1, KnownSingles: 0}); have.Size != want {
		t.Errorf("%+v", have.Size)
	}
	w.restart()
	w.apply(news, phone(0, of("anna")), phone(1), phone(2, of("ben")), phone(8), phone(3, of("carla")), phone(9))
	w.expect(`{"list":"vip"}`, 6, 7)
}

// A draft that nobody goes on with is dropped after a day of the log.
func TestDraftsExpire(t *testing.T) {
	w := newWorld(t)
	w.apply(news, listChange("vip", 1, ListMake, 0), listChange("vip", 1, ListDraft, 7), listChange("vip", 1, ListAdd, 7, "anna"))
	later := func(d time.Duration) bool {
		w.pos += 3
		e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{}}}, noon.Add(d), record.Scope{Project: news})
		w.again(w.pos, record.Encode(e))
		l, _ := w.shard.List(news, "vip")
		return !l.Upload.IsZero()
	}
	if !later(draftLife-1) || later(draftLife) || w.shard.projects[news].lists.expire != 0 {
		t.Fatal("the draft went too early, or stayed")
	}
	w.apply(news, listChange("vip", 1, ListReplace, 7))
	if l, _ := w.shard.List(news, "vip"); l.Placed == importID(7) {
		t.Fatal("what was dropped took the place")
	}
}

// What waits for nobody's list any more is dropped, and the rest is still found.
func TestWaitingIsSwept(t *testing.T) {
	w := newWorld(t)
	many := func(from, to int) (users []string) {
		for n := range to - from {
			users = append(users, fmt.Sprint("u", from+n), fmt.Sprint("sub ", from+n))
		}
		return users
	}
	w.apply(news, listChange("a", 1, ListMake, 0), listChange("a", 1, ListAdd, 0, many(0, 3000)...))
	w.apply(news, listChange("b", 2, ListMake, 0), listChange("b", 2, ListAdd, 0, many(2900, 3100)...))
	keys := func() int { return w.shard.projects[news].lists.people.keys.Len() }
	if keys() != 3100 {
		t.Fatal(keys())
	}
	w.apply(news, listChange("a", 1, ListDelete, 0))
	if keys() != 200 {
		t.Fatal(keys())
	}
	w.apply(news, phone(3000, of("u2950")), phone(5000, of("u2899")), phone(2999))
	w.expect(`{"list":"b"}`, 0, 2)
}

// listModel is lists as they are described: sets of names.
type listModel struct {
	id, upload, placed int
	in, draft          map[string]bool
}

// Random stories of lists, people, devices and restarts leave in every list
// whom its entries name.
func TestListsAgainstSets(t *testing.T) {
	for range 60 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t)
		model := map[string]*listModel{}
		entries := func() (some []string) {
			for range random.IntN(8) {
				if random.IntN(3) == 0 {
					some = append(some, fmt.Sprint("sub ", random.IntN(70)))
				} else {
					some = append(some, fmt.Sprint(random.IntN(14)))
				}
			}
			return some
		}
		w.apply(news)
		for step := range 80 {
			for _, c := range story(random, random.IntN(6)) {
				if profile := c.GetErase().GetProfile(); profile != "" {
					erased := []string{strings.TrimPrefix(profile, userPrefix)}
					for _, id := range w.shard.EverOf(news, profile) {
						erased = append(erased, fmt.Sprint("sub ", number(id)))
					}
					for _, m := range model {
						for _, entry := range erased {
							delete(m.in, entry)
							delete(m.draft, entry)
						}
					}
				}
				w.apply(news, c)
			}
			var changes []*record.Change
			for range random.IntN(4) {
				name, id, upload, step := string(rune('a'+random.IntN(3))), 1+random.IntN(2), 10+random.IntN(2), uint32(1+random.IntN(ListDelete))
				if step == ListDelete && random.IntN(3) > 0 {
					step = ListAdd
				}
				some := entries()
				m, draft := model[name], step == ListDraft || step == ListReplace || (step == ListAdd || step == ListRemove) && random.IntN(2) == 0
				if m != nil && random.IntN(4) > 0 {
					id = m.id
				}
				if !draft {
					upload = 0
				}
				changes = append(changes, listChange(name, id, step, upload, some...))
				switch {
				case step == ListMake && (m == nil || m.id != id):
					model[name] = &listModel{id: id, in: map[string]bool{}}
				case step == ListMake || m == nil || m.id != id:
				case step == ListDelete:
					delete(model, name)
				case step == ListDraft && m.upload != upload:
					m.upload, m.draft = upload, map[string]bool{}
				case step == ListReplace && m.upload == upload:
					m.in, m.draft, m.upload, m.placed = m.draft, nil, 0, upload
				case step == ListAdd || step == ListRemove:
					to := m.in
					if draft {
						to = m.draft
					}
					if draft && m.upload != upload {
						break
					}
					for _, entry := range some {
						if to[entry] = step == ListAdd; !to[entry] {
							delete(to, entry)
						}
					}
				}
			}
			w.apply(news, changes...)
			if random.IntN(4) == 0 {
				w.restart()
			}
			people := everybody(w.shard)
			for _, name := range []string{"a", "b", "c"} {
				m := model[name]
				if m == nil {
					m = &listModel{}
				}
				var want []uint32
				for id, s := range people {
					user, _ := strings.CutPrefix(s.Profile, userPrefix)
					if s.Live && s.OptedIn && (m.in[user] || m.in[fmt.Sprint("sub ", number(id))]) {
						want = append(want, s.Ordinal)
					}
				}
				slices.Sort(want)
				if have := w.audience(`{"list":"` + name + `"}`); !slices.Equal(have, want) {
					t.Fatalf("seed %d, step %d: list %s has %v, want %v of %v", seed, step, name, have, want, slices.Sorted(maps.Keys(m.in)))
				}
				have, there := w.shard.List(news, name)
				if there != (m.id != 0) || have.Size.People+have.Size.Singles != len(m.in) || have.Draft.People+have.Draft.Singles != len(m.draft) ||
					there && have.ID != importID(m.id) || (m.placed != 0) != !have.Placed.IsZero() {
					t.Fatalf("seed %d, step %d: list %s is %+v, want %+v", seed, step, name, have, m)
				}
			}
		}
	}
}

func number(id tocsin.SubscriptionID) int { return int(id[6])<<16 | int(id[7])<<8 | int(id[8]) }
