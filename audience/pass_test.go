package audience

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// While the writer goes on between the slices of an evaluation, what it finds is
// whom the target matches at one moment: that of the position it names. Each record
// takes one person out and another in, some of them new ones, so that at any other
// moment the number would be wrong too.
func TestOneMoment(t *testing.T) {
	const people, in, rounds = 20_000, 500, 150
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.shard.slice = 1
	matching, others := []int{}, []int{}
	for n := range people {
		if n%(people/in) == 0 {
			matching = append(matching, n)
			w.apply(news, phone(n, with("country", "FR")))
		} else {
			others = append(others, n)
			w.apply(news, phone(n, with("country", "DE")))
		}
	}
	type swap struct {
		below   uint64 // it is applied in evaluations as of such a position
		out, in int
	}
	began, end := slices.Clone(matching), make(chan struct{})
	var history []swap
	var writer sync.WaitGroup
	writer.Go(func() {
		for next := people; ; {
			select {
			case <-end:
				return
			default:
			}
			i, j := random.IntN(len(matching)), random.IntN(len(others))
			out, come := matching[i], others[j]
			leaves := []*record.Change{phone(out, with("country", "DE")), remove(out), optIn(out, false)}[random.IntN(3)]
			enters := phone(come, with("country", "FR"), func(u *record.Upsert) { yes := true; u.OptedIn = &yes })
			if random.IntN(10) == 0 {
				come, next = next, next+1
				enters = phone(come, with("country", "FR"))
			} else {
				others = slices.Delete(others, j, j+1)
			}
			others = append(others, out)
			matching[i] = come
			w.apply(news, leaves, enters)
			history = append(history, swap{w.pos + 1, out, come})
		}
	})
	q := query(t, `{"$or":[{"country":"FR"},{"country":"nowhere"},{"$not":{"last_active":{"$exists":true}}}]}`)
	var found []Audience
	for round := range rounds {
		found = append(found, evaluated(t, w.shard, q))
		c, err := w.shard.Count(t.Context(), news, q, noon)
		if err != nil || c.Reachable != in {
			t.Errorf("round %d: %+v %v, want %d", round, c, err, in)
		}
		runtime.Gosched()
	}
	close(end)
	writer.Wait()
	at, is := 0, map[tocsin.SubscriptionID]bool{}
	for _, n := range began {
		is[subscription(n)] = true
	}
	for round, a := range found {
		for ; at < len(history) && history[at].below <= a.Applied; at++ {
			delete(is, subscription(history[at].out))
			is[subscription(history[at].in)] = true
		}
		have := 0
		for _, lot := range a.Lots {
			w.shard.Named(news, lot.Ordinals.ToArray(), func(_ int, id tocsin.SubscriptionID, _ string) {
				if have++; !is[id] {
					t.Errorf("round %d: somebody is in who was not at %d", round, a.Applied)
				}
			})
		}
		if have != len(is) {
			t.Errorf("round %d: %d were found, want %d", round, have, len(is))
		}
	}
	t.Logf("%d records meanwhile", len(history))
}
