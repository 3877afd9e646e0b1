package trial

import (
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
)

// window is W of the histories: small, so that it is reached.
const window = 64

func fanoutConfig() fanout.Config {
	c := fanout.Default()
	c.Window, c.RangeSize, c.Chunk = window, 16, 100
	c.Retake = 60 * time.Millisecond
	short := fanout.Retry{First: 200 * time.Millisecond, Most: 2 * time.Second}
	c.APNs, c.FCM, c.WebPush, c.Credential = short, short, short, short
	return c
}

// sender plays the shell of fanout.
type sender struct {
	s        *seat
	fanout   *fanout.Machine
	ledger   *reader
	fanoutAt uint64 // the Wake that counts
	leaving  func()
	underway map[fanout.ClaimRef]*delivery
	load     audience.Recipients
	page     []uint32
}

func newSender(s *seat) *sender {
	return &sender{s: s, fanout: fanout.New(fanoutConfig(), s.shard, s.p.w.newID()), underway: map[fanout.ClaimRef]*delivery{}}
}

func (x *sender) begin() { x.fanoutStep(fanout.Assigned{Fold: x.snapshot()}) }

// snapshot is the fold that a process starts from: one of the two that plan
// and receipt keep.
func (x *sender) snapshot() *ledger.Fold {
	w := x.s.p.w
	var fold *ledger.Fold
	var err error
	if w.chance(2) {
		fold, err = plan.Snapshot(w.scan(plan.Place(x.s.shard)))
	} else {
		fold, err = receipt.Snapshot(w.scan(receipt.Place(x.s.shard)))
	}
	if err != nil {
		w.broken("snapshot", "%v", err)
		return ledger.New()
	}
	return fold
}

func (x *sender) applied(next uint64) { x.fanoutStep(fanout.Applied{Changes: next}) }

func (x *sender) fanoutStep(e fanout.Event) {
	s, p, w := x.s, x.s.p, x.s.p.w
	for _, effect := range x.fanout.Step(p.wall(), e) {
		switch e := effect.(type) {
		case fanout.Follow:
			if x.ledger != nil {
				x.ledger.stopped = true
			}
			x.ledger = p.follow(w.log(journal.Ledger, s.shard), e.From, func(r []journal.Entry, _ uint64) {
				x.fanoutStep(fanout.LedgerRead{Records: r})
			}, func() {
				w.reach(trimmedOwner)
				x.fanoutStep(fanout.Trimmed{})
				p.after(10*time.Millisecond, "assigned again", func() {
					if !s.revoked {
						x.fanoutStep(fanout.Assigned{Fold: x.snapshot()})
					}
				})
			})
			s.readers = append(s.readers, x.ledger)
		case fanout.CatchUp:
			p.after(w.between(0, 3*time.Millisecond), "end of ledger", func() { x.catchUp(x.ledger, w.endOf(w.log(journal.Ledger, s.shard))) })
		case fanout.ReadSlices:
			x.readSlices(e.From)
		case fanout.FetchSlice:
			p.after(w.between(0, 3*time.Millisecond), "slice", func() {
				list := w.log(journal.Slices, s.shard).between(e.Position, e.Position+1)
				if len(list) == 0 {
					w.broken("slices", "there is none at %d", e.Position)
					return
				}
				x.withRecipients(list[0].Envelope, func(whole *record.Envelope) {
					if whole != list[0].Envelope {
						w.reach(listReadAgain)
					}
					x.fanoutStep(fanout.SliceFetched{Position: e.Position, Envelope: whole})
				})
			})
		case fanout.Evaluate:
			p.after(w.between(0, 5*time.Millisecond), "evaluated", func() { x.withRecipients(e.Envelope, func(whole *record.Envelope) { x.evaluate(e.Position, whole) }) })
		case fanout.Append:
			p.append(w.log(journal.Ledger, s.shard), e.Records, func(ok bool) {
				if ok {
					x.fanoutStep(fanout.Appended{})
				} else {
					x.fanoutStep(fanout.AppendFailed{})
				}
			})
		case fanout.Pace:
			s.toPace(e.Event)
		case fanout.Deliver:
			x.deliver(e)
		case fanout.Halt:
			if d := x.underway[e.Claim]; d != nil {
				d.halted = true
			}
		case fanout.Wake:
			x.fanoutAt++
			at := x.fanoutAt
			p.after(max(0, e.At.Sub(p.wall())), "fanout tick", func() {
				if at == x.fanoutAt {
					x.fanoutStep(fanout.Tick{})
				}
			})
		case fanout.Stopped:
			if x.leaving != nil {
				s.unseat()
				x.leaving()
			}
		}
	}
}

