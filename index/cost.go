package index

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// What one thing costs when a query is compiled, in nanoseconds; measured as the
// costs of leaves are, on the dear side.
const (
	costFind = 250   // looking a value up in a dictionary
	costTest = 60    // testing a distinct value
	costZone = 1_000 // beginning a day in a zone
)

// Setup is about how long it takes to compile a query. It is known before that is
// done, for nobody can be let in meanwhile.
func (x *Index) Setup(q *target.Query) time.Duration { return time.Duration(x.setup(q, q.Root())) }

func (x *Index) setup(q *target.Query, n *target.Node) (nanoseconds float64) {
	for i := range n.Nodes {
		nanoseconds += x.setup(q, &n.Nodes[i])
	}
	if n.Native == target.Segment {
		for _, v := range n.Values {
			if definition := q.Segment(v.Text); definition != nil {
				nanoseconds += x.setup(definition, definition.Root())
			}
		}
	}
	if n.Op <= target.Not {
		return nanoseconds
	}
	nanoseconds = costWords + costFind*float64(len(n.Values))
	if c := x.columns[n.Name]; c != nil {
		nanoseconds += float64(len(c.has)) / 2 // counting who has a value
		if c.sets != nil && n.Op != target.Exists && (n.Op > target.NotIn || n.Version) {
			nanoseconds += costTest * float64(c.dict.distinct())
		}
	}
	zones := x.columns["zone"]
	if zones == nil || !slices.ContainsFunc(n.Values, func(v target.Value) bool { return v.Anchor == target.Today }) {
		return nanoseconds
	}
	return nanoseconds + costZone*float64(zones.dict.distinct())*float64(len(n.Values))
}

// worst is what a block costs where guesses are wrong, and the least and the
// greatest part of the rows that match. Clauses that depend on each other leave more
// rows undecided than chance would.
func (n *node) worst() (nanoseconds, least, greatest float64) {
	const looped = 0.01 // a clause looks through a block, whatever is asked about
	switch n.op {
	case target.And:
		least, greatest = 0, 1
		for i, inner := range n.nodes {
			cost, low, high := inner.worst()
			nanoseconds += cost * max(greatest, looped)
			if greatest = min(greatest, high); i == 0 {
				least = low
			}
			least = max(0, min(least, least+low-1))
		}
		if len(n.nodes) == 0 {
			least = 1
		}
	case target.Or:
		for _, inner := range n.nodes {
			cost, low, high := inner.worst()
			nanoseconds += cost*max(1-least, looped) + 2*costWords
			least, greatest = max(least, low), min(1, greatest+high)
		}
	default:
		least, greatest = n.share, n.share
		if n.guess {
			least, greatest = 0, 1
		}
		nanoseconds = n.cost
	}
	return nanoseconds, least, greatest
}
