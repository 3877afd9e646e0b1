package audience

import (
	"bytes"
	"cmp"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

// An address has one live subscription in a project. Within a shard the log
// sees to it. Across shards the registrations of an address are in an order that
// everybody sees alike: by when they were made, and of one instant by identifier
// and shard. Whoever registers looks first at who has the address, and is later
// than that (Upsert.Later): clocks that differ put no registration before one
// that was acknowledged to it. The instant is of no use for anything else.

// claim is a registration of an address, in that order.
type claim struct {
	since int64
	id    tocsin.SubscriptionID
	shard tocsin.Shard
}

func claimOf(p *project, ordinal uint32) claim {
	return claim{p.rows.since.At(ordinal), p.rows.ids.At(ordinal), p.moves.shard}
}

func (c claim) after(other claim) bool {
	return cmp.Or(cmp.Compare(c.since, other.since), bytes.Compare(c.id[:], other.id[:]), cmp.Compare(c.shard, other.shard)) > 0
}

// supersede deletes whoever has an address here for longer than a subscription
// of another shard. If it opted out and nothing was said there, that goes with
// the address.
func (p *project) supersede(from origin, s *record.Superseded) {
	ordinal, held := p.holder(tocsin.Provider(s.Provider), s.Address)
	if !held || !(claim{s.Since, tocsin.SubscriptionID(s.Subscription), tocsin.Shard(s.Shard)}).after(claimOf(p, ordinal)) {
		return
	}
	if to := tocsin.Shard(s.Shard); !s.Said && to != p.moves.shard && !p.reachable.Contains(ordinal) {
		p.owe(to, from, &record.Arrive{Change: &record.Change{Change: &record.Change_OptIn{OptIn: &record.OptIn{Subscription: s.Subscription}}}})
	}
	p.remove(ordinal)
}

// fresh is an address that was registered here, and that nobody has looked for
// on the other shards yet.
type fresh struct {
	ordinal uint32
	said    bool // with it, whether it is opted in
}

// lookFor has a live subscription's address and identifier looked for elsewhere.
func (p *project) lookFor(ordinal uint32, said bool) {
	p.moves.fresh = append(p.moves.fresh, fresh{ordinal, said})
}

// Page is registrations of a project that were not looked for elsewhere, the
// oldest first, and of how many entries that is the news: those that live no
// more are not among them.
type Page struct {
	Scope         record.Scope
	Registrations []ask.Registration
	Entries       int
}

// Fresh returns the next page of a project that has one; of none, no Entries.
func (s *Shard) Fresh(most int) (page Page) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var p *project
	for id, has := range s.projects {
		if len(has.moves.fresh) > 0 && (p == nil || bytes.Compare(id[:], p.id[:]) < 0) {
			p = has
		}
	}
	if p == nil {
		return page
	}
	page.Scope, page.Entries = p.scope(), min(most, len(p.moves.fresh))
	for _, f := range p.moves.fresh[:page.Entries] {
		if !p.live.Contains(f.ordinal) {
			continue
		}
		r := &p.rows
		address, _ := p.stored(f.ordinal)
		page.Registrations = append(page.Registrations, ask.Registration{ID: r.ids.At(f.ordinal), Profile: p.keyOf(f.ordinal),
			Provider: p.routes[r.route.At(f.ordinal)].Provider, Address: address, Since: r.since.At(f.ordinal), Said: f.said})
	}
	return page
}

// Checked forgets the entries of a page. They are in no snapshot from here on, so
// what came of them must be durable.
func (s *Shard) Checked(page Page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.projects[page.Scope.Project].moves
	if m.fresh = m.fresh[page.Entries:]; len(m.fresh) == 0 {
		m.fresh = nil
	}
}

// Rivals finds who else has what was registered on another shard.
func (s *Shard) Rivals(page Page) (found []ask.Rival) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[page.Scope.Project]
	if p == nil {
		return nil
	}
	for i := range page.Registrations {
		if i%together == 0 {
			var at hashes
			for _, r := range page.Registrations[i:min(i+together, len(page.Registrations))] {
				at.add(p, r.ID, r.Provider, r.Address)
			}
			at.fetch(p)
		}
		r := &page.Registrations[i]
		add := func(ordinal uint32) {
			_, leaving := p.moves.departing[ordinal]
			found = append(found, ask.Rival{Of: i, Shard: s.number, ID: p.rows.ids.At(ordinal), Profile: p.keyOf(ordinal), Since: p.rows.since.At(ordinal), Leaving: leaving})
		}
		holder, held := p.holder(r.Provider, r.Address)
		if held {
			add(holder)
		}
		if twin, ok := p.ordinal(r.ID); ok && p.live.Contains(twin) && !(held && twin == holder) {
			add(twin)
		}
	}
	return found
}
