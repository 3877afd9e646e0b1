package trial

import (
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/record"
)

// kind is a fault that can be drawn.
type kind int

const (
	none kind = iota

	// of the engines
	appendLost
	appendLate
	appendRepeated
	appendUnanswered
	appendTorn
	takeRepeated
	storeLost
	storeUnanswered

	// of processes
	crash
	crashAll
	pausedOwner
	takeover
	handover
	clockStep
	slowAudience

	// of providers
	resetUnread
	goaway
	credentialRefused
	throttledQuota
	throttledPush
	unavailable
	answerLost
	slow

	// of people and clients
	goneAddress
	goneAgain
	optOut
	erase
	cancelSend
	steerSend
	identifies
	logsOut
	sharesAddress

	kinds
)

var kindNames = [kinds]string{"none", "append lost", "append late", "append repeated", "append unanswered", "append torn", "take repeated", "store write lost",
	"store write unanswered", "crash", "crash of all", "paused owner", "takeover", "hand-over", "clock step", "slow audience", "reset unread",
	"GOAWAY", "credential refused", "429 of the quota", "429 of a push", "503", "answer lost", "slow provider", "address gone",
	"address gone and registered again", "opt-out", "erased", "cancel", "steered", "identified", "logged out", "address shared"}

// state is a fault that was met or a rare state that was reached.
type state int

const (
	takeoverClaimed state = state(kinds) + iota
	wokenOwner
	tornOpen
	retryCancelled
	retryExpired
	unprocessedStreams
	goneAfterAgain
	tornTail
	trimmedOwner
	acceptedTwice
	openWithClaim
	keyRepeated
	keyMismatch
	cancelled
	cancelledUnopened
	skippedDoubt
	takeForgotten
	quotaReached
	rateHeld
	pauseHeld
	packed
	listReadAgain
	movedAcross
	departed
	superseded
	countedTwice
	states
)

var stateNames = [...]string{"takeover with granted unsettled ranges", "woken old owner", "torn open", "retry meeting cancel",
	"retry past time to live", "GOAWAY with unprocessed streams", "gone after registering again", "torn tail", "owner behind a trim",
	"accepted twice", "open and claim in one record", "key repeated", "key with another body", "acknowledged cancel", "cancel before open",
	"doubt with skip", "take repeated after a restart from a snapshot above it", "wait for a quota", "more than ten pushes at a rate", "pause beyond the time to obey it",
	"small send packed", "recipients read from the store by another owner",
	"move to another shard", "left after arriving", "superseded or joined", "counted twice while moving"}

func fault(k kind) state { return state(k) }

// Name of a fault or a rare state.
func Name(s int) string {
	if s < int(kinds) {
		return kindNames[s]
	}
	return stateNames[s-int(kinds)]
}

// engineFault draws one of the faults that are due, and uses it up.
func (w *World) engineFault(of ...kind) kind {
	for _, k := range of {
		if w.faulty[k] > 0 && w.chance(4) {
			w.faulty[k]--
			w.reach(fault(k))
			return k
		}
	}
	return none
}

// plot draws when what happens.
func (w *World) plot() {
	for n := range 5 {
		r := w.newRequest(n)
		w.sends = append(w.sends, r)
		w.after(w.between(50*time.Millisecond, 2500*time.Millisecond), "launch", func() { r.launch(w) })
	}
	for range w.options.Faults {
		k := kind(1 + w.random.IntN(int(kinds)-1))
		w.after(w.between(20*time.Millisecond, troubled/2), "fault", func() { w.strike(k) })
	}
	w.after(w.between(time.Second, 3*time.Second), "trim", w.trim)
	w.after(healed, "healing", w.heal)
}

// victim is a process that lives, nil when there is none.
func (w *World) victim() *process {
	start := w.random.IntN(len(w.processes))
	for i := range w.processes {
		if p := w.processes[(start+i)%len(w.processes)]; p.incarnation != 0 {
			return p
		}
	}
	return nil
}

