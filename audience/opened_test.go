package audience

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

func sendID(n int) tocsin.SendID {
	return tocsin.MakeID[tocsin.SendID](noon, [10]byte{byte(n >> 8), byte(n)})
}

func of_(send int) func(*record.Event) {
	return func(e *record.Event) { e.Send = sendID(send).Bytes() }
}

func openedBy(send int) string { return fmt.Sprintf(`{"opened":"%s"}`, sendID(send)) }

func TestOpened(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, of("anna")), phone(1), phone(2, of("ben")), phone(3))
	w.apply(news, event("opened", noon, 0, of_(1)), event("opened", noon, 1, of_(1)), event("displayed", noon, 2, of_(1)), event("opened", noon, 2), event("opened", noon, 2, of_(2)))
	w.expect(openedBy(1), 0, 1)
	w.expect(openedBy(2), 2)
	w.expect(fmt.Sprintf(`{"opened":{"$nin":["%s","%s"]}}`, sendID(1), sendID(2)), 3)
	// What one device opened the person has, and devices to come have it too.
	w.apply(news, phone(4, of("anna")))
	w.expect(openedBy(1), 0, 1, 4)
	// Somebody who had nobody's name brings what was opened, to all devices.
	w.apply(news, phone(5, of("carla")), phone(1, of("carla")))
	w.expect(openedBy(1), 0, 1, 4, 5)
	w.restart()
	// A device that somebody else has now has not opened it for them.
	w.apply(news, phone(4, of("ben")))
	w.expect(openedBy(1), 0, 1, 5)
	w.expect(openedBy(2), 2, 4)
	// People keep it through a deletion, what is nobody's does not.
	w.apply(news, event("opened", noon, 3, of_(1)), remove(0), remove(3))
	w.apply(news, phone(0, of("anna")), phone(3))
	w.expect(openedBy(1), 0, 1, 5)
	w.apply(news, &record.Change{Change: &record.Change_Erase{Erase: &record.Erase{Profile: UserKey("carla")}}}, phone(5, of("carla")))
	w.expect(openedBy(1), 0)
	if size, before := w.shard.projects[news].opened.size(), w.shard.projects[other]; size == 0 || before != nil {
		t.Errorf("%d bytes", size)
	}
}

// Who opened a send is known for 30 days of the log, and of a bounded number of
// sends.
func TestOpenedIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.at(noon, phone(0), event("opened", noon, 0, of_(1)))
	w.at(noon.Add(time.Hour), event("opened", noon, 0, of_(2)), event("opened", noon, 0, of_(1)))
	w.restart()
	w.at(noon.Add(openedLife - 1))
	w.expect(openedBy(1), 0)
	w.at(noon.Add(openedLife))
	w.expect(openedBy(1))
	w.expect(openedBy(2), 0)
	w.at(noon.Add(openedLife + time.Hour))
	w.expect(openedBy(2))
	if p := w.shard.projects[news]; len(p.opened.sends) != 0 || p.opened.next != 0 {
		t.Error("something is left")
	}
	var many []*record.Change
	for n := range openedMost {
		many = append(many, event("opened", noon, 0, of_(10+n)))
	}
	later := noon.Add(openedLife + 2*time.Hour)
	w.at(later, many[0])
	w.at(later.Add(1), many[1:]...)
	w.at(later.Add(2), event("opened", noon, 0, of_(1)))
	w.expect(openedBy(10))
	w.expect(openedBy(11), 0)
	w.expect(openedBy(1), 0)
}

// A snapshot has who had opened a send when it was begun.
func TestOpenedOfAMoment(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0), phone(1, of("ben")), phone(2), event("opened", noon, 0, of_(1)), listChange("a", 1, ListMake, 0), listChange("a", 1, ListAdd, 0, "ben"))
	m := w.shard.begin()
	w.shard.mu.Lock()
	m.hold(news, w.shard.projects[news])
	w.shard.mu.Unlock()
	w.apply(news, event("opened", noon, 1, of_(1)), remove(0), listChange("a", 1, ListAdd, 0, "sub 2"), listChange("a", 1, ListRemove, 0, "ben"))
	w.expect(openedBy(1), 1)
	w.expect(`{"list":"a"}`, 2)
	again := &world{t: t, shard: readBack(t, m)}
	m.End()
	again.expect(openedBy(1), 0)
	again.expect(`{"list":"a"}`, 1)
}

