package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
)

// mover plays the shell of the audience's Mover and Directory.
type mover struct {
	s         *seat
	mover     *audience.Mover
	moverAt   uint64 // the wake that counts
	directory *audience.Directory
	looking   bool
}

func newMover(s *seat) *mover {
	return &mover{s: s, mover: audience.NewMover(), directory: audience.NewDirectory(s.shard)}
}

// moved is called when the audience has applied more.
func (x *mover) moved() {
	x.moverStep(audience.Pending{Outbox: x.s.audience.Outbox()})
	x.lookOn()
}

func (x *mover) lookOn() {
	if x.looking {
		return
	}
	const most = 20
	if page := x.s.audience.Fresh(most); page.Entries > 0 {
		x.looking = true
		x.s.p.after(x.s.p.w.between(0, 20*time.Millisecond), "registered", func() { x.directoryStep(audience.Registered{Page: page}) })
	}
}

func (x *mover) moverStep(e audience.MoverEvent) {
	s, w := x.s, x.s.p.w
	if s.revoked {
		return
	}
	for _, effect := range x.mover.Step(s.p.wall(), e) {
		switch e := effect.(type) {
		case audience.Bring:
			bodies, scopes := audience.Records(e.Messages)
			s.p.append(w.log(journalChanges, e.To), s.stamped(bodies, scopes), func(ok bool) { x.moverStep(audience.Brought{Bring: e, Failed: !ok}) })
		case audience.Depart:
			w.reach(departed)
			bodies, scopes := audience.Leaves(e)
			s.p.append(w.log(journalChanges, s.shard), s.stamped(bodies, scopes), func(ok bool) { x.moverStep(audience.Left{Depart: e, Failed: !ok}) })
		case audience.MoverWake:
			x.moverAt++
			at := x.moverAt
			s.p.after(max(0, e.At.Sub(s.p.wall())), "mover tick", func() {
				if at == x.moverAt {
					x.moverStep(audience.MoverTick{})
				}
			})
		}
	}
}

// stamped gives records an identity; each append has a writer of its own.
func (s *seat) stamped(bodies []*record.Envelope, scopes []record.Scope) []*record.Envelope {
	writer := record.NewWriter(s.p.w.newID())
	for i, body := range bodies {
		bodies[i] = writer.Next(body, s.p.wall(), scopes[i])
	}
	return bodies
}

func (x *mover) directoryStep(e audience.DirectoryEvent) {
	s, w := x.s, x.s.p.w
	if s.revoked {
		return
	}
	switch e := x.directory.Step(s.p.wall(), e).(type) {
	case audience.Look:
		ends := w.ends()
		s.p.after(w.between(0, 10*time.Millisecond), "looked", func() {
			all, ok := w.upTo(ends)
			var rivals []ask.Rival
			for i := range all {
				if i != int(s.shard) {
					rivals = append(rivals, all[i].Rivals(e.Page)...)
				}
			}
			x.directoryStep(audience.Looked{Rivals: rivals, Failed: !ok})
		})
	case audience.Decide:
		w.reach(superseded)
		body := &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: e.Changes}}}
		s.p.append(w.log(journalChanges, e.Shard), s.stamped([]*record.Envelope{body}, []record.Scope{e.Scope}), func(ok bool) {
			x.directoryStep(audience.Decided{Failed: !ok})
		})
	case audience.RetryAt:
		s.p.after(max(0, e.At.Sub(s.p.wall())), "directory tick", func() { x.directoryStep(audience.DirectoryTick{}) })
	case audience.Settled:
		s.audience.Checked(e.Page)
		x.looking = false
		x.lookOn()
	}
}

// upTo are the audiences of all shards, of whoever has them, once they have
// applied what lies below some ends; not ok: one of them has not, or nobody has it.
func (w *World) upTo(ends []uint64) (all []*audience.Shard, ok bool) {
	for i, p := range w.seats {
		if p.incarnation == 0 || p.paused || p.seats[i] == nil || p.seats[i].audience.Applied() < ends[i] {
			return nil, false
		}
		all = append(all, p.seats[i].audience)
	}
	return all, true
}

// asking repeats a request about a person until it is answered. It looks at the
// audiences as they are when it arrives, appends what make says, or is refused when
// that is nothing, and is answered once no shard has anything of the person for another, as the API does.
func (w *World) asking(p *project, x *person, make func(all []*audience.Shard, now time.Time) (tocsin.Shard, []*record.Change), done, refused func()) {
	answered := false
	var try func()
	try = func() {
		if answered {
			return
		}
		w.after(900*time.Millisecond, "client repeats", func() {
			if !answered {
				x.unsure = true // what was asked may come later too
				try()
			}
		})
		by := w.processes[w.random.IntN(len(w.processes))]
		if by.incarnation == 0 {
			return
		}
		w.freshly(by, w.ends(), func(all []*audience.Shard) {
			shard, changes := make(all, by.wall())
			if len(changes) == 0 {
				if !answered {
					answered = true
					refused()
				}
				return
			}
			e := record.NewWriter(w.newID()).Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}}, by.wall(), p.scope())
			by.append(w.log(journalChanges, shard), []*record.Envelope{e}, func(ok bool) {
				if !ok {
					x.unsure = true
				} else {
					w.settledFor(by, p, x, 0, func() {
						if !answered {
							answered = true
							done()
						}
					})
				}
			})
		})
	}
	try()
}

// freshly waits until all shards have applied what lies below some ends.
func (w *World) freshly(by *process, ends []uint64, then func([]*audience.Shard)) {
	by.after(w.between(0, 6*time.Millisecond), "fresh", func() {
		if all, ok := w.upTo(ends); ok {
			then(all)
		} else {
			by.after(10*time.Millisecond, "not fresh", func() { w.freshly(by, ends, then) })
		}
	})
}

