package audience

import (
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Placed is where a change to a subscription goes.
type Placed struct {
	Shard tocsin.Shard
	Move  *record.Move // nil: it stays with its profile. To stand behind the change, in one record
}

// Changes are the change and what goes with it, of one record.
func (p Placed) Changes(u *record.Upsert) []*record.Change {
	changes := []*record.Change{{Change: &record.Change_Upsert{Upsert: u}}}
	if p.Move != nil {
		changes = append(changes, &record.Change{Change: &record.Change_Move{Move: p.Move}})
	}
	return changes
}

// Made is a subscription that a request has registered, or moved, before.
type Made struct {
	At      string // key of a profile of the shard whose log tells of it
	Profile string // that it is to have
}

// Place decides where a change to a subscription goes, and completes it with
// what it has to know of other shards. All shards are those of an installation,
// and have applied what was acknowledged before the request; now is when the
// change will say that it was written. made, which may be nil, tells
// of those that the same request has written before this change. ok is
// false for a change without an address to one that is not there.
//
// A subscription that lives is changed where it is, and moves if the change
// names another user; one that names none leaves it with the one it has. An
// address that somebody has is registered later than his, and with his opt-out
// unless it says otherwise.
func Place(shards []*Shard, project tocsin.ProjectID, u *record.Upsert, made map[tocsin.SubscriptionID]Made, now time.Time) (at Placed, ok bool) {
	of := func(key string) tocsin.Shard { return tocsin.ShardOf(project, key, len(shards)) }
	named := strings.HasPrefix(u.Profile, userPrefix)
	id := tocsin.SubscriptionID(u.Subscription)
	var was holder
	if len(u.Address) > 0 {
		was = holderOn(shards, project, u, of(u.Profile))
		inherit(u, was, now)
		anonymous := !named && strings.HasPrefix(was.profile, anonymousPrefix)
		if u.Derived && was.held && (was.profile == u.Profile || anonymous) {
			id = was.id // the same person's: it goes on in its place
			u.Subscription = id.Bytes()
		}
	}
	where, found := made[id]
	if !found {
		where.At, found = profileOn(shards, project, id, of(u.Profile))
		where.Profile = where.At
	}
	switch {
	case !found:
		return Placed{Shard: of(u.Profile)}, len(u.Address) > 0
	case named && u.Profile != where.Profile:
		at.Move = &record.Move{Subscription: u.Subscription, Profile: u.Profile, Shard: uint32(of(u.Profile))}
	}
	u.Found, u.Profile, at.Shard = true, where.At, of(where.At)
	return at, true
}

// holder is who has an address.
type holder struct {
	held    bool
	id      tocsin.SubscriptionID
	profile string
	since   int64
	optedIn bool
}

// inherit completes a registration with what it takes over with the address.
func inherit(u *record.Upsert, was holder, now time.Time) {
	if !was.held || was.id == tocsin.SubscriptionID(u.Subscription) {
		return
	}
	if u.OptedIn == nil && !was.optedIn {
		u.OptedIn = new(bool)
	}
	if behind := was.since + 1 - now.UnixNano(); behind > 0 {
		u.Later = max(u.Later, uint64(behind))
	}
}

// profileOn finds the live subscription of an identifier, first on one shard;
// where it stays, if that is known already.
func profileOn(shards []*Shard, project tocsin.ProjectID, id tocsin.SubscriptionID, first tocsin.Shard) (key string, found bool) {
	for i := range shards {
		one, there, leaving := shards[(int(first)+i)%len(shards)].profile(project, id)
		if there && (!leaving || !found) {
			key, found = one, true
		}
		if there && !leaving {
			break
		}
	}
	return key, found
}

func (s *Shard) profile(project tocsin.ProjectID, id tocsin.SubscriptionID) (key string, found, leaving bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		if o, ok := p.ordinal(id); ok && p.live.Contains(o) {
			_, leaving := p.moves.departing[o]
			return p.keyOf(o), true, leaving
		}
	}
	return "", false, false
}

// holderOn finds who has an address; of several, who registered last.
func holderOn(shards []*Shard, project tocsin.ProjectID, u *record.Upsert, first tocsin.Shard) (last holder) {
	for i := range shards {
		s := shards[(int(first)+i)%len(shards)]
		if one := s.holding(project, tocsin.Provider(u.Provider), u.Address); one.held && (!last.held || one.since > last.since) {
			last = one
		}
	}
	return last
}

// holding tells of the live subscription that has an address what a
// registration must know.
func (s *Shard) holding(project tocsin.ProjectID, provider tocsin.Provider, address []byte) (h holder) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		return h
	}
	if o, held := p.holder(provider, address); held {
		h = holder{true, p.rows.ids.At(o), p.keyOf(o), p.rows.since.At(o), p.reachable.Contains(o)}
	}
	return h
}
