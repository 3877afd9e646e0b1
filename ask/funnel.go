package ask

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/target"
)

// Funnel is what the clauses of a query leave of all live subscriptions, in the
// order in which they are written. It adds up: a step excludes what the one before
// left less what it leaves itself.
type Funnel struct {
	Live      uint64
	Steps     []Step
	Matched   uint64 // all steps
	Reachable uint64 // of these: opted in
	In        []Sampled
}

// Step is one of the clauses that must all hold.
type Step struct {
	Clause
	Left uint64    // match it and all before it
	Only uint64    // match all but this one
	Out  []Sampled // some that match all before it, and not this one
}

// Clause is a node of the query as it is written.
type Clause struct {
	Node    *target.Node
	Matched uint64 // of the subscriptions that came to its step
	Inner   []Clause
}

// Sampled is a subscription in a sample, with the key of its profile.
type Sampled struct {
	Subscription tocsin.SubscriptionID
	Profile      string
}

// Explain adds up the funnels of the shards.
func (s Shards) Explain(ctx context.Context, project tocsin.ProjectID, q *target.Query, sample int, at time.Time) (sum Funnel, err error) {
	shards := s.of(Target{Query: q})
	each := make([]Funnel, len(shards))
	err = Each(shards, func(i int, shard tocsin.Shard) (err error) {
		each[i], err = s[shard].Explain(ctx, project, q, sample, at)
		return err
	})
	if err != nil {
		return sum, err
	}
	for _, one := range each {
		sum.add(&one, sample)
	}
	return sum, nil
}

// add takes the funnel of one more shard, which has the same steps.
func (f *Funnel) add(one *Funnel, sample int) {
	f.Live += one.Live
	f.Matched += one.Matched
	f.Reachable += one.Reachable
	f.In = some(f.In, one.In, sample)
	if f.Steps == nil {
		f.Steps = one.Steps
		return
	}
	for i := range f.Steps {
		step, other := &f.Steps[i], &one.Steps[i]
		step.Left += other.Left
		step.Only += other.Only
		step.Out = some(step.Out, other.Out, sample)
		step.add(&other.Clause)
	}
}

func (c *Clause) add(other *Clause) {
	c.Matched += other.Matched
	for i := range c.Inner {
		c.Inner[i].add(&other.Inner[i])
	}
}

func some(all, more []Sampled, most int) []Sampled {
	return append(all, more[:min(len(more), most-len(all))]...)
}
