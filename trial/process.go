package trial

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// process is one machine room: its memory ends with a crash, and its events
// wait while it is paused.
type process struct {
	w           *World
	number      int
	incarnation uint64 // 0 while dead
	paused      bool
	wokenAt     time.Time
	stalled     []slot
	offset      time.Duration // of its clock
	flights     []*flight

	pace    *pace.Machine
	paceAt  uint64 // the Wake that counts
	routes  map[provider.Route]bool
	ordered []provider.Route // the same, as they came
	quotas  map[string]bool
	limits  map[string]*limits // by subject, for L7
	seats   []*seat            // by shard; nil where it has none
	all     []*seat            // that it ever had in this life
}

// wall is what the process reads from its clock.
func (p *process) wall() time.Time { return p.w.now.Add(p.offset) }

// after lets something happen in this life of the process: not after a crash,
// and not while it is paused.
func (p *process) after(d time.Duration, what string, do func()) {
	p.w.schedule(d, slot{what: what, do: do, life: p, inc: p.incarnation})
}

// run lets happen what was scheduled.
func (s slot) run() {
	switch {
	case s.life == nil:
		s.do()
	case s.inc == 0 || s.life.incarnation != s.inc:
	case s.life.paused:
		s.life.stalled = append(s.life.stalled, s)
	default:
		s.do()
	}
}

func (p *process) start() {
	p.incarnation = p.w.newID()
	p.paused, p.stalled, p.flights = false, nil, nil
	c := pace.Default()
	c.Probe, c.ProbeMost, c.Slow, c.SlowMost = 500*time.Millisecond, 2*time.Second, 200*time.Millisecond, 2*time.Second
	p.pace = pace.New(c)
	p.paceEffects(p.pace.Step(p.w.now, pace.Started{}))
	p.ordered = nil
	p.routes, p.quotas, p.limits = map[provider.Route]bool{}, map[string]bool{}, map[string]*limits{}
	p.seats = make([]*seat, p.w.options.Shards)
	p.all = nil
}

// crash ends everything in memory; what was on its way to the disk is torn.
func (p *process) crash() {
	if p.incarnation == 0 {
		return
	}
	for _, s := range p.seats {
		if s != nil && s.fanout.Held() > 0 {
			p.w.reach(takeoverClaimed)
		}
		if s != nil {
			s.stopReaders()
		}
	}
	p.tear()
	p.incarnation, p.paused, p.stalled = 0, false, nil
}

// pause stops the process in the middle of whatever it does.
func (p *process) pause() { p.paused = p.incarnation != 0 }

// wake lets it go on, late, with what it had in hand.
func (p *process) wake() {
	if !p.paused {
		return
	}
	p.paused, p.wokenAt = false, p.w.now
	for shard, s := range p.seats {
		if s != nil && p.w.seats[shard] != p {
			p.w.reach(wokenOwner)
		}
	}
	stalled := p.stalled
	p.stalled = nil
	for i, late := range stalled {
		if p.paused { // again, by one of them
			p.stalled = append(p.stalled, stalled[i:]...)
			return
		}
		late.run()
	}
}

// seat is what a process runs for one shard that it was given.
type seat struct {
	p        *process
	shard    tocsin.Shard
	number   uint64 // among those of its process
	audience *audience.Shard
	readers  []*reader
	revoked  bool
	*sender
	*planner
	*counter
	*mover
}

// assign gives a shard to a process. Whoever had it learns of it elsewhere.
func (w *World) assign(shard tocsin.Shard, p *process) {
	w.seats[shard] = p
	if p.incarnation == 0 || p.seats[shard] != nil {
		return
	}
	s := &seat{p: p, shard: shard, number: uint64(len(p.all)), audience: audience.NewShard(shard)}
	p.all = append(p.all, s)
	p.seats[shard] = s
	s.readers = append(s.readers, p.follow(w.log(journal.Changes, shard), 0, s.changed, s.impossible("changes")))
	s.planner = newPlanner(s)
	s.counter = newCounter(s)
	s.sender = newSender(s)
	s.mover = newMover(s)
	s.planner.begin()
	s.counter.begin()
	s.sender.begin()
	w.repeatTake(s)
}

// repeatTake appends the last take once more, as an engine does that repeats
// what it did not hear back of: the new owner's readers start above it.
func (w *World) repeatTake(s *seat) {
	if !w.repeat[s.shard] {
		return
	}
	l := w.log(journal.Ledger, s.shard)
	for i := len(l.kept) - 1; i >= 0; i-- {
		take := l.kept[i]
		if take.Envelope.GetTake() == nil {
			continue
		}
		w.repeat[s.shard] = false
		_, planned := s.plan.Cursors()
		above := planned > take.Position || s.receipt.Cursor() > take.Position || uint64(s.sender.ledger.next) > take.Position
		data := record.Encode(take.Envelope)
		w.after(w.between(0, 10*time.Millisecond), "take repeated", func() {
			if above {
				w.reach(takeForgotten)
			}
			w.apply(l, [][]byte{data})
		})
		return
	}
}

// unseat tells a process that a shard is not its own any more.
func (s *seat) unseat() {
	if s.p.seats[s.shard] != s {
		return
	}
	s.stopReaders()
	s.revoked = true
	s.p.seats[s.shard] = nil
}

func (s *seat) stopReaders() {
	for _, r := range s.readers {
		r.stopped = true
	}
}

// impossible is what happens when a log is trimmed below what a reader that
// holds its cursor still needs.
func (s *seat) impossible(what string) func() {
	return func() {
		if s.p.w.seats[s.shard] == s.p {
			s.p.w.broken("trim", "%s of shard %d was trimmed before it was read", what, s.shard)
		}
	}
}

// changed applies the audience's log.
func (s *seat) changed(records []journal.Entry, next uint64) {
	for _, r := range records {
		if err := s.audience.Apply(r.Position, r.Envelope); err != nil {
			s.p.w.broken("audience", "%v", err)
			return
		}
	}
	s.audience.Advance(next)
	s.applied(next)
	s.moved()
}
