package audience

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// country is several shards with their logs, and who carries what they have for
// each other.
type country struct {
	t      *testing.T
	shards []*Shard
	ends   []uint64
	writer uint64
	now    time.Time
	seed   uint64
	past   map[tocsin.Shard][]*record.Envelope // arrivals, to come again
}

func newCountry(t *testing.T, shards int) *country {
	c := &country{t: t, now: noon, ends: make([]uint64, shards), past: map[tocsin.Shard][]*record.Envelope{}}
	for i := range shards {
		c.shards = append(c.shards, NewShard(tocsin.Shard(i)))
	}
	return c
}

func (c *country) append(at tocsin.Shard, changes ...*record.Change) *record.Envelope {
	c.writer++
	c.now = c.now.Add(time.Millisecond)
	e := record.NewWriter(c.writer).Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}},
		c.now, record.Scope{Project: news, Environment: tocsin.Production})
	c.apply(at, record.Encode(e))
	return e
}

func (c *country) apply(at tocsin.Shard, data []byte) {
	c.t.Helper()
	e, err := record.Decode(data)
	if err != nil {
		c.t.Fatal(err)
	}
	c.ends[at] += 3
	if err := c.shards[at].Apply(c.ends[at], e); err != nil {
		c.t.Fatal(err)
	}
}

// place finds where changes go; ok is for the last one.
func (c *country) place(changes ...*record.Upsert) (all []Placed, ok bool) {
	c.t.Helper()
	shards := make(ask.Shards, len(c.shards))
	for i, s := range c.shards {
		shards[i].Audience = Answers{Shard: s}
	}
	found, err := Seek(c.t.Context(), shards, news, changes...)
	if err != nil {
		c.t.Fatal(err)
	}
	for i, u := range changes {
		var at Placed
		at, ok = found.Place(i, u, nil, c.now.Add(time.Millisecond))
		all = append(all, at)
	}
	return all, ok
}

// ask does what a request does: it looks where the subscription is.
func (c *country) ask(change *record.Change) {
	c.t.Helper()
	if u := change.GetUpsert(); u != nil {
		if u.Profile == "" {
			u.Profile = AnonymousKey(tocsin.SubscriptionID(u.Subscription))
		}
		alone, with := proto.CloneOf(u), proto.CloneOf(u)
		one, ok := c.place(u)
		at := one[0]
		if len(u.Address) > 0 {
			all, _ := c.place(alone, with)
			if !reflect.DeepEqual(all, []Placed{at, at}) || !proto.Equal(alone, u) || !proto.Equal(with, u) {
				c.t.Fatalf("seed %d: together %v %+v, alone %+v %+v", c.seed, alone, all[0], u, at)
			}
		}
		if ok {
			c.append(at.Shard, at.Changes(u)...)
		}
		return
	}
	if p := change.GetProfile(); p != nil {
		c.append(tocsin.ShardOf(news, p.Profile, len(c.shards)), change)
		return
	}
	if at, ok := c.place(&record.Upsert{Subscription: subject(change)}); ok {
		c.append(at[0].Shard, change)
	}
}

// carry brings what a shard has for others, up to a number of messages, and says so.
func (c *country) carry(from tocsin.Shard, most int, leave bool) {
	last := map[tocsin.Shard]uint64{}
	for _, m := range c.shards[from].Outbox() {
		if most--; most < 0 {
			break
		}
		e := c.append(m.To, &record.Change{Change: &record.Change_Arrive{Arrive: m.Arrive}})
		c.past[m.To] = append(c.past[m.To], e)
		last[m.To] = m.Arrive.Number
	}
	if leave {
		for to, number := range last {
			c.append(from, &record.Change{Change: &record.Change_Leave{Leave: &record.Leave{To: uint32(to), Number: number}}})
		}
	}
}

// check holds registrations of a shard against the others.
func (c *country) check(of tocsin.Shard) {
	page := c.shards[of].Fresh(1000)
	if page.Entries == 0 {
		return
	}
	var rivals []ask.Rival
	for i, s := range c.shards {
		if tocsin.Shard(i) != of {
			rivals = append(rivals, s.Rivals(page)...)
		}
	}
	for _, v := range verdicts(of, page, rivals) {
		c.append(v.Shard, v.Changes...)
	}
	c.shards[of].Checked(page)
}

// rest lets everything come to an end.
func (c *country) rest() {
	for range 100 {
		quiet := true
		for i := range c.shards {
			if len(c.shards[i].Outbox())+c.shards[i].Fresh(1).Entries > 0 {
				quiet = false
			}
			c.carry(tocsin.Shard(i), 1000, true)
			c.check(tocsin.Shard(i))
		}
		if quiet {
			return
		}
	}
	for i, s := range c.shards {
		c.t.Logf("shard %d owes %v and has to look at %v", i, s.Outbox(), s.Fresh(10))
	}
	c.t.Fatalf("seed %d: they never come to rest", c.seed)
}