// catchUp answers once the reader has brought everything below the end.
func (x *sender) catchUp(r *reader, end uint64) {
	if r.stopped {
		return
	}
	if uint64(r.next) < end {
		r.poke()
		x.s.p.after(time.Millisecond, "catching up", func() { x.catchUp(r, end) })
		return
	}
	x.fanoutStep(fanout.CaughtUp{})
}

// readSlices answers once there is something to read.
func (x *sender) readSlices(from uint64) {
	s := x.s
	var r *reader
	r = s.p.follow(s.p.w.log(journal.Slices, s.shard), from, func(list []journal.Entry, next uint64) {
		r.stopped = true
		x.fanoutStep(fanout.SlicesRead{Records: list, Next: next})
	}, s.impossible("slices"))
	s.readers = append(s.readers, r)
}

// withRecipients reads what stands in the store until the store answers.
func (x *sender) withRecipients(e *record.Envelope, then func(*record.Envelope)) {
	w, s, project := x.s.p.w, e.GetSlice(), tocsin.ProjectID(e.Project)
	if s.Stored == nil || len(s.Recipients) > 0 {
		then(e)
		return
	}
	x.s.p.after(w.between(0, 4*time.Millisecond), "list", func() {
		if w.chance(10) {
			x.withRecipients(e, then)
			return
		}
		list, err := audience.StoredExplicit(background, w.store, project, s.Stored, x.s.shard)
		if err != nil {
			w.broken("L2", "%v", err)
			return
		}
		whole := proto.CloneOf(e)
		whole.GetSlice().Recipients = list
		then(whole)
	})
}

// everybody is whom a send to all would go to on a shard.
func everybody(shard *audience.Shard, project tocsin.ProjectID, at time.Time, cut audience.Cut) audience.Audience {
	a, err := shard.Evaluate(context.Background(), project, nil, at, cut)
	if err != nil {
		panic(err) // nothing is read, and the context never ends
	}
	return a
}

func (x *sender) evaluate(position uint64, whole *record.Envelope) {
	slice, project := whole.GetSlice(), tocsin.ProjectID(whole.Project)
	due := time.Unix(0, slice.Due)
	var a audience.Audience
	if len(slice.Query) > 0 {
		a = everybody(x.s.audience, project, due, audience.CutOf(slice))
	} else {
		a, _ = x.s.audience.Explicit(project, slice.Recipients, due, audience.CutOf(slice))
	}
	out := fanout.Evaluated{Slice: position, Generation: a.Generation, Changes: a.Applied, Unknown: a.Unknown, Content: whole}
	for _, lot := range a.Lots {
		credential := x.s.p.w.project(project).credential(lot.Provider)
		route := &record.Route{Provider: uint32(lot.Provider), Credential: credential.id.Bytes(), Host: lot.Host, Topic: lot.Topic}
		all := lot.Ordinals.ToArray()
		for len(all) > 0 { // small parts, so that opens have several chunks
			n := min(30, len(all))
			data, err := roaring.BitmapOf(all[:n]...).ToBytes()
			if err != nil {
				panic(err)
			}
			out.Lots = append(out.Lots, &record.Lot{Route: route, Bucket: uint32(lot.Bucket), Ordinals: data, Count: uint32(n)})
			all = all[n:]
		}
	}
	x.fanoutStep(out)
}

func (w *World) project(id tocsin.ProjectID) *project { return w.projects[int(id[0])-1] }

