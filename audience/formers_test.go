package audience

import (
	"context"
	"fmt"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// Whoever moves to another shard takes along what was sent to them, and what they
// opened while they had no name.
func TestEarlierSendsMoveAlong(t *testing.T) {
	c := newCountry(t, 4)
	got := map[tocsin.Shard]*roaring.Bitmap{}
	for i, s := range c.shards {
		got[tocsin.Shard(i)] = roaring.New()
		s.TellReached(func(_ context.Context, shard tocsin.Shard, _ tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error) {
			if send != sendID(1) {
				return new(index.Rows), nil
			}
			return index.RowsOf(got[shard]), nil
		})
	}
	count := func(query_ string) (counts []uint64) {
		t.Helper()
		for _, s := range c.shards {
			counts = append(counts, counted(t, s, query(t, query_)).Matched)
		}
		return counts
	}
	expect := func(query_ string, want ...uint64) {
		t.Helper()
		if have := count(query_); fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("%s finds %v, want %v", query_, have, want)
		}
	}
	sent := fmt.Sprintf(`{"sent":"%s"}`, sendID(1))
	home := tocsin.ShardOf(news, AnonymousKey(subscription(1)), 4)
	on := func(shard tocsin.Shard) (all []uint64) { // one on that shard
		all = make([]uint64, 4)
		all[shard] = 1
		return all
	}
	reach := func(at tocsin.Shard) {
		s, ok := c.shards[at].Find(news, subscription(1))
		if !ok {
			t.Fatal("it is not there")
		}
		got[at].Add(s.Ordinal)
	}
	c.ask(phone(2)) // so that ordinals differ
	c.ask(phone(3))
	c.ask(phone(1))
	reach(home)
	c.ask(event("opened", noon, 1, of_(1)))
	expect(sent, on(home)...)
	expect(openedBy(1), on(home)...)

	anna, second := elsewhere(home)
	c.ask(phone(1, of(anna)))
	c.rest()
	expect(sent, on(second)...)
	expect(openedBy(1), on(second)...)
	ben, third := elsewhere(home, second)
	c.ask(phone(1, of(ben)))
	c.rest()
	expect(sent, on(third)...)
	expect(openedBy(1), 0, 0, 0, 0) // ben has not

	// A snapshot has it, and it comes home again.
	c.shards[third] = reread(t, c.shards[third])
	c.shards[third].TellReached(c.shards[home].reached)
	expect(sent, on(third)...)
	got[home].Clear()
	expect(sent, 0, 0, 0, 0)
	reach(second)
	expect(sent, on(third)...)
	dora := ""
	for at := third; at != home; { // somebody of there
		dora, at = elsewhere(second, third, at)
	}
	c.ask(phone(1, of(dora)))
	c.rest()
	expect(sent, on(home)...)
	if n := len(c.shards[home].formers(news)); n != 2 {
		t.Errorf("%d places are remembered", n)
	}
	// Nobody asks any more.
	c.now = c.now.Add(placesLife + 1e9)
	c.append(home)
	if n := len(c.shards[home].formers(news)); n != 0 {
		t.Errorf("%d places are remembered for ever", n)
	}
	expect(sent, 0, 0, 0, 0)
}
