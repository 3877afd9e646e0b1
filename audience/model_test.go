package audience

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// model is the rules of the room's description, read off one by one and
// written down as plainly as they stand.
type model struct {
	order  []tocsin.SubscriptionID // ordinals
	all    map[tocsin.SubscriptionID]*ask.Subscription
	brings map[tocsin.SubscriptionID]int64  // second in which the device last brought its address
	people map[string]*ask.Subscription     // attributes and tags only
	names  []*record.Names                  // in force, in order
	owners map[tocsin.SubscriptionID]string // profile that each has, or had when it was deleted
}

func newModel() *model {
	return &model{all: make(map[tocsin.SubscriptionID]*ask.Subscription), brings: make(map[tocsin.SubscriptionID]int64), people: make(map[string]*ask.Subscription),
		owners: make(map[tocsin.SubscriptionID]string)}
}

func (m *model) delete(s *ask.Subscription) {
	*s = ask.Subscription{ID: s.ID, Ordinal: s.Ordinal, Version: s.Version}
	m.brings[s.ID] = 0
}

func (m *model) live(id []byte) *ask.Subscription {
	if s := m.all[tocsin.SubscriptionID(id)]; s != nil && s.Live {
		return s
	}
	return nil
}

func (m *model) apply(pos uint64, change *record.Change) {
	switch c := change.Change.(type) {
	case *record.Change_Names:
		m.rename(c.Names)
	case *record.Change_Erase:
		delete(m.people, c.Erase.Profile)
		for i, id := range m.order {
			if m.owners[id] == c.Erase.Profile {
				delete(m.all, id)
				delete(m.brings, id)
				delete(m.owners, id)
				m.order[i] = tocsin.SubscriptionID{} // its ordinal is nobody's
			}
		}
	case *record.Change_OptIn:
		if s := m.live(c.OptIn.Subscription); s != nil {
			s.OptedIn = c.OptIn.OptedIn
		}
	case *record.Change_Delete:
		if s := m.live(c.Delete.Subscription); s != nil {
			m.delete(s)
		}
	case *record.Change_Gone:
		if s := m.live(c.Gone.Subscription); s != nil && s.Version == c.Gone.Version && (c.Gone.At == 0 || c.Gone.At >= m.brings[s.ID]*int64(time.Second)) {
			m.delete(s)
		}
	case *record.Change_Profile:
		u := c.Profile
		if m.people[u.Profile] == nil {
			m.people[u.Profile] = &ask.Subscription{Attributes: map[string]index.Value{}, Tags: map[string][]string{}}
		}
		m.give(m.people[u.Profile], u.Attributes, u.Tags)
		for _, s := range m.all {
			if s.Live && s.Profile == u.Profile {
				m.give(s, u.Attributes, u.Tags)
			}
		}
	case *record.Change_Upsert:
		m.upsert(pos, c.Upsert)
	}
}

func (m *model) upsert(pos uint64, u *record.Upsert) {
	id := tocsin.SubscriptionID(u.Subscription)
	s, optedIn := m.all[id], true
	for _, other := range m.all {
		if len(u.Address) == 0 || !other.Live || other.ID == id || string(other.Address) != string(u.Address) {
			continue
		}
		if u.Derived && other.Profile == u.Profile {
			s, id = other, other.ID
		} else {
			optedIn = other.OptedIn
		}
	}
	if (s == nil || !s.Live) && len(u.Address) == 0 {
		return
	}
	if s == nil {
		s = &ask.Subscription{ID: id, Ordinal: uint32(len(m.order))}
		m.all[id], m.order = s, append(m.order, id)
	}
	anew := !s.Live
	if anew {
		s.Created, s.Since, s.OptedIn, s.Attributes, s.Tags = noon, noon, true, map[string]index.Value{}, map[string][]string{}
	}
	if len(u.Address) > 0 {
		for _, other := range m.all {
			if other != s && other.Live && string(other.Address) == string(u.Address) {
				m.delete(other)
			}
		}
		seen := u.Active / int64(time.Second)
		switch changed := anew || string(s.Address) != string(u.Address); {
		case changed:
			s.Version, m.brings[id] = pos, seen
		case seen > m.brings[id]:
			s.Version, m.brings[id] = pos, seen
		}
		s.Live, s.Address, s.Route, s.Platform = true, u.Address, ask.Route(apns), "ios"
	}
	profile := u.Profile
	if profile == "" && anew {
		profile = AnonymousKey(id)
	}
	if profile != "" && (anew || profile != s.Profile) {
		s.Profile = profile
		if p := m.people[profile]; p != nil {
			maps.Copy(s.Attributes, p.Attributes)
			for name, tags := range p.Tags {
				s.Tags[name] = slices.Clone(tags)
			}
		}
	}
	m.owners[id] = s.Profile
	s.OptedIn = s.OptedIn && optedIn
	if u.OptedIn != nil {
		s.OptedIn = *u.OptedIn
	}
	if at := time.Unix(0, u.Active).UTC(); u.Active > 0 && at.After(s.Active) {
		s.Active = at
	}
	m.give(s, u.Attributes, u.Tags)
}

