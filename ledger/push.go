package ledger

import "github.com/tocsin-push/tocsin"

// Result is what a settle says of a push: an outcome (the numbers of
// tocsin.Outcome), Later or Released. The numbers are stored.
type Result uint8

const (
	Later    Result = 16 // not taken this time; may be claimed as the next attempt
	Released Result = 17 // never written; may be claimed as the same attempt
)

// Outcome is the result as an outcome, 0 for Later and Released.
func (r Result) Outcome() tocsin.Outcome {
	if r >= 1 && r <= Result(tocsin.InDoubt) {
		return tocsin.Outcome(r)
	}
	return 0
}

// State is where a push stands: one of the three open states, or 3 plus its
// outcome.
type State uint8

const (
	Unclaimed State = iota
	Claimed
	Waiting // later
	states  = 4 + int(tocsin.InDoubt)
)

// Ended is the state of a push with the outcome.
func Ended(o tocsin.Outcome) State { return State(3 + o) }

// Outcome is 0 while the push is open.
func (s State) Outcome() tocsin.Outcome {
	if s <= 3 {
		return 0
	}
	return tocsin.Outcome(s - 3)
}

func (s State) String() string {
	switch s {
	case Unclaimed:
		return "unclaimed"
	case Claimed:
		return "claimed"
	case Waiting:
		return "later"
	}
	return s.Outcome().String()
}

// MaxAttempt is the highest attempt a push can reach; settled as Later there,
// it ends as at its limit.
const MaxAttempt = 1<<11 - 1

// Push is the whole state of one push in 32 bits: state (4), doubt mark (1),
// reason (5), attempt (11), attempts that cost nothing (11).
type Push uint32

func (p Push) State() State            { return State(p & 15) }
func (p Push) Outcome() tocsin.Outcome { return p.State().Outcome() }
func (p Push) Mark() bool              { return p&16 != 0 }
func (p Push) Reason() tocsin.Reason   { return tocsin.Reason(p >> 5 & 31) }

// Attempt is the attempt under way, waited after, decided by, or, of an
// unclaimed push, the one to claim. It counts from 1.
func (p Push) Attempt() int { return int(p >> 10 & MaxAttempt) }

// Spent is how many attempts up to this one count against the limit: those
// whose answer said that the push was not taken do not. They are repeated until
// the time to live ends.
func (p Push) Spent() int { return p.Attempt() - int(p>>21) }

const fresh = Push(1 << 10) // unclaimed, attempt 1

func (p Push) with(s State, r tocsin.Reason) Push {
	return p&^(15|31<<5) | Push(s) | Push(r)<<5
}

// Claimable is the attempt that a claim of this push must name, 0 when it may
// not be claimed.
func (p Push) Claimable() int {
	switch p.State() {
	case Unclaimed:
		return p.Attempt()
	case Waiting:
		return p.Attempt() + 1
	}
	return 0
}

// Last reports whether an answer that is lost on this attempt ends the push.
func (p Push) Last(limit int) bool { return p.Attempt() == MaxAttempt || p.Spent() >= limit }

func (p Push) claim() Push {
	next := p.Claimable()
	return p.with(Claimed, 0)&^(MaxAttempt<<10) | Push(next)<<10
}

// cancel is what a cancelled send makes of a push that nobody holds.
func (p Push) cancel() Push {
	if p.Mark() {
		return p.with(Ended(tocsin.InDoubt), p.Reason())
	}
	return p.with(Ended(tocsin.Cancelled), 0)
}

// doubt is what a take makes of a claimed push.
func (p Push) doubt(skip bool) Push {
	p |= 16
	if skip {
		return p.with(Ended(tocsin.InDoubt), tocsin.ReasonUnanswered)
	}
	return p.with(Unclaimed, 0)
}

// settle is what a settle makes of a claimed push. A mark never goes away, and
// a marked push never ends cancelled, expired or suppressed.
func (p Push) settle(s *Send, result Result, reason tocsin.Reason, mark bool) Push {
	if mark || result == Result(tocsin.InDoubt) {
		p |= 16
	}
	if o := result.Outcome(); o != 0 {
		if p.Mark() && (o == tocsin.Cancelled || o == tocsin.Expired || o == tocsin.Suppressed) {
			o = tocsin.InDoubt
		}
		return p.with(Ended(o), reason)
	}
	if s.Cancelled {
		return p.cancel()
	}
	if result == Released {
		return p.with(Unclaimed, 0)
	}
	switch {
	case mark && s.OnDoubt == tocsin.Skip:
		return p.with(Ended(tocsin.InDoubt), reason)
	case !mark && p.Attempt() < MaxAttempt:
		return p.with(Waiting, reason) + 1<<21
	case !p.Last(s.Attempts):
		return p.with(Waiting, reason)
	case p.Mark():
		return p.with(Ended(tocsin.InDoubt), reason)
	}
	return p.with(Ended(tocsin.Refused), tocsin.ReasonAttempts)
}