func (w *World) strike(k kind) {
	w.mark(kindNames[k], nil)
	p := w.victim()
	shard := tocsin.Shard(w.random.IntN(w.options.Shards))
	switch k {
	case appendLost, appendLate, appendRepeated, appendUnanswered, appendTorn, storeLost, storeUnanswered:
		w.faulty[k] += 1 + w.random.IntN(3)
		return // reached when met
	case resetUnread, goaway, throttledQuota, throttledPush, unavailable, answerLost, slow:
		until := w.now.Add(w.between(100*time.Millisecond, 2*time.Second))
		w.provider.trouble[k] = later(w.provider.trouble[k], until)
		return // reached when met
	case takeRepeated: // to whoever gets the shard next
		w.repeat[shard] = true
		if w.chance(2) {
			w.handover(shard)
		} else {
			w.crash(w.seats[shard])
		}
	case crash:
		if p != nil {
			w.crash(p)
		}
	case crashAll:
		for _, p := range w.processes {
			w.crash(p)
		}
	case pausedOwner:
		if p = w.seats[shard]; p != nil && p.incarnation != 0 && !p.paused {
			p.pause()
			w.after(w.between(100*time.Millisecond, 3*time.Second), "wake", p.wake)
			if !w.chance(3) {
				w.after(w.between(20*time.Millisecond, 300*time.Millisecond), "takeover", func() { w.takeover(shard) })
			}
		}
	case takeover:
		w.takeover(shard)
	case handover:
		w.handover(shard)
	case clockStep:
		if p != nil {
			w.stepped = true
			p.offset = w.between(-skew/4, skew/4)
		}
	case slowAudience:
		if p = w.seats[shard]; p != nil && p.incarnation != 0 && p.seats[shard] != nil {
			p.seats[shard].readers[0].lag = w.now.Add(w.between(200*time.Millisecond, 1500*time.Millisecond))
		}
	case credentialRefused:
		c := w.projects[w.random.IntN(2)].credentials[w.random.IntN(2)]
		c.refused = true
		w.after(w.between(500*time.Millisecond, 4*time.Second), "replaced", func() { w.replace(c) })
		return // reached when met
	case identifies, logsOut, sharesAddress:
		w.restless = w.restless || k == identifies
		for range 6 {
			w.after(w.between(0, 2*time.Second), "somebody", func() { w.somebody(k) })
		}
	case goneAddress, goneAgain, optOut, erase:
		for range 5 {
			w.unsettle(k)
		}
	case cancelSend:
		r := w.sends[w.random.IntN(len(w.sends))]
		if !r.cancel {
			r.cancel = true
			r.stop(w)
		}
	case steerSend:
		if r := w.sends[w.random.IntN(3)]; len(r.steers) == 0 {
			r.steer(w)
		}
	}
	w.reach(fault(k))
}

// unsettle lets somebody go, or change.
func (w *World) unsettle(k kind) {
	p := w.projects[w.random.IntN(2)]
	x := p.people[w.random.IntN(w.options.Recipients)]
	if x.blocking || x.dead {
		return
	}
	switch k {
	case goneAddress:
		x.dead = true
		w.provider.gone[string(x.address())] = gone{w.now}
	case goneAgain:
		// The app was installed anew: the old address is dead, another lives.
		x.dead, x.moved = true, true
		w.provider.gone[string(x.address())] = gone{w.now}
		w.after(w.between(0, 2*time.Second), "registers again", func() {
			if w.chance(4) { // the same address came back to life
				delete(w.provider.gone, string(x.address()))
			} else {
				x.addresses++
			}
			w.asking(p, x, w.registering(p, x), func() { x.again = true }, nil)
		})
	case optOut, erase:
		x.blocking = true
		c := &record.Change{Change: &record.Change_OptIn{OptIn: &record.OptIn{Subscription: x.id.Bytes()}}}
		if k == erase {
			c = &record.Change{Change: &record.Change_Delete{Delete: &record.Delete{Subscription: x.id.Bytes()}}}
		}
		w.asking(p, x, func(all []*audience.Shard, _ time.Time) (tocsin.Shard, []*record.Change) {
			for i, shard := range all {
				if found, ok := shard.Find(p.id, x.id); ok && found.Live {
					return tocsin.Shard(i), []*record.Change{c}
				}
			}
			return x.shard, []*record.Change{c} // it is gone already
		}, func() {
			x.blocked, x.optedOut = w.now, k == optOut
			l := w.log(journalChanges, x.shard)
			for _, e := range l.kept {
				for _, c := range e.Envelope.GetChanges().GetChanges() {
					o, d := c.GetOptIn(), c.GetDelete()
					if x.blockedAt == 0 && (o != nil && string(o.Subscription) == string(x.id[:]) || d != nil && string(d.Subscription) == string(x.id[:])) {
						x.blockedAt = e.Position
					}
				}
			}
		}, nil)
	}
}

// registering is a registration of the person's address.
func (w *World) registering(p *project, x *person) func([]*audience.Shard, time.Time) (tocsin.Shard, []*record.Change) {
	return func(all []*audience.Shard, now time.Time) (tocsin.Shard, []*record.Change) {
		u := x.upsert(w.now).GetUpsert()
		at, _ := place(all, p.id, u, now)
		return at.Shard, at.Changes(u)
	}
}

