package audience

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
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

// Whoever goes back and forth for long has a place on each shard, and no more.
func TestBackAndForth(t *testing.T) {
	c := newCountry(t, 4)
	home := tocsin.ShardOf(news, AnonymousKey(subscription(1)), 4)
	anna, second := elsewhere(home)
	ben, third := elsewhere(home, second)
	c.ask(phone(1))
	for i := range 3 * formersSpare {
		c.ask(phone(1, of([]string{ben, anna}[i%2])))
		for from := range c.shards {
			c.carry(tocsin.Shard(from), 10, true)
		}
	}
	for _, i := range [...]tocsin.Shard{home, second, third} {
		s := c.shards[i]
		have := s.formers(news)
		if len(have) > 2*formersSpare+2 {
			t.Errorf("shard %d remembers %d places", i, len(have))
		}
		again := reread(t, s)
		if !slices.Equal(have, again.formers(news)) {
			t.Errorf("shard %d remembers other places once it has been read again", i)
		}
		for _, f := range [...]*formers{&s.projects[news].formers, &again.projects[news].formers} {
			if n := len(f.of(0)); n > 2 || len(f.all)-f.dead != n {
				t.Errorf("shard %d: a subscription has %d places of %d, %d dead", i, n, len(f.all), f.dead)
			}
		}
	}
	if _, ok := c.shards[second].Find(news, subscription(1)); !ok {
		t.Errorf("it is neither at home, on %d, nor with ben, on %d, nor with anna, on %d", home, third, second)
	}
	// The last stay counts.
	c.now = c.now.Add(placesLife - 1e9)
	c.append(second)
	if n := len(c.shards[second].projects[news].formers.of(0)); n != 1 {
		t.Errorf("%d places are remembered, it left one of two just before", n)
	}
}

// A subscription that did more than a record holds takes the latest of it along.
func TestMuchIsCutToARecord(t *testing.T) {
	c := newCountry(t, 4)
	home := tocsin.ShardOf(news, AnonymousKey(subscription(1)), 4)
	anna, there := elsewhere(home)
	c.ask(phone(1))
	page := func(p string) func(*record.Event) {
		return func(e *record.Event) {
			e.Fields = []*record.Attribute{{Name: "page", Value: &record.Attribute_Text{Text: p + strings.Repeat("x", 200)}}}
		}
	}
	var events []*record.Change
	for i := range 12_000 {
		events = append(events, event("opened", noon, 1, of_(i)), event(fmt.Sprintf("read%d", i%20), noon.AddDate(0, 0, -i%20), 1, page(fmt.Sprint(i))))
	}
	c.append(home, events...)
	c.ask(phone(1, of(anna)))
	for _, m := range c.shards[home].Outbox() {
		if n := m.Arrive.SizeVT(); n > mostState+100 || n < mostState/2 {
			t.Errorf("%d bytes go to another shard, of at most %d", n, mostState)
		}
	}
	c.rest()
	c.ask(phone(1))
	s, ok := c.shards[there].Find(news, subscription(1))
	if !ok || s.Profile != UserKey(anna) {
		t.Fatalf("it has not come: %+v", s)
	}
	for query_, want := range map[string]uint64{
		`{"event":{"name":"read0","where":{"page":{"$startsWith":"1"}}}}`:  1, // today's
		`{"event":{"name":"read0","count":{"$gte":600}}}`:                  1,
		`{"event":{"name":"read19","count":{"$gte":600}}}`:                 1, // 19 days ago
		`{"event":{"name":"read19","where":{"page":{"$startsWith":"1"}}}}`: 0,
		openedBy(0): 0,
	} {
		if have := counted(t, c.shards[there], query(t, query_)).Matched; have != want {
			t.Errorf("%s finds %d, want %d", query_, have, want)
		}
	}
}
