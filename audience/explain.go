package audience

import (
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// Explain tells what each clause of a query leaves at an instant, with samples of
// at most so many people, or returns the error of ctx. It is worked out in slices,
// each of one moment: every subscription is counted once, as it was when its slice
// came.
func (s *Shard) Explain(ctx context.Context, id tocsin.ProjectID, q *target.Query, sample int, at time.Time) (ask.Funnel, error) {
	other, err := s.whoGot(ctx, id, q)
	if err != nil {
		return ask.Funnel{}, err
	}
	asked := s.courtesy.ask(ctx)
	defer asked.done()
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[id]
	if p == nil {
		p = newProject(id, s.number)
	}
	rows, f, memo := index.Dense(p.live), index.NewFunnel(ctx, q, sample), new(index.Memo)
	ready := func() time.Duration {
		f.Compile(p.known, p.around(s, at, other, memo))
		return f.Cost()
	}
	err = s.sliced(ctx, p, len(rows), p.known.Setup(q), asked, ready, func(from, to int) bool {
		f.Add(rows, from, to)
		return true
	})
	out := ask.Funnel{Live: f.Of, Matched: f.Left, Reachable: roaring.FromDense(rows, false).AndCardinality(p.reachable), In: p.sampled(f.In)}
	for i := range f.Steps {
		step := &f.Steps[i]
		out.Steps = append(out.Steps, ask.Step{Clause: clauseOf(&step.Clause), Left: step.Left, Only: step.Only, Out: p.sampled(step.Out)})
	}
	return out, err
}

// Cost is about what a query costs on this shard. What takes longer than most to
// make ready has no Run. It waits for nobody, since sends ask too, but to tell the
// cost takes time that questions do not get then.
func (s *Shard) Cost(ctx context.Context, id tocsin.ProjectID, q *target.Query, at time.Time, explain bool, most time.Duration) (c ask.Cost, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[id]
	if p == nil {
		return c, nil
	}
	if c.Setup = p.known.Setup(q); c.Setup > most {
		return c, nil
	}
	teller, begun := question{Courtesy: s.courtesy}, time.Now()
	defer func() { teller.work(time.Since(begun)) }()
	block := time.Duration(0)
	if around := p.around(s, at, nil, nil); explain { // who got a send costs little
		f := index.NewFunnel(ctx, q, 0)
		f.Compile(p.known, around)
		block = f.Cost()
	} else {
		block = p.known.Compile(ctx, q, around).Cost()
	}
	const rows = 64 * index.BlockWords // of a block
	c.Run = c.Setup + block*time.Duration(p.live.GetCardinality())/rows
	return c, ctx.Err()
}

func clauseOf(c *index.Clause) ask.Clause {
	out := ask.Clause{Node: c.Node, Matched: c.Matched}
	for i := range c.Inner {
		out.Inner = append(out.Inner, clauseOf(&c.Inner[i]))
	}
	return out
}

// sampled names those of some rows that are still live.
func (p *project) sampled(rows []uint32) (people []ask.Sampled) {
	for _, o := range rows {
		if p.live.Contains(o) {
			people = append(people, ask.Sampled{Subscription: p.rows.ids.At(o), Profile: p.keyOf(o)})
		}
	}
	return people
}

// Verdict tells of every clause of a query whether a live subscription matches it at
// an instant, and what it looked at.
func (s *Shard) Verdict(ctx context.Context, id tocsin.ProjectID, subscription tocsin.SubscriptionID, q *target.Query, at time.Time) (v index.Verdict, live bool, err error) {
	other, err := s.whoGot(ctx, id, q)
	if err != nil {
		return v, false, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[id]
	if p == nil {
		return v, false, nil
	}
	o, ok := p.alive(subscription[:])
	if !ok {
		return v, false, nil
	}
	return p.known.Verdict(ctx, q, o, p.around(s, at, other, nil)), true, nil
}
