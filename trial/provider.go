package trial

import (
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// simulated is all the services that pushes leave to. Trouble lasts until an
// instant; while it lasts it meets some of the pushes.
type simulated struct {
	w       *World
	gone    map[string]gone
	trouble [kinds]time.Time

	// Every second time all the pushes that arrive together meet the same.
	together bool
	met      [kinds]int // 0 not drawn yet, 1 no, 2 yes
	waits    time.Duration

	offers map[offered][]arrival // on quotas
	rates  map[rated][]time.Time // of steered sends
}

type gone struct{ at time.Time }

// arrival begins a piece of pushes that arrive together.
func (s *simulated) arrival() {
	s.together, s.met, s.waits = s.w.chance(2), [kinds]int{}, 0
}

func (s *simulated) troubled(k kind, oneIn int) bool {
	if !s.w.now.Before(s.trouble[k]) {
		return false
	}
	if !s.together || s.met[k] == 0 {
		s.met[k] = 1
		if s.w.chance(oneIn) {
			s.met[k] = 2
		}
	}
	return s.met[k] == 2
}

// retryAfter is how long the provider asks to wait.
func (s *simulated) retryAfter(low, high time.Duration) time.Duration {
	if !s.together || s.waits == 0 {
		s.waits = s.w.between(low, high)
	}
	return s.waits
}

// answer is what comes back for one push; a lost one never does.
type answer struct {
	fanout.Answer
	gone *record.Address
}

// take decides about a push that arrived, and keeps what it accepted.
func (s *simulated) take(d *delivery, push *pushed) (a answer) {
	w, t := s.w, truthOf(d, push)
	a.Count = 1
	c := w.subject(d.Route)
	switch {
	case s.troubled(resetUnread, 3): // the connection ends before it was looked at
		a.Result = provider.Lost
		w.reach(fault(resetUnread))
		return a
	case s.troubled(goaway, 2):
		w.reach(unprocessedStreams)
		w.reach(fault(goaway))
		a.Result, a.Reason = provider.Unprocessed, tocsin.ReasonNotProcessed
		return a
	case c.refused && push.version <= c.version:
		w.reach(fault(credentialRefused))
		a.Result, a.Reason = provider.Fault, tocsin.ReasonCredential
		return a
	case s.troubled(throttledQuota, 2):
		w.reach(fault(throttledQuota))
		a.Result, a.Reason, a.Scope = provider.Later, tocsin.ReasonThrottled, provider.WholeQuota
		if w.chance(2) {
			a.RetryAfter = s.retryAfter(100*time.Millisecond, 2*time.Second)
		}
		return a
	case s.troubled(throttledPush, 2):
		w.reach(fault(throttledPush))
		a.Result, a.Reason, a.RetryAfter = provider.Later, tocsin.ReasonThrottled, s.retryAfter(300*time.Millisecond, 3*time.Second)
		t.told = append(t.told, told{d.Claim, d.Attempt, w.now.Add(a.RetryAfter)})
		return a
	case s.troubled(unavailable, 2):
		w.reach(fault(unavailable))
		a.Result, a.Reason = provider.Later, tocsin.ReasonUnavailable
		return a
	}
	if g, dead := s.gone[string(push.address)]; dead {
		t.saidGone = true
		a.Result = provider.Gone
		a.gone = &record.Address{Subscription: push.id.Bytes(), Version: push.addressVersion}
		if w.chance(2) {
			a.gone.At = g.at.UnixNano()
		}
		return a
	}
	if t.accepted++; t.accepted == 2 {
		w.reach(acceptedTwice)
	}
	a.Result = provider.Accepted
	if push.moved {
		a.Reason = tocsin.ReasonMoved
	}
	if s.troubled(answerLost, 3) {
		w.reach(fault(answerLost))
		w.truth.lost[d.x.s.shard]++
		a.Result = provider.Lost
	}
	return a
}

// delivery is a granted range on its way, as a lane carries it.
type delivery struct {
	fanout.Deliver
	x       *sender
	life    uint64 // of the process
	scope   record.Scope
	send    int // number of the send
	due     time.Time
	expiry  time.Time
	changes uint64
	pushes  []pushed
	left    int // without an answer
	halted  bool
	told    bool // pace knows that all has left
	written int
	first   time.Time
	last    time.Time
}

type pushed struct {
	person         int
	id             tocsin.SubscriptionID
	address        []byte
	addressVersion uint64
	version        int // of the credential it was written with
	moved          bool
	answer         answer
	done           bool
}

// deliver plays the lane: eligibility, writes in one or two pieces, answers.
func (x *sender) deliver(e fanout.Deliver) {
	s, p, w := x.s, x.s.p, x.s.p.w
	d := &delivery{Deliver: e, x: x, life: p.incarnation, scope: e.Send.Scope, due: e.Send.Due, expiry: e.Send.Expiry, send: w.number(e.Send.ID)}
	d.changes = w.checkGranted(d)
	x.page = e.Send.Ordinals(e.Page, x.page[:0])
	ordinals := x.page[e.Span.From:e.Span.To]
	lot := e.Send.Page(e.Page).Lot()
	s.audience.Load(d.scope.Project, audience.Route{Provider: lot.Provider, Host: lot.Host, Topic: lot.Topic}, ordinals, nil, &x.load)
	d.pushes = make([]pushed, len(ordinals))
	d.left = len(ordinals)
	x.underway[e.Claim] = d
	for i := range d.pushes {
		push := &d.pushes[i]
		push.id, push.addressVersion, push.address = x.load.IDs[i], x.load.Versions[i], x.load.Addresses[i]
		push.person = personOf(push.id)
		if reason := x.load.Blocked[i]; reason != 0 {
			d.answered(push, answer{Answer: fanout.Answer{Count: 1, Outcome: tocsin.Suppressed, Reason: reason}})
		}
		push.moved = x.load.Moved[i]
	}
	cut := len(d.pushes)
	if w.chance(3) {
		cut = w.random.IntN(cut + 1)
	}
	p.after(w.between(0, 3*time.Millisecond), "write", func() { d.write(0, cut) })
	if cut < len(d.pushes) {
		p.after(w.between(3*time.Millisecond, 40*time.Millisecond), "write", func() { d.write(cut, len(d.pushes)) })
	}
	d.finish()
}

// write lets a piece leave, unless it was halted or is too late.
func (d *delivery) write(from, to int) {
	p, w := d.x.s.p, d.x.s.p.w
	c := w.subject(d.Route)
	var left []*pushed
	for i := from; i < to; i++ {
		push := &d.pushes[i]
		switch {
		case push.done:
		case d.halted:
			d.answered(push, answer{Answer: fanout.Answer{Count: 1, Result: provider.Unsent}})
		case !d.expiry.IsZero() && !p.wall().Before(d.expiry):
			d.answered(push, answer{Answer: fanout.Answer{Count: 1, Outcome: tocsin.Expired}})
		default:
			push.version = c.version
			w.checkWritten(d, push)
			w.checkPaused(d)
			left = append(left, push)
		}
	}
	if len(left) > 0 {
		if d.first.IsZero() {
			d.first = p.wall()
		}
		d.last = p.wall()
		d.written += len(left)
		p.writable(d.Route)
		// From here on the bytes are out of anybody's hands.
		delay := w.between(0, 10*time.Millisecond)
		if c.quota > 0 {
			w.provider.offer(p, c, w.now.Add(delay), len(left))
		}
		if w.now.Before(w.provider.trouble[slow]) {
			w.reach(fault(slow))
			delay += w.between(0, time.Second)
		}
		w.after(delay, "arrived", func() { d.arrived(left) })
	}
	if to == len(d.pushes) {
		d.tellLeft()
	}
	d.finish()
}

// tellLeft tells pace, once, that all that leaves of the range has left.
func (d *delivery) tellLeft() {
	if !d.told {
		d.told = true
		p := d.x.s.p
		p.paceEffects(p.pace.Step(p.w.now, pace.Left{Route: d.Route, Send: d.Send.ID, N: len(d.pushes), Written: d.written}))
	}
}

func (d *delivery) arrived(list []*pushed) {
	p, w := d.x.s.p, d.x.s.p.w
	answers := make([]answer, len(list))
	w.provider.arrival()
	for i, push := range list {
		answers[i] = w.provider.take(d, push)
	}
	if p.incarnation != d.life { // nobody is there any more to read the answers
		return
	}
	p.after(w.between(0, 15*time.Millisecond), "answers", func() {
		for i, push := range list {
			if answers[i].Result != provider.Lost {
				d.answered(push, answers[i])
			}
		}
		d.finish()
	})
	if !slices.ContainsFunc(answers, func(a answer) bool { return a.Result == provider.Lost }) {
		return
	}
	p.after(400*time.Millisecond, "time-out", func() {
		for _, push := range list {
			if !push.done {
				d.answered(push, answer{Answer: fanout.Answer{Count: 1, Result: provider.Lost, Reason: tocsin.ReasonUnanswered}})
			}
		}
		d.finish()
	})
}

func (d *delivery) answered(push *pushed, a answer) {
	push.answer, push.done = a, true
	d.left--
}

// finish hands the range back once every push has an answer.
func (d *delivery) finish() {
	x := d.x
	if d.left > 0 || x.underway[d.Claim] != d {
		return
	}
	delete(x.underway, d.Claim)
	d.tellLeft()
	e := fanout.Answered{Claim: d.Claim, First: d.first, Last: d.last, Jitter: x.s.p.w.random.Float64()}
	decided := 0
	for i := range d.pushes {
		a := d.pushes[i].answer
		if a.gone != nil {
			e.Gone = append(e.Gone, a.gone)
		}
		if a.Result == provider.Accepted || a.Result == provider.Gone {
			decided++
		}
		if n := len(e.Answers); n > 0 {
			l := e.Answers[n-1]
			l.Count = 1
			if l == a.Answer {
				e.Answers[n-1].Count++
				continue
			}
		}
		e.Answers = append(e.Answers, a.Answer)
	}
	if d.written > 0 {
		micros := d.last.Sub(d.due).Microseconds()
		e.Written = []*record.Bucket{{Micros: micros, Count: uint32(d.written)}}
		if decided != d.written && decided > 0 {
			e.Decided = []*record.Bucket{{Micros: micros, Count: uint32(decided)}}
		}
	}
	x.fanoutStep(e)
}

// checkGranted holds law L3 where bytes are about to leave: the claim is
// durable in the log, names these pushes, and no cancel stands before it.
func (w *World) checkGranted(d *delivery) (changes uint64) {
	shard := d.x.s.shard
	kept := w.log(journalLedger, shard).kept
	for i := len(kept) - 1; i >= 0 && kept[i].Position > d.Claim.Term; i-- {
		c, stamp := claimOf(kept[i].Envelope)
		if c == nil || stamp.GetTerm() != d.Claim.Term || stamp.Seq != d.Claim.Seq {
			continue
		}
		if tocsin.SendID(c.Send) != d.Send.ID || int(c.Page) != d.Page || int(c.From) > d.Span.From || int(c.To) < d.Span.To || int(c.Attempt) != d.Attempt {
			break
		}
		if at := w.truth.cancels[shard][d.Send.ID]; at != 0 && at < kept[i].Position {
			w.broken("L4", "a claim at %d after the cancel at %d leaves", kept[i].Position, at)
		}
		return c.Changes
	}
	w.broken("L3", "page %d %d-%d of shard %d leaves without a durable claim", d.Page, d.Span.From, d.Span.To, shard)
	return 0
}

func claimOf(e *record.Envelope) (*record.Claim, *record.Stamp) {
	if c := e.GetClaim(); c != nil {
		return c, c.Stamp
	}
	if o := e.GetOpen(); o.GetClaim() != nil {
		return o.Claim, o.Stamp
	}
	return nil, nil
}

// skew is the most by which the clocks of two processes differ.
const skew = 4 * time.Second

// checkWritten holds law L4 as bytes leave.
func (w *World) checkWritten(d *delivery, push *pushed) {
	r, t := w.sends[d.send], truthOf(d, push)
	t.writes++
	who := func() string { return fmt.Sprintf("%s to person %d, attempt %d", r.key, push.person, d.Attempt) }
	tolerance := time.Duration(0)
	if w.stepped {
		tolerance = skew
	}
	person := w.person(d.scope.Project, push.person)
	switch {
	case w.now.Add(tolerance).Before(d.due):
		w.broken("L4", "%s leaves before it is due", who())
	case !d.expiry.IsZero() && !w.now.Before(d.expiry.Add(tolerance+time.Nanosecond)):
		w.broken("L4", "%s leaves after its time to live", who())
	case person.blockedAt != 0 && person.blockedAt < d.changes:
		w.broken("L4", "%s leaves, who opted out at %d, below %d", who(), person.blockedAt, d.changes)
	case !r.cancelled.IsZero() && w.now.Sub(r.cancelled) > 2*time.Second && d.x.s.p.wokenAt.Before(r.cancelled):
		w.broken("L4", "%s leaves %v after the acknowledged cancel", who(), w.now.Sub(r.cancelled))
	}
	for _, told := range t.told {
		if told.attempt == d.Attempt-1 && w.now.Add(tolerance).Before(told.notBefore) && w.heard(d.x.s.shard, told.claim) {
			w.broken("L7", "%s leaves %v before its Retry-After is over", who(), told.notBefore.Sub(w.now))
		}
	}
}

// told is an answer to wait.
type told struct {
	claim     fanout.ClaimRef
	attempt   int
	notBefore time.Time
}

// heard reports whether the answers to a claim came to be in force: those of
// an owner that was superseded first do not count.
func (w *World) heard(shard tocsin.Shard, c fanout.ClaimRef) bool {
	fold := ledger.New()
	for _, r := range w.log(journalLedger, shard).kept {
		v := fold.Apply(r.Position, r.Envelope)
		if v.InForce && r.Envelope.GetSettle() != nil && v.Claim.Term == c.Term && v.Claim.Seq == c.Seq {
			return true
		}
	}
	return false
}
