package audience

import (
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// rebuild makes what is not stored.
func (p *project) rebuild(fail func(string, ...any)) {
	r, w := &p.rows, &p.people
	optedIn := p.known.Column(fieldOptedIn)
	hasPlatform, _ := p.known.Has(fieldPlatform) // older builds did not know it
	p.routeUses = make([]uint32, len(p.routes))
	count := r.ids.Len()
	for _, length := range [...]int{r.version.Len(), r.since.Len(), r.address.Len(), r.vouched.Len(), r.created.Len(), r.active.Len(), r.route.Len(), r.profile.Len(), r.next.Len()} {
		if length != count {
			fail("columns differ in length")
			return
		}
	}
	for o := range uint32(count) {
		address := r.address.At(o)
		if !p.addresses.Holds(address) || int(r.profile.At(o)) > w.key.Len() || int(r.next.At(o)) > count ||
			address != 0 && int(r.route.At(o)) >= len(p.routes) {
			fail("a subscription refers to what is not there")
			return
		}
		if address == 0 {
			continue
		}
		if _, left := p.moves.left[o]; left {
			p.routeUses[r.route.At(o)]++
			continue
		}
		p.live.Add(o)
		p.routeUses[r.route.At(o)]++
		if in, _ := optedIn.Get(o); in.Bits != 0 {
			p.reachable.Add(o)
		}
		if !hasPlatform {
			usual := target.UsualPlatform(p.routes[r.route.At(o)].Provider)
			p.known.Set(o, fieldPlatform, index.Value{Kind: index.Text, Text: usual})
		}
	}
	for n := range uint32(w.key.Len()) {
		if w.first.Len() != w.key.Len() || !w.keys.Holds(w.key.At(n)) || int(w.first.At(n)) > count {
			fail("a profile refers to what is not there")
			return
		}
	}
	p.byID.Fill(0, uint32(count), func(o uint32) (uint64, bool) {
		id := r.ids.At(o)
		return p.hashID(&id), !id.IsZero() // else erased
	})
	p.byAddress.Fill(0, uint32(count), func(o uint32) (uint64, bool) {
		if _, left := p.moves.left[o]; left || r.address.At(o) == 0 {
			return 0, false
		}
		return p.hashOfAddress(o), true
	})
	w.byKey.Fill(0, uint32(w.key.Len()), func(n uint32) (uint64, bool) { return p.hashOfKey(n), w.key.At(n) != 0 })
}
