package audience

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Audience is the exact recipients of a send on one shard, at one moment.
type Audience struct {
	Generation uint64 // of the ordinals
	Lots       []Lot  // in cutting order: by route, then by bucket
	Unknown    uint64 // explicit recipients that nobody knows
	Applied    uint64 // all of this is as of the changes below this position
}

// Lot is the part of an audience on one route and in one bucket of activity.
type Lot struct {
	Route
	Bucket   int // 0 is the most recently active
	Ordinals *roaring.Bitmap
}

// Count is how many live subscriptions match a target, and how many of them
// are opted in and would be sent to.
type Count struct {
	Matched   uint64
	Reachable uint64
}

// Evaluate returns those that a send to the query, due at the instant given,
// goes to: matching, live and opted in. nil asks for everyone. Whoever has a
// mark waits for it first (Await). The zero Cut is as of now. An error is that of
// ctx, or of reading who got an earlier send.
func (s *Shard) Evaluate(ctx context.Context, id tocsin.ProjectID, q *target.Query, at time.Time, cut Cut) (a Audience, err error) {
	s.courtesy.sending()
	err = s.matching(ctx, id, q, cut.reachable(), at, false, func(p *project, rows *roaring.Bitmap) {
		a = Audience{Generation: firstGeneration, Applied: s.applied, Lots: p.cut(rows, at)}
	})
	return a, err
}

func live(p *project) *roaring.Bitmap { return p.live }

// cut splits rows into lots.
func (p *project) cut(rows *roaring.Bitmap, at time.Time) []Lot {
	var since [Buckets - 1]uint32
	for i, age := range bucketAges {
		since[i] = seconds(at.Add(-age).UnixNano())
	}
	if rows.IsEmpty() {
		return nil
	}
	const batch = 4096
	parts, last := make([]gathered, len(p.routes)*Buckets), rows.Maximum()
	many, buffer := rows.ManyIterator(), make([]uint32, min(batch, rows.GetCardinality()))
	for n := many.NextMany(buffer); n > 0; n = many.NextMany(buffer) {
		for _, ordinal := range buffer[:n] {
			bucket, active := 0, p.rows.active.At(ordinal)
			for bucket < len(since) && active < since[bucket] {
				bucket++
			}
			parts[int(p.rows.route.At(ordinal))*Buckets+bucket].add(ordinal, last)
		}
	}
	var lots []Lot
	for slot := range parts {
		if rows := parts[slot].bitmap(); rows != nil {
			lots = append(lots, Lot{Route: p.routes[slot/Buckets], Bucket: slot % Buckets, Ordinals: rows})
		}
	}
	slices.SortFunc(lots, func(a, b Lot) int { return cmp.Or(a.Route.compare(b.Route), cmp.Compare(a.Bucket, b.Bucket)) })
	return lots
}

// gathered is rows in ascending order: a list while they are few, then a bit each.
type gathered struct {
	list []uint32
	bits []uint64
}

// add takes a row; last is the greatest that may come.
func (g *gathered) add(row, last uint32) {
	if g.bits != nil {
		g.bits[row/64] |= 1 << (row % 64)
		return
	}
	if g.list = append(g.list, row); len(g.list) > int(last/64) {
		g.bits = make([]uint64, last/64+1)
		for _, row := range g.list {
			g.bits[row/64] |= 1 << (row % 64)
		}
	}
}

// bitmap is nil without rows.
func (g *gathered) bitmap() *roaring.Bitmap {
	var b *roaring.Bitmap
	switch {
	case g.bits != nil:
		b = roaring.FromDense(g.bits, false)
	case g.list != nil:
		b = roaring.BitmapOf(g.list...)
	default:
		return nil
	}
	b.RunOptimize()
	return b
}

// Explicit returns the live subscriptions that are named, each once, and the
// values that came with them, the first naming's. Those who opted out are in:
// they were asked for, and end suppressed. A recipient that names neither a
// live subscription nor a profile with one counts as unknown. One that is named
// itself is found where it was when it was named, also after it has left.
func (s *Shard) Explicit(project tocsin.ProjectID, recipients []*record.Recipient, at time.Time, cut Cut) (Audience, map[uint32]map[string]string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := Audience{Generation: firstGeneration, Applied: s.applied}
	values := make(map[uint32]map[string]string)
	p := s.projects[project]
	if p == nil {
		a.Unknown = uint64(len(recipients))
		return a, values
	}
	rows := roaring.New()
	for _, r := range recipients {
		found := false
		take := func(ordinal uint32) {
			found = true
			if rows.CheckedAdd(ordinal) && len(r.Values) > 0 {
				values[ordinal] = r.Values
			}
		}
		p.named(r, cut, take)
		if !found {
			a.Unknown++
		}
	}
	a.Lots = p.cut(rows, at)
	return a, values
}

// Count counts for an instant without building an audience, or returns the error of ctx.
func (s *Shard) Count(ctx context.Context, id tocsin.ProjectID, q *target.Query, at time.Time) (c Count, err error) {
	err = s.matching(ctx, id, q, live, at, true, func(p *project, rows *roaring.Bitmap) {
		c = Count{Matched: rows.GetCardinality(), Reachable: rows.AndCardinality(p.reachable)}
	})
	return c, err
}