// people is who lives, wherever, without what depends on where.
func (c *country) people() map[tocsin.SubscriptionID]ask.Subscription {
	c.t.Helper()
	all := map[tocsin.SubscriptionID]ask.Subscription{}
	holders := map[string]tocsin.SubscriptionID{}
	for i, s := range c.shards {
		for id, one := range everybody(s) {
			if !one.Live {
				continue
			}
			if _, twice := all[id]; twice {
				c.t.Errorf("%v lives on two shards", id)
			}
			if other, twice := holders[string(one.Address)]; twice {
				c.t.Errorf("%v and %v have the same address", id, other)
			}
			if want := tocsin.ShardOf(news, one.Profile, len(c.shards)); int(want) != i && one.Profile != AnonymousKey(id) {
				c.t.Errorf("%v of %s lives on shard %d, not on %d", id, one.Profile, i, want)
			}
			holders[string(one.Address)] = id
			one.Ordinal, one.Version, one.Created = 0, 0, time.Time{}
			for _, tags := range one.Tags {
				slices.Sort(tags)
			}
			all[id] = one
		}
	}
	return all
}

// requests are changes as a client makes them.
func requests(random *rand.Rand) *record.Change {
	who := random.IntN(12)
	switch random.IntN(10) {
	case 0:
		return remove(who)
	case 1, 2:
		return optIn(who, random.IntN(3) == 0)
	case 3:
		return &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: UserKey(fmt.Sprint(random.IntN(5))),
			Attributes: []*record.Attribute{{Name: "plan", Value: &record.Attribute_Text{Text: strconv.Itoa(random.IntN(9))}}}}}}
	case 4: // only who it is
		return upsert(&record.Upsert{Subscription: subscription(who).Bytes(), Profile: UserKey(fmt.Sprint(random.IntN(5)))})
	}
	u := phone(who, with("country", strconv.Itoa(random.IntN(9)))).GetUpsert()
	u.Address = token(random.IntN(8))
	if random.IntN(3) > 0 {
		u.Profile = UserKey(fmt.Sprint(random.IntN(5)))
	}
	if u.Profile == "" && random.IntN(2) == 0 {
		u.Derived, u.Subscription = true, subscription(100+int(u.Address[len(u.Address)-1])).Bytes()
	}
	if random.IntN(4) == 0 {
		in := random.IntN(2) == 0
		u.OptedIn = &in
	}
	return upsert(u)
}

// Requests that wait for each other leave the same people on any number of
// shards (law L9).
func TestMovesDoNotDependOnTheNumberOfShards(t *testing.T) {
	for range 25 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		one, many := newCountry(t, 1), newCountry(t, 4)
		many.seed = seed
		for step := range 150 {
			change := requests(random)
			copied := proto.CloneOf(change)
			one.ask(change)
			many.ask(copied)
			many.rest()
			have, want := many.people(), one.people()
			if !reflect.DeepEqual(have, want) {
				for id := range want {
					if !reflect.DeepEqual(have[id], want[id]) {
						t.Errorf("have %+v\nwant %+v", have[id], want[id])
					}
				}
				t.Fatalf("seed %d, step %d, after %v: %d live on four shards, %d on one", seed, step, change, len(have), len(want))
			}
		}
	}
}

