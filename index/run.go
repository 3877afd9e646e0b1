package index

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// Run returns the rows out of all that the query matches. The result is the
// caller's own; all is not changed.
func (x *Index) Run(q *target.Query, all *roaring.Bitmap) *roaring.Bitmap {
	return roaring.And(all, x.eval(q.Root(), all))
}

// Count returns how many rows out of all the query matches.
func (x *Index) Count(q *target.Query, all *roaring.Bitmap) uint64 {
	return all.AndCardinality(x.eval(q.Root(), all))
}

// eval returns rows that agree with the query on all; on others they may be
// anything. The caller must not change the result.
func (x *Index) eval(n *target.Node, all *roaring.Bitmap) *roaring.Bitmap {
	switch n.Op {
	case target.And:
		return x.and(n.Nodes, all)
	case target.Or:
		some := make([]*roaring.Bitmap, len(n.Nodes))
		for i := range n.Nodes {
			some[i] = x.eval(&n.Nodes[i], all)
		}
		return roaring.FastOr(some...)
	case target.Not:
		return roaring.AndNot(all, x.eval(&n.Nodes[0], all))
	case target.Contains:
		if s := x.sets[n.Name]; s != nil {
			return s.matches(n.Values)
		}
	case target.Exists:
		present := x.present(n.Name)
		if !n.Values[0].Flag {
			return roaring.AndNot(all, present)
		}
		return present
	default:
		if c := x.columns[n.Name]; c != nil {
			return c.matches(n.Values)
		}
	}
	return roaring.New()
}

// and intersects, smallest first; what stands under $not or asks for absence
// is taken away at the end, so that no complement is built for it.
func (x *Index) and(nodes []target.Node, all *roaring.Bitmap) *roaring.Bitmap {
	var keep, drop []*roaring.Bitmap
	for i := range nodes {
		switch n := &nodes[i]; {
		case n.Op == target.Not:
			drop = append(drop, x.eval(&n.Nodes[0], all))
		case n.Op == target.Exists && !n.Values[0].Flag:
			drop = append(drop, x.present(n.Name))
		default:
			keep = append(keep, x.eval(n, all))
		}
	}
	if len(keep) == 0 {
		keep = append(keep, all)
	}
	if len(keep) == 1 && len(drop) == 0 {
		return keep[0]
	}
	slices.SortFunc(keep, func(a, b *roaring.Bitmap) int { return cmp.Compare(a.GetCardinality(), b.GetCardinality()) })
	result := keep[0].Clone()
	for _, b := range keep[1:] {
		result.And(b)
	}
	for _, b := range drop {
		result.AndNot(b)
	}
	return result
}

// present returns the rows that have the attribute, or a tag in the set.
func (x *Index) present(name string) *roaring.Bitmap {
	c, s := x.columns[name], x.sets[name]
	switch {
	case c != nil && s != nil:
		return roaring.Or(c.present(), s.present())
	case c != nil:
		return c.present()
	case s != nil:
		return s.present()
	}
	return roaring.New()
}
