package index

import (
	"cmp"
	"context"
	"slices"

	"github.com/tocsin-push/tocsin/target"
)

// node is a query made ready to run on the blocks of an index: logic without
// negation over leaves, which may be negated.
type node struct {
	op    target.Op // And or Or; 0 is a leaf
	nodes []*node
	leaf  leaf
	not   bool
	share float64 // about the part of all rows that match
	guess bool    // nobody knows that part
	cost  float64 // about the nanoseconds for a block
}

func everyone() *node { return &node{op: target.And, share: 1} }
func nobody() *node   { return &node{op: target.Or} }

// joined is And or Or over nodes: one level of each logic, constants folded, and
// in the order in which the least work is expected.
func joined(op target.Op, nodes ...*node) *node {
	var flat []*node
	for _, n := range nodes {
		switch {
		case n.op == op:
			flat = append(flat, n.nodes...)
		case n.op != 0 && len(n.nodes) == 0:
			return n // nobody in an And, everyone in an Or
		default:
			flat = append(flat, n)
		}
	}
	if op == target.Or {
		flat = mergeTags(flat)
	}
	if len(flat) == 1 {
		return flat[0]
	}
	// The rows that a clause decides are not looked at again: it goes before
	// others when it costs little for each of them.
	undecided := func(n *node) float64 {
		if op == target.Or {
			return 1 - n.share
		}
		return n.share
	}
	rank := func(n *node) float64 { return n.cost / max(1-undecided(n), 1e-6) }
	slices.SortStableFunc(flat, func(a, b *node) int { return cmp.Compare(rank(a), rank(b)) })
	all := &node{op: op, nodes: flat, share: 1}
	for _, n := range flat {
		all.cost += n.cost * max(all.share, 0.01)
		all.share *= undecided(n)
	}
	if op == target.Or {
		all.share = 1 - all.share
	}
	return all
}

// mergeTags makes one leaf of those in an Or that are lists of rows.
func mergeTags(nodes []*node) []*node {
	var first *node
	var merged *listed
	kept := nodes[:0:0]
	for _, n := range nodes {
		l, ok := n.leaf.(*listed)
		switch {
		case !ok || n.not || l.codes != nil:
			kept = append(kept, n)
		case first == nil:
			merged = &listed{sets: slices.Clone(l.sets)}
			first = &node{leaf: merged, share: n.share, cost: n.cost}
			kept = append(kept, first)
		default:
			merged.sets = append(merged.sets, l.sets...)
			first.share = 1 - (1-first.share)*(1-n.share)
			first.cost += n.cost
		}
	}
	return kept
}

// negated turns a node around, by De Morgan down to the leaves.
func negated(n *node) *node {
	if n.op == 0 {
		around := *n
		around.not, around.share = !n.not, 1-n.share
		return &around
	}
	nodes := make([]*node, len(n.nodes))
	for i := range nodes {
		nodes[i] = negated(n.nodes[i])
	}
	if n.op == target.And {
		return joined(target.Or, nodes...)
	}
	return joined(target.And, nodes...)
}

// run is one evaluation: what is needed at each level of logic, to be used
// again for the next block.
type run struct {
	ctx     context.Context
	scratch []*words
	used    int
}

func (r *run) take() *words {
	if r.used == len(r.scratch) {
		r.scratch = append(r.scratch, new(words))
	}
	r.used++
	return r.scratch[r.used-1]
}

// narrow leaves of the rows of a block those that match. What it leaves after
// ctx has ended means nothing.
func (n *node) narrow(r *run, number uint32, rows *words) {
	switch {
	case n.op == target.And:
		for _, inner := range n.nodes {
			if inner.narrow(r, number, rows); rows.empty() {
				return
			}
		}
	case n.op == target.Or:
		used := r.used
		found, left := r.take(), r.take()
		clear(found[:])
		for _, inner := range n.nodes {
			*left = *rows
			inner.narrow(r, number, left)
			for i, word := range left {
				found[i] |= word
				rows[i] &^= word
			}
			if rows.empty() {
				break
			}
		}
		*rows, r.used = *found, used
	case r.ctx.Err() != nil:
	case n.not:
		used := r.used
		match := r.take()
		*match = *rows
		n.leaf.narrow(number, match)
		for i, word := range match {
			rows[i] &^= word
		}
		r.used = used
	default:
		n.leaf.narrow(number, rows)
	}
}