// Requests that overlap, arrivals that come again or late, and shards that are
// read back from a snapshot in between, leave one live subscription for each
// address and each identifier, and lose nobody: as many addresses live as were
// registered and neither deleted nor called dead.
func TestMovesUnderWay(t *testing.T) {
	for range 25 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		c := newCountry(t, 4)
		c.seed = seed
		registered := map[string]bool{}
		for range 200 {
			shard := tocsin.Shard(random.IntN(4))
			switch random.IntN(8) {
			case 0:
				c.carry(shard, random.IntN(4), random.IntN(2) == 0)
			case 1:
				c.check(shard)
			case 2:
				if past := c.past[shard]; len(past) > 0 { // another writer repeats it, or an append comes late
					c.append(shard, past[random.IntN(len(past))].GetChanges().Changes...)
				}
			case 3:
				c.shards[shard] = reread(t, c.shards[shard])
			default:
				u := requests(random).GetUpsert()
				if u == nil || len(u.Address) > 0 && u.Subscription[9] != u.Address[len(u.Address)-1] && random.IntN(3) > 0 {
					continue
				}
				// An address of its own: nothing but a move can take it away.
				if len(u.Address) > 0 {
					u.Address = token(int(u.Subscription[8]))
					registered[string(u.Address)] = true
				}
				c.ask(upsert(u))
			}
		}
		c.rest()
		live := map[string]bool{}
		for _, one := range c.people() {
			live[string(one.Address)] = true
		}
		if lost := slices.Sorted(maps.Keys(registered)); !reflect.DeepEqual(live, registered) {
			t.Fatalf("seed %d: %d of %d addresses live", seed, len(live), len(lost))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// elsewhere is a user whose shard of four is another one than that of users
// before.
func elsewhere(than ...tocsin.Shard) (user string, at tocsin.Shard) {
	for n := 100; ; n++ {
		user = fmt.Sprint(n)
		if at = tocsin.ShardOf(news, UserKey(user), 4); !slices.Contains(than, at) {
			return user, at
		}
	}
}

// A change that meets a move between any two of its records reaches the
// subscription.
func TestChangesReachWhoMoves(t *testing.T) {
	ann, from := elsewhere()
	bob, to := elsewhere(from)
	version := uint64(3)
	for what, c := range map[string]struct {
		change *record.Change
		holds  func(s ask.Subscription) bool
	}{
		"opt-out":         {optIn(1, false), func(s ask.Subscription) bool { return s.Live && !s.OptedIn }},
		"deletion":        {remove(1), func(s ask.Subscription) bool { return !s.Live }},
		"dead address":    {gone(1, version, time.Time{}), func(s ask.Subscription) bool { return !s.Live }},
		"of old":          {gone(1, version-1, time.Time{}), func(s ask.Subscription) bool { return s.Live }},
		"another address": {upsert(&record.Upsert{Subscription: subscription(1).Bytes(), Found: true, Provider: 1, Topic: apns.Topic, Address: token(7), Active: 1}), func(s ask.Subscription) bool { return string(s.Address) == string(token(7)) }},
		"a language":      {upsert(&record.Upsert{Subscription: subscription(1).Bytes(), Found: true, Language: "fr"}), func(s ask.Subscription) bool { return s.Language == "fr" && s.Profile == UserKey(bob) }},
	} {
		for when := range 4 {
			t.Run(fmt.Sprintf("%s at %d", what, when), func(t *testing.T) {
				w := newCountry(t, 4)
				w.ask(phone(1, of(ann), with("country", "FR")))
				steps := []func(){
					func() { w.ask(upsert(&record.Upsert{Subscription: subscription(1).Bytes(), Profile: UserKey(bob)})) },
					func() { w.carry(from, 10, false) },
					func() { w.rest() },
					func() {},
				}
				for i, step := range steps {
					if i == when {
						w.append(from, c.change)
					}
					step()
				}
				w.rest()
				s, _ := w.shards[to].Find(news, subscription(1))
				if !c.holds(s) {
					t.Errorf("%+v", s)
				}
				if s.Live && (s.Profile != UserKey(bob) || s.Attributes["country"] != (index.Value{Kind: index.Text, Text: "FR"})) {
					t.Errorf("%+v", s)
				}
				if old, _ := w.shards[from].Find(news, subscription(1)); old.Live {
					t.Errorf("it lives where it was: %+v", old)
				}
			})
		}
	}
}

// A send finds who moves exactly once, but for one whose move is under way while
// it takes its mark; that one twice, and never not at all.
func TestSendsFindWhoMoves(t *testing.T) {
	ann, from := elsewhere()
	bob, to := elsewhere(from)
	w := newCountry(t, 4)
	ends := func() (e [2]uint64) { return [2]uint64{w.ends[from] + 1, w.ends[to] + 1} }
	w.ask(phone(1, of(ann)))
	var marks [][2]uint64
	marks = append(marks, ends())
	w.ask(upsert(&record.Upsert{Subscription: subscription(1).Bytes(), Profile: UserKey(bob)}))
	marks = append(marks, ends())
	w.carry(from, 10, false)
	marks = append(marks, ends())
	evaluated := func(m [2]uint64) (counts []uint64) {
		for i, shard := range []tocsin.Shard{from, to} {
			n := uint64(0)
			a, err := w.shards[shard].Evaluate(t.Context(), news, query(t, `{"provider":"apns"}`), noon, Cut{m[i], m[i]})
			if err != nil {
				t.Fatal(err)
			}
			for _, lot := range a.Lots {
				n += lot.Ordinals.GetCardinality()
			}
			counts = append(counts, n)
		}
		return counts
	}
	var load Recipients
	for _, when := range []string{"before it leaves", "after it left"} {
		if when == "after it left" {
			w.rest()
			marks = append(marks, ends())
		}
		for i, want := range [][]uint64{{1, 0}, {1, 0}, {1, 1}, {0, 1}}[:len(marks)] {
			if have := evaluated(marks[i]); !slices.Equal(have, want) {
				t.Errorf("%s, marked at %d: %v, want %v", when, i, have, want)
			}
		}
		w.shards[from].Load(news, apns, []uint32{0}, nil, &load)
		if load.Blocked[0] != 0 || !load.Moved[0] || string(load.Addresses[0]) != string(token(1)) {
			t.Errorf("%s: %+v", when, load)
		}
	}
	w.append(to, optIn(1, false))
	w.rest()
	w.shards[from].Load(news, apns, []uint32{0}, nil, &load)
	if load.Blocked[0] == 0 {
		t.Error("what stayed of one that opted out since may be sent to")
	}
	if have := evaluated(marks[0]); !slices.Equal(have, []uint64{0, 0}) {
		t.Errorf("and is found: %v", have)
	}
}
