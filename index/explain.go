package index

import (
	"context"
	"math/bits"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// Clause is a node of a query as it is written, and how many rows match it.
type Clause struct {
	Node    *target.Node
	Matched uint64 // of the rows that came to its step
	Inner   []Clause

	program *node // of what is no logic
}

// Step is one of the clauses that must all hold.
type Step struct {
	Clause
	Left uint64   // match it and all before it
	Only uint64   // match all but this one
	Out  []uint32 // some that match all before it, and not this one
}

// Funnel is what each clause of a query leaves of some rows, in the order in which
// they are written. It adds up: a step excludes what the one before left less what
// it leaves itself.
type Funnel struct {
	Steps []Step
	Of    uint64   // rows that came to the first step
	Left  uint64   // match all
	In    []uint32 // some of these

	query  *target.Query
	sample int
	run    run
	once   []words // by step: rows of a block that match all others so far
}

// NewFunnel is a funnel that nothing went through yet. It shows up to sample
// rows that match, and as many that each step excludes.
func NewFunnel(ctx context.Context, q *target.Query, sample int) *Funnel {
	f := &Funnel{query: q, sample: sample, run: run{ctx: ctx}}
	nodes := []target.Node{*q.Root()}
	if q.Root().Op == target.And {
		nodes = q.Root().Nodes
	}
	f.Steps, f.once = make([]Step, len(nodes)), make([]words, len(nodes))
	for i := range nodes {
		f.Steps[i].Clause = clauseOf(&nodes[i])
	}
	return f
}

func clauseOf(n *target.Node) Clause {
	c := Clause{Node: n, Inner: make([]Clause, len(n.Nodes))}
	for i := range n.Nodes {
		c.Inner[i] = clauseOf(&n.Nodes[i])
	}
	return c
}

// Compile makes the funnel ready for an index as it is: until the next write.
// Each clause is compiled by itself: no negation goes down and nothing is put in
// another order, so that a funnel tells of the program whether it is right.
func (f *Funnel) Compile(x *Index, around *Around) {
	for i := range f.Steps {
		f.Steps[i].ready(&compiler{x, around, f.query})
	}
}

func (c *Clause) ready(with *compiler) {
	if c.Node.Op > target.Not {
		c.program = with.compile(c.Node)
	}
	for i := range c.Inner {
		c.Inner[i].ready(with)
	}
}

// match finds those of the rows of a block that match, and counts for each clause
// those of them that are counted.
func (c *Clause) match(r *run, number uint32, rows, counted, found *words) {
	used := r.used
	*found = *rows
	switch {
	case c.program != nil:
		c.program.narrow(r, number, found)
	case c.Node.Op == target.Or:
		clear(found[:])
	}
	for i := range c.Inner {
		one := r.take()
		c.Inner[i].match(r, number, rows, counted, one)
		for w, word := range one {
			switch c.Node.Op {
			case target.And:
				found[w] &= word
			case target.Or:
				found[w] |= word
			case target.Not:
				found[w] &^= word
			}
		}
		r.used = used
	}
	for w, word := range counted {
		c.Matched += uint64(bits.OnesCount64(found[w] & word))
	}
}

// Add lets the words from one to another of rows, a bit each, through the funnel,
// and leaves those that match all. Each row may come once.
func (f *Funnel) Add(rows []uint64, from, to int) {
	blocks(rows, from, to, f.add)
}

// add takes rows of one block. Those that two steps exclude are not looked at by
// the ones that follow: nothing is counted for them.
func (f *Funnel) add(number uint32, left *words) {
	f.Of += uint64(left.count())
	used := f.run.used
	asked, found := f.run.take(), f.run.take()
	for i := range f.Steps {
		step := &f.Steps[i]
		*asked = *left
		for j := range i {
			if f.once[j].empty() {
				continue
			}
			for w, word := range f.once[j] {
				asked[w] |= word
			}
		}
		step.match(&f.run, number, asked, left, found)
		for j := range i {
			for w, word := range found {
				f.once[j][w] &= word
			}
		}
		for w, word := range found {
			f.once[i][w] = left[w] &^ word
			left[w] &= word
		}
		step.Left += uint64(left.count())
		step.Out = f.some(step.Out, number, &f.once[i])
	}
	for i := range f.once {
		f.Steps[i].Only += uint64(f.once[i].count())
	}
	f.Left += uint64(left.count())
	f.In = f.some(f.In, number, left)
	f.run.used = used
}

// some adds rows of a block to a sample that is not full.
func (f *Funnel) some(sample []uint32, number uint32, rows *words) []uint32 {
	for w := 0; w < blockWords && len(sample) < f.sample; w++ {
		for word := rows[w]; word != 0 && len(sample) < f.sample; word &= word - 1 {
			sample = append(sample, number<<16|uint32(w<<6|bits.TrailingZeros64(word)))
		}
	}
	return sample
}

// Cost is about how long a block of 65,536 rows takes.
func (f *Funnel) Cost() time.Duration {
	nanoseconds := 0.0
	for i := range f.Steps {
		nanoseconds += f.Steps[i].cost() + float64(i+3)*costWords
	}
	return time.Duration(nanoseconds)
}

func (c *Clause) cost() (nanoseconds float64) {
	if c.program != nil {
		cost, _, _ := c.program.worst()
		return cost
	}
	for i := range c.Inner {
		nanoseconds += c.Inner[i].cost() + 2*costWords
	}
	return nanoseconds
}
