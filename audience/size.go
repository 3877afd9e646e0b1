package audience

import (
	"cmp"
	"slices"

	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
)

// Sizes tells of all projects of the shard, in the order of their identifiers.
func (s *Shard) Sizes() (all []ask.Sizes) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, p := range s.projects {
		r, w := &p.rows, &p.people
		z := ask.Sizes{Project: id, Subscriptions: int(p.live.GetCardinality()), Known: p.known.Weights(),
			Addresses: p.addresses.Size(), IDs: r.ids.Size() + p.byID.Size() + p.byAddress.Size(),
			Rows: r.version.Size() + r.since.Size() + r.address.Size() + r.vouched.Size() + r.created.Size() + r.changed.Size() + r.active.Size() +
				r.route.Size() + r.profile.Size() + r.next.Size() + int(p.live.GetSizeInBytes()+p.reachable.GetSizeInBytes()),
			People: w.known.Size() + w.keys.Size() + w.byKey.Size() + w.key.Size() + w.first.Size(),
			Named:  p.lists.size() + p.opened.size() + p.segments.size(), Events: p.done.size(), Moves: p.moves.size() + p.formers.size()}
		slices.SortFunc(z.Known, func(a, b index.Weight) int { return cmp.Compare(a.Name, b.Name) })
		all = append(all, z)
	}
	slices.SortFunc(all, func(a, b ask.Sizes) int { return slices.Compare(a.Project[:], b.Project[:]) })
	return all
}

// Size is about the memory that the shard holds, and its live subscriptions.
func (s *Shard) Size() (bytes, subscriptions int) {
	for _, z := range s.Sizes() {
		bytes += z.Sum()
		subscriptions += z.Subscriptions
	}
	return bytes, subscriptions
}
