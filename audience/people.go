package audience

import (
	"hash/maphash"
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/target"
)

// Profile keys: what places a person on a shard.
const (
	userPrefix      = "u:"
	anonymousPrefix = "s:"
)

// UserKey is the profile key of a person with an identifier of the client's.
func UserKey(user string) string { return userPrefix + user }

// AnonymousKey is the profile key of a subscription that is nobody's.
func AnonymousKey(id tocsin.SubscriptionID) string { return anonymousPrefix + id.String() }

func (p *project) hashKey(key []byte) uint64 { return maphash.Bytes(p.seed, key) }

func (p *project) hashOfKey(number uint32) uint64 {
	return p.hashKey(p.people.keys.Get(p.people.key.At(number)))
}

// person finds a profile with a user id by its key.
func (p *project) person(key string) (number uint32, ok bool) {
	return p.people.byKey.Find(p.hashKey([]byte(key)), func(n uint32) bool {
		return string(p.people.keys.Get(p.people.key.At(n))) == key
	})
}

// personOrNew finds or makes the profile.
func (p *project) personOrNew(key string) (number uint32, known bool) {
	number, known = p.person(key)
	if !known {
		w := &p.people
		number = uint32(w.key.Len())
		w.key.Append(w.keys.Add([]byte(key)))
		w.first.Append(0)
		w.byKey.Insert(p.hashKey([]byte(key)), number, p.hashOfKey)
		p.personCame(number, key)
	}
	return number, known
}

// subscriptions calls each for the live subscriptions of a profile key.
func (p *project) subscriptions(key string, each func(ordinal uint32)) {
	if id, ok := strings.CutPrefix(key, anonymousPrefix); ok {
		var subscription tocsin.SubscriptionID
		if subscription.UnmarshalText([]byte(id)) != nil {
			return
		}
		if o, ok := p.ordinal(subscription); ok && p.rows.profile.At(o) == 0 && p.live.Contains(o) {
			each(o)
		}
		return
	}
	number, ok := p.person(key)
	if !ok {
		return
	}
	for o := p.people.first.At(number); o != 0; o = p.rows.next.At(o - 1) {
		if p.live.Contains(o - 1) {
			each(o - 1)
		}
	}
}

// belong makes a subscription one of the key's, and gives it what is known of
// the person when it was not, or begins anew.
func (p *project) belong(ordinal uint32, key string, anew bool) {
	profile, known := uint32(0), false
	if strings.HasPrefix(key, userPrefix) {
		profile, known = p.personOrNew(key)
		profile++
	}
	r, w := &p.rows, &p.people
	if was := r.profile.At(ordinal); was != profile {
		if was != 0 {
			links, at := &w.first, was-1 // where the link to it stands
			for links.At(at) != ordinal+1 {
				links, at = &r.next, links.At(at)-1
			}
			links.Set(at, r.next.At(ordinal))
		}
		r.profile.Set(ordinal, profile)
		p.mark(ordinal)
		r.next.Set(ordinal, 0)
		if profile != 0 {
			if !anew {
				p.joins(ordinal, profile-1)
			}
			r.next.Set(ordinal, w.first.At(profile-1))
			w.first.Set(profile-1, ordinal+1)
		}
		p.changedHands(ordinal, was, profile)
		anew = true
	}
	if !anew || !known {
		return
	}
	for name, v := range w.known.Attributes(profile - 1) {
		if !target.Reserved(name) || wasAttribute(name) {
			p.known.Set(ordinal, name, v)
		}
	}
	for name, tags := range w.known.TagSets(profile - 1) {
		p.known.ChangeTags(ordinal, name, true, tags, nil, nil)
	}
}

// isOf reports whether a subscription is the key's; all anonymous ones count as
// one's, for they are told apart by nothing but their address.
func (p *project) isOf(ordinal uint32, key string) bool {
	if !strings.HasPrefix(key, userPrefix) {
		return p.rows.profile.At(ordinal) == 0
	}
	number, ok := p.person(key)
	return ok && p.rows.profile.At(ordinal) == number+1
}

// keyOf is the profile key of a subscription.
func (p *project) keyOf(ordinal uint32) string {
	if n := p.rows.profile.At(ordinal); n != 0 {
		return string(p.people.keys.Get(p.people.key.At(n - 1)))
	}
	return AnonymousKey(p.rows.ids.At(ordinal))
}