func (w *World) subject(r provider.Route) *credential {
	return w.projects[int(r.Credential[0])-1].credential(r.Provider)
}

// toPace fills in what the shell knows and steps the governor of the process. A
// process may have a shard twice in its life: tickets carry the seat.
func (s *seat) toPace(e pace.Event) {
	p, w := s.p, s.p.w
	switch ask := e.(type) {
	case pace.Drop:
		ask.Ticket.ID |= s.number << 32
		e = ask
	case pace.Ask:
		ask.Ticket.ID |= s.number << 32
		c := w.subject(ask.Route)
		ask.Subject = c.subject
		if !p.quotas[c.subject] {
			p.quotas[c.subject] = true
			p.paceEffects(p.pace.Step(w.now, pace.Configured{Subject: c.subject, Quota: c.quota, Ramp: c.ramp()}))
		}
		if !p.routes[ask.Route] {
			p.routes[ask.Route] = true
			route := ask.Route
			p.ordered = append(p.ordered, route)
			p.after(w.between(0, 20*time.Millisecond), "connected", func() {
				p.paceEffects(p.pace.Step(w.now, pace.Capacity{Route: route, N: 64}))
			})
		}
		e = ask
	case pace.Finished:
		c := w.subject(ask.Route)
		if ask.Throttled > 0 && ask.RetryAfter > 0 {
			l := p.limit(c.subject)
			l.heard, l.paused = w.now, later(l.paused, w.now.Add(ask.RetryAfter))
		}
		e = ask
	}
	p.paceEffects(p.pace.Step(w.now, e))
}

func (p *process) paceEffects(effects []pace.Effect) {
	for _, effect := range effects {
		switch e := effect.(type) {
		case pace.Grant:
			p.granted(e)
		case pace.Quiet:
			p.quiet(e)
		case pace.Wake:
			p.paceAt++
			at := p.paceAt
			p.after(max(0, e.At.Sub(p.w.now)), "pace tick", func() {
				if at == p.paceAt {
					p.paceEffects(p.pace.Step(p.w.now, pace.Tick{}))
				}
			})
		}
	}
}

func (p *process) granted(g pace.Grant) {
	p.grantable(g)
	if g.Waited > 0 && p.w.subject(g.Route).quota > 0 {
		p.w.reach(quotaReached)
	}
	s := p.all[g.Ticket.ID>>32]
	g.Ticket.ID &= 1<<32 - 1
	p.after(0, "granted", func() { s.fanoutStep(fanout.Granted{Grant: g}) })
}

// quiet tells every seat, as the shell does of every owner.
func (p *process) quiet(e pace.Quiet) {
	for _, route := range p.ordered {
		if p.w.subject(route).subject != e.Subject {
			continue
		}
		for _, s := range p.all {
			p.after(0, "quiet", func() { s.fanoutStep(fanout.Quiet{Route: route, Until: p.wall().Add(e.Until.Sub(p.w.now))}) })
		}
	}
}

// grantable holds the part of law L7 that is about waiting: Retry-After.
func (p *process) grantable(g pace.Grant) {
	c := p.w.subject(g.Route)
	l := p.limit(c.subject)
	if p.w.now.Before(l.paused) {
		p.w.broken("L7", "a grant on %s %v before Retry-After was over", c.subject, l.paused.Sub(p.w.now))
	}
}

// writable holds the same where bytes leave: not what the answers that were
// heard in this instant come too late for. The wait is told in time of day.
func (p *process) writable(r provider.Route) {
	c := p.w.subject(r)
	l := p.limit(c.subject)
	if p.w.now.Before(l.paused) && p.w.now.After(l.heard) && !p.w.stepped {
		p.w.broken("L7", "a write on %s %v before Retry-After was over, which was heard %v ago", c.subject, l.paused.Sub(p.w.now), p.w.now.Sub(l.heard))
	}
}

// limits is what a process may do on a quota subject.
type limits struct {
	heard, paused time.Time
}

func (p *process) limit(subject string) *limits {
	if p.limits[subject] == nil {
		p.limits[subject] = &limits{}
	}
	return p.limits[subject]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