// somebody logs in, logs out or gives an address away.
func (w *World) somebody(k kind) {
	p := w.projects[w.random.IntN(2)]
	x, y := p.people[w.random.IntN(w.options.Recipients)], p.people[w.random.IntN(w.options.Recipients)]
	if x.named || x.moving || x.blocking || x.dead || w.healing {
		return
	}
	switch k {
	case identifies:
		w.identify(p, x, fmt.Sprintf("u:again-%d", w.newID()))
	case logsOut:
		w.identify(p, x, audience.AnonymousKey(x.id))
	case sharesAddress:
		if x != y && x.provider == y.provider && !y.named && !y.moving && !y.blocking && !y.dead && y.borrowed == nil && x.borrowed == nil {
			w.share(p, x, y)
		}
	}
}

// crash ends a process; it comes back, or another takes its shards, or both.
func (w *World) crash(p *process) {
	if p.incarnation == 0 {
		return
	}
	p.crash()
	back := w.between(50*time.Millisecond, 1500*time.Millisecond)
	w.after(back, "start", func() {
		if p.incarnation == 0 {
			p.start()
			for shard, owner := range w.seats {
				if owner == p {
					w.assign(tocsin.Shard(shard), p)
				}
			}
		}
	})
	if w.chance(2) {
		w.after(w.between(20*time.Millisecond, 400*time.Millisecond), "takeover", func() {
			for shard, owner := range w.seats {
				if owner == p && p.incarnation == 0 {
					w.takeover(tocsin.Shard(shard))
				}
			}
		})
	}
}

// takeover gives a shard to another process; the old owner learns of it late.
func (w *World) takeover(shard tocsin.Shard) {
	old := w.seats[shard]
	p := w.other(old)
	if p == nil || p.seats[shard] != nil {
		return
	}
	if s := old.seats; old.incarnation != 0 && s[shard] != nil {
		seat := s[shard]
		if seat.fanout.Held() > 0 {
			w.reach(takeoverClaimed)
		}
		old.after(w.between(0, 2*time.Second), "revoked", func() {
			if old.seats[shard] == seat {
				seat.fanoutStep(fanout.Revoked{})
				seat.unseat()
			}
		})
	}
	w.assign(shard, p)
}

// other is another process that lives and does not stand still.
func (w *World) other(than *process) *process {
	for _, p := range w.processes {
		if p != than && p.incarnation != 0 && !p.paused {
			return p
		}
	}
	return nil
}

// handover moves a shard with a clean end.
func (w *World) handover(shard tocsin.Shard) {
	old := w.seats[shard]
	if old.incarnation == 0 || old.seats[shard] == nil || old.seats[shard].leaving != nil {
		return
	}
	s := old.seats[shard]
	old.after(0, "leave", func() {
		if old.seats[shard] != s || s.leaving != nil || w.seats[shard] != old {
			return
		}
		s.leaving = func() {
			if w.seats[shard] == old {
				if p := w.other(old); p != nil && p.seats[shard] == nil {
					w.assign(shard, p)
				} else {
					w.assign(shard, old)
				}
			}
		}
		s.fanoutStep(fanout.Leave{})
	})
}

// replace gives a credential that works.
func (w *World) replace(c *credential) {
	if !c.refused {
		return
	}
	c.refused = false
	c.version++
	for _, p := range w.processes {
		p.after(0, "replaced", func() {
			p.paceEffects(p.pace.Step(w.now, pace.Replaced{Credential: c.id}))
			for _, s := range p.seats {
				if s != nil {
					s.planStep(plan.Replaced{Credential: c.id})
				}
			}
		})
	}
}

// heal ends all trouble; from here on backlogs must drain (law L8).
func (w *World) heal() {
	w.faulty = [kinds]int{}
	w.provider.trouble = [kinds]time.Time{}
	for _, p := range w.projects {
		for _, c := range p.credentials {
			w.replace(c)
		}
	}
	for _, p := range w.processes {
		if p.incarnation == 0 {
			p.start()
		}
		p.wake()
	}
	for shard, p := range w.seats {
		w.assign(tocsin.Shard(shard), p)
	}
	for _, r := range w.sends {
		r.free(w)
	}
	w.healing = true
}

// offer is how far plan and receipt no longer need a ledger.
type offer struct{ plan, receipt uint64 }

func (w *World) offer(_ tocsin.Shard, at *uint64, position uint64) { *at = max(*at, position) }

// trim does as node does: below the two snapshots, which are the states that
// plan and receipt have saved, and so below their cursors.
func (w *World) trim() {
	for shard, o := range w.offers {
		l := w.log(journalLedger, tocsin.Shard(shard))
		if err := w.journal.Trim(background, l.key, journalPosition(min(o.plan, o.receipt))); err != nil {
			panic(fmt.Sprint(err))
		}
	}
	w.after(w.between(300*time.Millisecond, 3*time.Second), "trim", w.trim)
}