// rename moves or takes away what everybody has under a name.
func (m *model) rename(n *record.Names) {
	if len(m.names) > 0 && n.Edition <= m.names[len(m.names)-1].Edition {
		return
	}
	m.names = append(m.names, n)
	for _, s := range slices.Concat(slices.Collect(maps.Values(m.all)), slices.Collect(maps.Values(m.people))) {
		if n.Tags {
			move(s.Tags, n)
		} else {
			move(s.Attributes, n)
		}
	}
}

func move[V any](values map[string]V, n *record.Names) {
	v, ok := values[n.From]
	if !ok || n.From == n.To {
		return
	}
	delete(values, n.From)
	if _, there := values[n.To]; !there && n.To != "" {
		values[n.To] = v
	}
}

// called is the present name of what a writer calls name who has heard of no
// change of names; empty when there is none.
func (m *model) called(tags bool, name string) string {
	for _, n := range m.names {
		if n.Tags == tags && n.From == name {
			name = n.To
		}
	}
	return name
}

func (m *model) give(s *ask.Subscription, attributes []*record.Attribute, sets []*record.TagSet) {
	for _, a := range attributes {
		if name := m.called(false, a.Name); name != "" {
			s.Attributes[name], _ = valueOf(a)
		}
	}
	for _, set := range sets {
		set := &record.TagSet{Name: m.called(true, set.Name), Replace: set.Replace, Add: set.Add, Remove: set.Remove}
		if set.Name == "" {
			continue
		}
		tags := slices.Clone(s.Tags[set.Name])
		if len(set.Replace) > 0 {
			tags = nil
		}
		for _, tag := range slices.Concat(set.Replace, set.Add) {
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
		tags = slices.DeleteFunc(tags, func(tag string) bool { return slices.Contains(set.Remove, tag) })
		if s.Tags[set.Name] = tags; len(tags) == 0 {
			delete(s.Tags, set.Name)
		}
	}
}

// Random stories leave the shard as the rules say.
func TestAgreesWithTheRulesReadPlainly(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		m, w := newModel(), newWorld(t)
		w.apply(news)
		for step := range 40 {
			changes := story(random, 1+random.IntN(10))
			pos := w.apply(news, changes...)
			for _, c := range changes {
				m.apply(pos, c)
			}
			if p := w.shard.projects[news]; p.byAddress.Len() != int(p.live.GetCardinality()) {
				t.Fatalf("seed %d, step %d: %d addresses of %d subscriptions", seed, step, p.byAddress.Len(), p.live.GetCardinality())
			}
			have := everybody(w.shard)
			want := make(map[tocsin.SubscriptionID]ask.Subscription)
			reach := make(map[string][]uint32)
			for ordinal, id := range m.order {
				s := m.all[id]
				if s == nil {
					continue // erased
				}
				want[id] = *s
				if s.Live && s.OptedIn {
					country := s.Attributes["country"].Text
					reach[country] = append(reach[country], uint32(ordinal))
				}
			}
			if len(have) != len(want) {
				t.Fatalf("seed %d, step %d: knows %d, want %d", seed, step, len(have), len(want))
			}
			for id := range want {
				if h, w := have[id], want[id]; !reflect.DeepEqual(h, w) {
					t.Fatalf("seed %d, step %d: have\n%+v\nwant\n%+v", seed, step, h, w)
				}
			}
			for country := range 4 {
				if have, want := w.audience(fmt.Sprintf(`{"country":"%d"}`, country)), reach[fmt.Sprint(country)]; !slices.Equal(have, want) {
					t.Fatalf("seed %d, step %d: country %d reaches %v, want %v", seed, step, country, have, want)
				}
			}
			for user := range 10 {
				var have, want []tocsin.SubscriptionID
				for _, s := range w.shard.FindProfile(news, UserKey(fmt.Sprint(user))) {
					have = append(have, s.ID)
				}
				for _, id := range m.order {
					if s := m.all[id]; s != nil && s.Live && s.Profile == UserKey(fmt.Sprint(user)) {
						want = append(want, id)
					}
				}
				byBytes := func(a, b tocsin.SubscriptionID) int { return slices.Compare(a[:], b[:]) }
				slices.SortFunc(have, byBytes)
				slices.SortFunc(want, byBytes)
				if !slices.Equal(have, want) {
					t.Fatalf("seed %d, step %d: user %d has %v, want %v", seed, step, user, have, want)
				}
			}
		}
	}
}