func (w *World) settledFor(by *process, p *project, x *person, quiet int, then func()) {
	w.freshly(by, w.ends(), func(all []*audience.Shard) {
		quiet++
		for _, shard := range all {
			if shard.Owes(p.id, x.id) {
				quiet = 0
			}
		}
		if quiet == 2 {
			then()
			return
		}
		by.after(w.between(0, 5*time.Millisecond), "on its way", func() { w.settledFor(by, p, x, quiet, then) })
	})
}

// identify gives a person another key.
func (w *World) identify(p *project, x *person, key string) {
	to := tocsin.ShardOf(p.id, key, w.options.Shards)
	x.moving, x.movedFrom = true, w.now
	if to != x.shard {
		w.reach(movedAcross)
	}
	w.asking(p, x, func(all []*audience.Shard, _ time.Time) (tocsin.Shard, []*record.Change) {
		for i, shard := range all {
			if found, ok := shard.Find(p.id, x.id); ok && found.Live {
				return tocsin.Shard(i), []*record.Change{{Change: &record.Change_Move{Move: &record.Move{Subscription: x.id.Bytes(), Profile: key, Shard: uint32(to)}}}}
			}
		}
		return 0, nil
	}, func() {
		x.key, x.shard, x.moving, x.movedTo = key, to, false, w.now
		for i, shard := range w.livesOn(p, x) {
			if !x.unsure && int(to) != i && shard != nil { // else an older request came later
				w.broken("identify", "person %d of project %d has key %s by now and lives on shard %d as %s", x.number, p.number, key, i, shard.Profile)
			}
		}
	}, func() { x.moving, x.unsure, x.movedTo = false, true, w.now })
}

// livesOn are the live subscriptions of a person, by shard, as the owners see them.
func (w *World) livesOn(p *project, x *person) []*ask.Subscription {
	found := make([]*ask.Subscription, w.options.Shards)
	for i, by := range w.seats {
		if by.incarnation == 0 || by.seats[i] == nil {
			continue
		}
		if one, ok := by.seats[i].audience.Find(p.id, x.id); ok && one.Live {
			found[i] = &one
		}
	}
	return found
}

// place finds where a change goes, as api does.
func place(all []*audience.Shard, project tocsin.ProjectID, u *record.Upsert, now time.Time) (audience.Placed, bool) {
	shards := make(ask.Shards, len(all))
	for i, s := range all {
		shards[i].Audience = audience.Answers{Shard: s}
	}
	found, err := audience.Seek(context.Background(), shards, project, u)
	if err != nil {
		panic(err) // they are in memory
	}
	return found.Place(0, u, nil, now)
}

// share lets a person register the address of another, as when a phone changes
// hands.
func (w *World) share(p *project, x, y *person) {
	x.blocking = true // his goes, unless the other is deleted first
	y.borrowed, y.moving, y.movedFrom = x.address(), true, w.now
	w.asking(p, y, func(all []*audience.Shard, now time.Time) (tocsin.Shard, []*record.Change) {
		u := y.upsert(w.now).GetUpsert()
		at, ok := place(all, p.id, u, now)
		if !ok {
			return 0, nil
		}
		return at.Shard, at.Changes(u)
	}, func() { y.moving, y.movedTo = false, w.now }, nil)
}

// unsettled names somebody whose request has no answer.
func (w *World) unsettled() string {
	for _, p := range w.projects {
		for _, x := range p.people {
			if x.moving {
				return fmt.Sprintf("person %d of project %d has no answer", x.number, p.number)
			}
		}
	}
	return ""
}

// judgeMoves holds that everybody lives where he belongs and nowhere else, and
// that an address has one live subscription.
func (w *World) judgeMoves() {
	for _, p := range w.projects {
		holders := map[string]int{}
		for _, x := range p.people {
			lives := 0
			for i, one := range w.livesOn(p, x) {
				if one == nil {
					continue
				}
				lives++
				if !x.unsure && (i != int(x.shard) || one.Profile != x.key) {
					w.broken("identify", "person %d of project %d is %s on shard %d, and lives on %d as %s", x.number, p.number, x.key, x.shard, i, one.Profile)
				}
				holders[string(one.Address)]++
				if x.optedOut && one.OptedIn {
					w.broken("identify", "person %d of project %d opted out, and moved, and is opted in", x.number, p.number)
				}
			}
			if lives > 1 {
				w.broken("identify", "person %d of project %d lives on %d shards", x.number, p.number, lives)
			}
		}
		for _, n := range holders {
			if n > 1 {
				w.broken("directory", "%d live subscriptions of project %d have one address", n, p.number)
			}
		}
	}
}

// counted is an entry of a send's audience.
type counted struct {
	shard  tocsin.Shard
	moved  bool // it says so, or it did not come to that
	number int
}

// twice holds that somebody stands in an audience twice only if the send was
// asked for while a move of his was not answered, and that one of the entries
// says that he moved.
func (w *World) judgeTwice(r *request, x *person, entries []counted) {
	if len(entries) < 2 {
		return
	}
	w.reach(countedTwice)
	listed := false
	for _, e := range entries {
		listed = listed || e.moved
	}
	switch {
	case x.movedFrom.IsZero() || !x.moving && r.asked.After(x.movedTo):
		w.broken("moved", "%s has person %d twice, who was not about to move", r.key, x.number)
	case !listed:
		w.broken("moved", "%s has person %d twice, and says of neither that he moved", r.key, x.number)
	}
}
