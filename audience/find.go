package audience

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// Find returns a subscription that is, or once was, on this shard.
func (s *Shard) Find(project tocsin.ProjectID, id tocsin.SubscriptionID) (ask.Subscription, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		if o, ok := p.ordinal(id); ok {
			return p.view(o), true
		}
	}
	return ask.Subscription{}, false
}

// Named calls each for ordinals that were evaluated on this shard, in order,
// with the key of the profile; a deleted subscription has none.
func (s *Shard) Named(project tocsin.ProjectID, ordinals []uint32, each func(i int, id tocsin.SubscriptionID, profile string)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		return
	}
	for i, o := range ordinals {
		if int(o) >= p.rows.ids.Len() {
			continue
		}
		profile := ""
		if p.live.Contains(o) {
			profile = p.keyOf(o)
		}
		each(i, p.rows.ids.At(o), profile)
	}
}

// Holder returns the live subscription of this shard that has an address.
func (s *Shard) Holder(project tocsin.ProjectID, provider tocsin.Provider, address []byte) (id tocsin.SubscriptionID, held bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		if o, ok := p.holder(provider, address); ok {
			return p.rows.ids.At(o), true
		}
	}
	return id, false
}

// FindProfile returns the live subscriptions of a profile key.
func (s *Shard) FindProfile(project tocsin.ProjectID, key string) (found []ask.Subscription) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		p.subscriptions(key, func(o uint32) { found = append(found, p.view(o)) })
	}
	return found
}

// Preview returns a few of those that a target matches at an instant, opted out
// ones too, from the oldest ordinal on, or the error of ctx.
func (s *Shard) Preview(ctx context.Context, id tocsin.ProjectID, q *target.Query, limit int, at time.Time) (sample []ask.Subscription, err error) {
	err = s.matching(ctx, id, q, live, at, true, func(p *project, rows *roaring.Bitmap) {
		for it := rows.Iterator(); it.HasNext() && len(sample) < limit; {
			sample = append(sample, p.view(it.Next()))
		}
	})
	return sample, err
}

func (p *project) view(o uint32) ask.Subscription {
	r := &p.rows
	v := ask.Subscription{ID: r.ids.At(o), Ordinal: o, Live: p.live.Contains(o), Version: r.version.At(o)}
	if !v.Live {
		return v
	}
	v.Profile, v.Route = p.keyOf(o), ask.Route(p.routes[r.route.At(o)])
	v.Address, v.Secret = p.stored(o)
	v.Since = fromSeconds(p.since(o))
	v.Created, v.Active = fromSeconds(r.created.At(o)), fromSeconds(r.active.At(o))
	v.Attributes = make(map[string]index.Value)
	for name, value := range p.known.Attributes(o) {
		switch name {
		case fieldProvider:
		case fieldPlatform:
			v.Platform = value.Text
		case fieldLanguage:
			v.Language = value.Text
		case fieldZone:
			v.Zone = value.Text
		case fieldRegion:
			v.Region = value.String()
		case fieldCity:
			v.City = value.String()
		case fieldAppVersion:
			v.AppVersion = value.String()
		case fieldOptedIn:
			v.OptedIn = value.Bits != 0
		default:
			v.Attributes[name] = value
		}
	}
	v.Tags = make(map[string][]string)
	for name, tags := range p.known.TagSets(o) {
		v.Tags[name] = tags
	}
	return v
}

// FindPerson returns what is known of a profile key; not ok when that is nothing.
func (s *Shard) FindPerson(project tocsin.ProjectID, key string) (found ask.Person, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		return found, false
	}
	number, ok := p.person(key)
	if !ok {
		return found, false
	}
	found = ask.Person{Attributes: maps.Collect(p.people.known.Attributes(number)), Tags: maps.Collect(p.people.known.TagSets(number)), Events: p.done.people.Of(number)}
	for name, n := range p.lists.named {
		if n.list.people.known.Has(number) {
			found.Lists = append(found.Lists, name)
		}
	}
	slices.Sort(found.Lists)
	return found, true
}
