package audience

import (
	"context"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

// Sought is what all shards know of some changes. Every shard is asked once for all
// of them, so that an import waits for the writer of a shard once in a thousand lines.
type Sought struct {
	project tocsin.ProjectID
	shards  int
	all     []sought
}

// sought is what the shards know of a change. Of several the last registration of
// the address counts, and the subscription that is not leaving; else the shard next
// behind that of the profile.
type sought struct {
	holder  ask.Holder
	heldBy  int // how far behind it
	profile string
	found   bool
	leaving bool
	foundBy int
}

// Seek asks the shards of an installation, which have applied what was acknowledged
// before the request.
func Seek(ctx context.Context, shards ask.Shards, project tocsin.ProjectID, changes ...*record.Upsert) (*Sought, error) {
	s := &Sought{project: project, shards: len(shards), all: make([]sought, len(changes))}
	if err := s.seek(ctx, shards, changes, s.all); err != nil {
		return nil, err
	}
	var others []*record.Upsert // under the identifiers that they take over
	var of []int
	for i, u := range changes {
		if takesOver(u, s.all[i].holder) && s.all[i].holder.ID != tocsin.SubscriptionID(u.Subscription) {
			others, of = append(others, &record.Upsert{Subscription: s.all[i].holder.ID.Bytes(), Profile: u.Profile}), append(of, i)
		}
	}
	found := make([]sought, len(others))
	if err := s.seek(ctx, shards, others, found); err != nil {
		return nil, err
	}
	for n, i := range of {
		s.all[i].profile, s.all[i].found = found[n].profile, found[n].found
	}
	return s, nil
}

func (s *Sought) seek(ctx context.Context, shards ask.Shards, changes []*record.Upsert, all []sought) error {
	if len(changes) == 0 {
		return nil
	}
	each := make([][]ask.Sighting, len(shards))
	if err := shards.All(func(shard tocsin.Shard) (err error) {
		each[shard], err = shards[shard].Sightings(ctx, s.project, changes)
		return err
	}); err != nil {
		return err
	}
	for number, seen := range each {
		for _, one := range seen {
			a := &all[one.Of]
			first := int(tocsin.ShardOf(s.project, changes[one.Of].Profile, s.shards))
			behind := (number - first + s.shards) % s.shards
			if h := one.Holder; h.Held && (!a.holder.Held || h.Since > a.holder.Since || h.Since == a.holder.Since && behind < a.heldBy) {
				a.holder, a.heldBy = h, behind
			}
			if one.Found && (!a.found || a.leaving && !one.Leaving || a.leaving == one.Leaving && behind < a.foundBy) {
				a.profile, a.found, a.leaving, a.foundBy = one.Profile, true, one.Leaving, behind
			}
		}
	}
	return nil
}

// Place decides where the change goes that was the n-th to be sought, and completes
// it with what it has to know of other shards; now is when the change will say that
// it was written. made, which may be nil, tells of those that the same request has
// written before this change. ok is false for a change without an address to one
// that is not there.
//
// A subscription that lives is changed where it is, and moves if the change
// names another user; one that names none leaves it with the one it has. An
// address that somebody has is registered later than his, and with his opt-out
// unless it says otherwise.
func (s *Sought) Place(n int, u *record.Upsert, made map[tocsin.SubscriptionID]Made, now time.Time) (at Placed, ok bool) {
	a := &s.all[n]
	if len(u.Address) > 0 {
		takeOver(u, a.holder, now)
	}
	where, found := made[tocsin.SubscriptionID(u.Subscription)]
	if !found {
		where, found = Made{At: a.profile, Profile: a.profile}, a.found
	}
	return settle(u, s.project, s.shards, where, found)
}

// Sightings tells of the changes whose address or identifier the shard knows.
func (a Answers) Sightings(_ context.Context, project tocsin.ProjectID, changes []*record.Upsert) (seen []ask.Sighting, _ error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p := a.projects[project]
	if p == nil {
		return nil, nil
	}
	for from := 0; from < len(changes); from += together {
		some := changes[from:min(from+together, len(changes))]
		var at hashes
		for _, u := range some {
			at.add(p, tocsin.SubscriptionID(u.Subscription), tocsin.Provider(u.Provider), u.Address)
		}
		at.fetch(p)
		for i, u := range some {
			var one ask.Sighting
			if len(u.Address) > 0 {
				one.Holder = p.holderAt(at.addresses[i], tocsin.Provider(u.Provider), u.Address)
			}
			one.Profile, one.Found, one.Leaving = p.profileAt(at.ids[i], tocsin.SubscriptionID(u.Subscription))
			if one.Holder.Held || one.Found {
				one.Of = from + i
				seen = append(seen, one)
			}
		}
	}
	return seen, nil
}

// Routes tells of some routes which are in use, and how many others are.
func (a Answers) Routes(_ context.Context, project tocsin.ProjectID, some []ask.Route) (in ask.RoutesInUse, _ error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p := a.projects[project]
	if p == nil {
		return in, nil
	}
	for _, r := range some {
		if p.routeInUse(Route(r)) && !slices.Contains(in.Known, r) {
			in.Known = append(in.Known, r)
		}
	}
	in.WebPush, in.Others = p.routesInUse(tocsin.WebPush), p.routesInUse(tocsin.APNs)
	return in, nil
}

// Weights is how many bytes of values and tags each change would leave with the
// heaviest of those that it is about.
func (a Answers) Weights(_ context.Context, project tocsin.ProjectID, changes []*record.Upsert) ([]int, error) {
	bytes := make([]int, len(changes))
	for i, u := range changes {
		bytes[i] = a.Weight(project, u.Subscription, u.Profile, u.Attributes, u.Tags)
	}
	return bytes, nil
}
