package audience

import (
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
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

// takeOver completes a registration with what it takes over with the address.
func takeOver(u *record.Upsert, was ask.Holder, now time.Time) {
	inherit(u, was, now)
	if takesOver(u, was) {
		u.Subscription = was.ID.Bytes()
	}
}

// takesOver reports whether a registration is the same person's as that of who has
// the address, which goes on in its place.
func takesOver(u *record.Upsert, was ask.Holder) bool {
	anonymous := !strings.HasPrefix(u.Profile, userPrefix) && strings.HasPrefix(was.Profile, anonymousPrefix)
	return u.Derived && was.Held && (was.Profile == u.Profile || anonymous)
}

// settle decides where a change goes whose subscription lives somewhere, or nowhere.
func settle(u *record.Upsert, project tocsin.ProjectID, shards int, where Made, found bool) (at Placed, ok bool) {
	of := func(key string) tocsin.Shard { return tocsin.ShardOf(project, key, shards) }
	switch {
	case !found:
		return Placed{Shard: of(u.Profile)}, len(u.Address) > 0
	case strings.HasPrefix(u.Profile, userPrefix) && u.Profile != where.Profile:
		at.Move = &record.Move{Subscription: u.Subscription, Profile: u.Profile, Shard: uint32(of(u.Profile))}
	}
	u.Found, u.Profile, at.Shard = true, where.At, of(where.At)
	return at, true
}

// inherit is what of it says whether pushes may be sent, and since when.
func inherit(u *record.Upsert, was ask.Holder, now time.Time) {
	if !was.Held || was.ID == tocsin.SubscriptionID(u.Subscription) {
		return
	}
	if u.OptedIn == nil && !was.OptedIn {
		u.OptedIn = new(bool)
	}
	if behind := was.Since + 1 - now.UnixNano(); behind > 0 {
		u.Later = max(u.Later, uint64(behind))
	}
}

// profileAt is the profile of a live subscription whose identifier has a hash.
func (p *project) profileAt(hash uint64, id tocsin.SubscriptionID) (key string, found, leaving bool) {
	o, ok := p.ordinalAt(hash, id)
	if !ok || !p.live.Contains(o) {
		return "", false, false
	}
	_, leaving = p.moves.departing[o]
	return p.keyOf(o), true, leaving
}

// holderAt tells of the live subscription that has an address, which has a hash,
// what a registration must know.
func (p *project) holderAt(hash uint64, provider tocsin.Provider, address []byte) (h ask.Holder) {
	if o, held := p.byAddress.Find(hash, func(o uint32) bool { return p.hasAddress(o, provider, address) }); held {
		h = ask.Holder{Held: true, ID: p.rows.ids.At(o), Profile: p.keyOf(o), Since: p.rows.since.At(o), OptedIn: p.reachable.Contains(o)}
	}
	return h
}
