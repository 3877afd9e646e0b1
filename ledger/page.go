package ledger

import (
	"iter"

	"github.com/tocsin-push/tocsin"
)

// Span is a run of a page: pushes From to To-1.
type Span struct{ From, To int }

// Page is up to tocsin.PageSize recipients of one send on one route.
type Page struct {
	lot  *Lot
	rank int // of its first ordinal in the lot
	size int
	open int // pushes without an outcome

	// The pushes are held in one of three ways: all the same, one each, or,
	// once all have ended, as runs.
	each []Push
	runs []run // the first covers from 0; never empty
}

type run struct {
	to   int // exclusive
	push Push
}

// Lot is where the page leaves through.
func (p *Page) Lot() *Lot { return p.lot }

// Size is the number of its pushes.
func (p *Page) Size() int { return p.size }

// Open is the number of its pushes without an outcome.
func (p *Page) Open() int { return p.open }

// Push returns the state of one push.
func (p *Page) Push(i int) Push {
	if p.each != nil {
		return p.each[i]
	}
	for _, r := range p.runs {
		if i < r.to {
			return r.push
		}
	}
	panic("ledger: push beyond its page")
}

// Runs walks the pushes of a span in runs of equal state, in order.
func (p *Page) Runs(span Span) iter.Seq2[Span, Push] {
	return func(yield func(Span, Push) bool) {
		if p.each == nil {
			from := span.From
			for _, r := range p.runs {
				to := min(r.to, span.To)
				if from < to {
					if !yield(Span{from, to}, r.push) {
						return
					}
					from = to
				}
			}
			return
		}
		for from := span.From; from < span.To; {
			to := from + 1
			for to < span.To && p.each[to] == p.each[from] {
				to++
			}
			if !yield(Span{from, to}, p.each[from]) {
				return
			}
			from = to
		}
	}
}

// change replaces each push of a span by what next makes of it, and keeps the
// counts of the send and of the page. next must depend on the push alone.
func (s *Send) change(p *Page, span Span, next func(Push) Push) {
	if p.each == nil && len(p.runs) == 1 && span.From == 0 && span.To == p.size {
		was := p.runs[0].push
		now := next(was)
		p.runs[0].push = now
		s.count(p, was, now, p.size)
		return
	}
	if p.each == nil {
		p.spread()
	}
	each := p.each
	for from := span.From; from < span.To; {
		was := each[from]
		now := next(was)
		to := from
		for to < span.To && each[to] == was {
			each[to] = now
			to++
		}
		s.count(p, was, now, to-from)
		from = to
	}
	if p.open == 0 || span.To == p.size {
		p.collapse()
	}
}

func (p *Page) spread() {
	p.each = make([]Push, p.size)
	from := 0
	for _, r := range p.runs {
		for i := from; i < r.to; i++ {
			p.each[i] = r.push
		}
		from = r.to
	}
	p.runs = nil
}

// collapse turns an ended or uniform page back into runs.
func (p *Page) collapse() {
	runs := 1
	for i := 1; i < p.size; i++ {
		if p.each[i] != p.each[i-1] {
			if runs++; p.open > 0 {
				return
			}
		}
	}
	p.runs = make([]run, 0, runs)
	for i := 1; i <= p.size; i++ {
		if i == p.size || p.each[i] != p.each[i-1] {
			p.runs = append(p.runs, run{i, p.each[i-1]})
		}
	}
	p.each = nil
}

func (s *Send) count(p *Page, was, now Push, n int) {
	s.states[was.State()] -= n
	s.states[now.State()] += n
	if o := now.Outcome(); o != 0 && was.Outcome() == 0 {
		p.open -= n
		s.open -= n
		s.tally(o, now.Reason()).count += n
		if now.Mark() {
			s.doubtful[o] += n
		}
	}
}

// Count is how many pushes of the send have the outcome, Doubtful how many of
// those are marked, Refusals how many have it for the reason.
func (s *Send) Count(o tocsin.Outcome) int    { return s.states[Ended(o)] }
func (s *Send) Doubtful(o tocsin.Outcome) int { return s.doubtful[o] }
func (s *Send) Reasons(o tocsin.Outcome, r tocsin.Reason) int {
	for _, t := range s.reasons {
		if t.outcome == o && t.reason == r {
			return t.count
		}
	}
	return 0
}

func (s *Send) tally(o tocsin.Outcome, r tocsin.Reason) *tally {
	for i := range s.reasons {
		if t := &s.reasons[i]; t.outcome == o && t.reason == r {
			return t
		}
	}
	s.reasons = append(s.reasons, tally{outcome: o, reason: r})
	return &s.reasons[len(s.reasons)-1]
}

// Standing is how many pushes of the send are in the state.
func (s *Send) Standing(state State) int { return s.states[state] }

// Open is how many pushes of the send have no outcome yet.
func (s *Send) Open() int { return s.open }
