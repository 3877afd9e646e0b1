package audience

import (
	"context"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// sample is how many of a target are looked at for their routes.
const sample = 256

// Spread tells on which routes a send to a query, or to explicit recipients,
// that is due at an instant would go now, or returns the error of ctx. The sum is
// exact; the parts of more than sample subscriptions are in proportion to that many
// of them, taken at even distances.
func (s *Shard) Spread(ctx context.Context, id tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (shares []ask.Share, err error) {
	err = s.matching(ctx, id, q, Cut{}.reachable(), at, true, func(p *project, rows *roaring.Bitmap) {
		if recipients != nil {
			rows = roaring.New()
			for _, r := range recipients {
				p.named(r, Cut{}, func(o uint32) { rows.Add(o) })
			}
		}
		shares = p.spread(rows)
	})
	return shares, err
}

func (p *project) spread(rows *roaring.Bitmap) []ask.Share {
	all := rows.GetCardinality()
	taken := min(all, sample)
	if slices.Contains(p.routeUses, uint32(p.live.GetCardinality())) { // all are on one route
		taken = min(taken, 1)
	}
	var counts []uint64
	for i := range taken {
		o, err := rows.Select(uint32(all * i / taken))
		if err != nil {
			panic(err) // below the cardinality there is one
		}
		r := int(p.rows.route.At(o))
		if r >= len(counts) {
			counts = append(counts, make([]uint64, r+1-len(counts))...)
		}
		counts[r]++
	}
	var shares []ask.Share
	left := all
	for r, n := range counts {
		if n == 0 {
			continue
		}
		route := p.routes[r]
		shares = append(shares, ask.Share{Pushes: all * n / taken,
			Route: provider.Route{Provider: route.Provider, Credential: route.Vapid, Host: route.Host, Topic: route.Topic}})
		left -= all * n / taken
	}
	if len(shares) > 0 { // what rounding left over
		largest := slices.MaxFunc(shares, func(a, b ask.Share) int { return int(a.Pushes) - int(b.Pushes) })
		for i := range shares {
			if shares[i] == largest {
				shares[i].Pushes += left
				break
			}
		}
	}
	return shares
}

// named finds the live subscriptions that a recipient names, as a send finds them.
func (p *project) named(r *record.Recipient, cut Cut, take func(ordinal uint32)) {
	if len(r.Subscription) == len(tocsin.SubscriptionID{}) {
		o, known := p.ordinal(tocsin.SubscriptionID(r.Subscription))
		_, stayed := p.moves.left[o]
		if known && (p.live.Contains(o) || stayed && cut != (Cut{})) {
			take(o)
		}
		return
	}
	for _, o := range p.everOf(r.Profile) {
		came, late := p.moves.arrived[o]
		switch {
		case p.live.Contains(o) && (!late || cut == (Cut{}) || cut.counts(came)), cut != (Cut{}) && p.kept(o, cut):
			take(o)
		}
	}
}
