package audience

import (
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// erase forgets a person, and all subscriptions that it has or had here. Unlike
// a deletion it takes the identifiers too: who comes again is somebody new, with
// a new ordinal. Ordinals of the erased are nobody's from here on. What was known
// leaves memory; what was known once and was replaced does with the next snapshots that are rewritten.
func (p *project) erase(e *record.Erase) {
	ordinals := p.everOf(e.Profile)
	p.eraseFromLists(e, ordinals)
	for _, o := range ordinals {
		if p.live.Contains(o) {
			p.wipe(o)
		}
		p.revive(o)
		p.stays(o)
		p.byID.Delete(p.hashOfID(o), o, p.hashOfID)
		r := &p.rows
		p.eraseFormer(o)
		r.ids.Set(o, tocsin.SubscriptionID{})
		r.version.Set(o, 0)
		r.profile.Set(o, 0)
		r.next.Set(o, 0)
	}
	number, ok := p.person(e.Profile)
	if !ok || !strings.HasPrefix(e.Profile, userPrefix) {
		return
	}
	w := &p.people
	p.openedErases(number, ordinals)
	w.known.Wipe(number)
	p.done.people.Clear(number)
	w.byKey.Delete(p.hashOfKey(number), number, p.hashOfKey)
	w.keys.Wipe(w.key.At(number))
	w.key.Set(number, 0)
	w.first.Set(number, 0)
}

// everOf lists the subscriptions of a profile key, deleted ones too.
func (p *project) everOf(key string) (ordinals []uint32) {
	if id, ok := strings.CutPrefix(key, anonymousPrefix); ok {
		var subscription tocsin.SubscriptionID
		if subscription.UnmarshalText([]byte(id)) != nil {
			return nil
		}
		if o, ok := p.ordinal(subscription); ok && p.rows.profile.At(o) == 0 {
			return []uint32{o}
		}
		return nil
	}
	number, ok := p.person(key)
	if !ok {
		return nil
	}
	for o := p.people.first.At(number); o != 0; o = p.rows.next.At(o - 1) {
		ordinals = append(ordinals, o-1)
	}
	return ordinals
}

// EverOf returns the identifiers of all subscriptions that a profile key has, or
// had when they were deleted.
func (s *Shard) EverOf(project tocsin.ProjectID, key string) (ids []tocsin.SubscriptionID) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		for _, o := range p.everOf(key) {
			ids = append(ids, p.rows.ids.At(o))
		}
	}
	return ids
}