// Random stories leave in every send who opened it, by the rules read plainly.
func TestOpenedAgainstSets(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t)
		w.apply(news)
		people, singles := [3]map[string]bool{{}, {}, {}}, [3]map[tocsin.SubscriptionID]bool{{}, {}, {}}
		for step := range 150 {
			change := story(random, 1)[0]
			if u := change.GetUpsert(); u != nil && random.IntN(3) == 0 {
				u.Profile = AnonymousKey(tocsin.SubscriptionID(u.Subscription))
			}
			send, before := random.IntN(3), everybody(w.shard)
			if random.IntN(3) == 0 {
				n := random.IntN(60)
				change = event("opened", noon, n, of_(send))
				if s := before[subscription(n)]; s.Live && strings.HasPrefix(s.Profile, userPrefix) {
					people[send][s.Profile] = true
				} else if s.Live {
					singles[send][s.ID] = true
				}
			}
			w.apply(news, change)
			if random.IntN(6) == 0 {
				w.restart()
			}
			after := everybody(w.shard)
			for send := range people {
				if e := change.GetErase(); e != nil {
					delete(people[send], e.Profile)
				}
				for id := range singles[send] {
					now := after[id]
					if !now.Live {
						delete(singles[send], id)
					} else if strings.HasPrefix(now.Profile, userPrefix) {
						delete(singles[send], id)
						people[send][now.Profile] = true
					}
				}
				var want []uint32
				for id, s := range after {
					if s.Live && s.OptedIn && (people[send][s.Profile] || singles[send][id]) {
						want = append(want, s.Ordinal)
					}
				}
				slices.Sort(want)
				if have := w.audience(openedBy(send)); !slices.Equal(have, want) {
					t.Fatalf("seed %d, step %d: %v opened send %d, want %v", seed, step, have, send, want)
				}
			}
		}
	}
}

// Who got a send is asked before anything else, and every question knows it.
func TestSent(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, of("anna")), phone(1), phone(2, of("ben")), phone(3))
	sent := func(n int) string { return fmt.Sprintf(`{"sent":"%s"}`, sendID(n)) }
	w.expect(sent(1)) // nobody tells
	asked := 0
	w.shard.TellReached(func(_ context.Context, shard tocsin.Shard, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error) {
		asked++
		switch {
		case project != news:
			t.Errorf("asked for %s", project)
		case send == sendID(1):
			return index.RowsOf(roaring.BitmapOf(0, 2, 9)), nil // 9 is not applied here yet
		case send == sendID(2):
			return new(index.Rows), nil
		}
		return nil, errors.New("broken")
	})
	w.expect(sent(1), 0, 2)
	w.expect(sent(2))
	w.expect(fmt.Sprintf(`{"sent":{"$nin":["%s","%s"]}}`, sendID(1), sendID(2)), 1, 3)
	w.apply(news, event("opened", noon, 0, of_(1)))
	again := fmt.Sprintf(`{"sent":"%s","$not":{"opened":"%s"}}`, sendID(1), sendID(1))
	w.expect(again, 2)
	q := query(t, again)
	if c := counted(t, w.shard, q); c != (Count{1, 1}) {
		t.Error(c)
	}
	if some, err := w.shard.Preview(t.Context(), news, q, 5, noon); err != nil || len(some) != 1 || some[0].ID != subscription(2) {
		t.Error(some, err)
	}
	if shares, err := w.shard.Spread(t.Context(), news, q, nil, noon); err != nil || len(shares) != 1 || shares[0].Pushes != 1 {
		t.Error(shares, err)
	}
	if f, err := w.shard.Explain(t.Context(), news, q, 1, noon); err != nil || f.Matched != 1 {
		t.Error(f, err)
	}
	if v, live, err := w.shard.Verdict(t.Context(), news, subscription(2), q, noon); err != nil || !live || !v.Matches {
		t.Error(v, live, err)
	}
	broken := query(t, sent(3))
	_, err1 := w.shard.Evaluate(t.Context(), news, broken, noon, Cut{})
	_, err2 := w.shard.Count(t.Context(), news, broken, noon)
	_, err3 := w.shard.Preview(t.Context(), news, broken, 1, noon)
	_, err4 := w.shard.Spread(t.Context(), news, broken, nil, noon)
	_, err5 := w.shard.Explain(t.Context(), news, broken, 1, noon)
	_, _, err6 := w.shard.Verdict(t.Context(), news, subscription(2), broken, noon)
	for i, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err == nil {
			t.Errorf("question %d is answered without knowing who got the send", i+1)
		}
	}
	asked = 0
	counted(t, w.shard, query(t, `{"has_profile":true}`))
	if asked != 0 {
		t.Error("asked in vain")
	}
}
