package audience

import (
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// arrive takes what another shard sent, unless it is a repeat.
func (p *project) arrive(by origin, a *record.Arrive) {
	if from := tocsin.Shard(a.From); a.Number > p.moves.had[from] {
		p.moves.had[from] = a.Number
	} else {
		return
	}
	from := origin{a.Position, a.At, a.Names, by.here, by.now}
	switch {
	case a.State != nil:
		p.settle(from, tocsin.Shard(a.From), a.State)
	case a.Change != nil:
		p.change(from, a.Change)
	default:
		p.forget(tocsin.SubscriptionID(a.Forget))
	}
}

// settle takes in a subscription that comes from another shard. If its address
// was registered here later, it is superseded, and does not come to life.
func (p *project) settle(from origin, shard tocsin.Shard, s *record.State) {
	u, id := s.Upsert, tocsin.SubscriptionID(s.Upsert.Subscription)
	since := s.Since + 1 // whoever gives it away has it as the older one
	ordinal, known := p.ordinal(id)
	alive := known && p.live.Contains(ordinal)
	if known {
		delete(p.moves.departing, ordinal)
		p.stays(ordinal) // also if it stays dead
	}
	if other, held := p.holder(tocsin.Provider(u.Provider), u.Address); held && (!alive || other != ordinal) {
		if claimOf(p, other).after(claim{since, id, p.moves.shard}) {
			return
		}
	}
	if alive && p.rows.since.At(ordinal) >= since {
		p.fill(from.now, ordinal, from.edition, s)
		p.lookFor(ordinal, true) // each of two may have been given to the other
		return
	}
	came := arrival{from: shard, position: from.here, owed: true}
	if !known {
		ordinal = p.add(id)
	} else if !alive {
		came.left = p.revive(ordinal)
	}
	p.register(s.Version, ordinal, alive, routeOf(u), u)
	r := &p.rows
	r.version.Set(ordinal, s.Version)
	r.vouched.Set(ordinal, s.Vouched)
	r.since.Set(ordinal, since)
	r.active.Set(ordinal, max(r.active.At(ordinal), seconds(u.Active)))
	if !alive {
		r.created.Set(ordinal, s.Created)
		p.moves.arrived[ordinal] = came
		p.moves.arrivals = append(p.moves.arrivals, passage{ordinal, from.here, from.now})
	}
	setAll(p.known, ordinal, p.names.attributes(from.edition, u.Attributes), p.names.tags(from.edition, u.Tags))
	p.setFields(ordinal, u)
	p.belong(ordinal, u.Profile, !alive)
	p.did(ordinal, s.Deeds)
	p.hadOpened(from.now, ordinal, s.Opened)
	p.cameFrom(ordinal, s.Places)
	p.mark(ordinal)
	p.optIn(ordinal, u.GetOptedIn())
	p.lookFor(ordinal, true)
}

// fill gives a subscription what is known of it elsewhere and not here.
func (p *project) fill(now int64, ordinal uint32, edition uint64, s *record.State) {
	u := s.Upsert
	attributes := slices.DeleteFunc(slices.Clone(p.names.attributes(edition, u.Attributes)), func(a *record.Attribute) bool {
		_, has := p.known.Column(a.Name).Get(ordinal)
		return has
	})
	have := map[string]bool{}
	for name := range p.known.TagSets(ordinal) {
		have[name] = true
	}
	tags := slices.DeleteFunc(slices.Clone(p.names.tags(edition, u.Tags)), func(t *record.TagSet) bool { return have[t.Name] })
	setAll(p.known, ordinal, attributes, tags)
	p.did(ordinal, s.Deeds)
	p.hadOpened(now, ordinal, s.Opened)
	p.cameFrom(ordinal, s.Places)
	p.mark(ordinal)
	p.touch(ordinal)
	if !u.GetOptedIn() {
		p.optIn(ordinal, false)
	}
}

// leave takes what is durable on another shard out of the outbox, and ends the
// stay of the subscriptions among it.
func (p *project) leave(from origin, l *record.Leave) {
	to := tocsin.Shard(l.To)
	p.moves.outbox = slices.DeleteFunc(slices.Clone(p.moves.outbox), func(x Message) bool { return x.To == to && x.Arrive.Number <= l.Number })
	for _, ordinal := range slices.Sorted(maps.Keys(p.moves.departing)) {
		if d := p.moves.departing[ordinal]; d.to != to || d.number > l.Number {
			continue
		}
		delete(p.moves.departing, ordinal)
		p.goneTo(ordinal, to)
		came := p.moves.arrived[ordinal]
		delete(p.moves.arrived, ordinal)
		if !p.reachable.Contains(ordinal) {
			p.detach(ordinal)
			p.empty(ordinal)
			continue
		}
		p.detach(ordinal)
		p.moves.left[ordinal] = departed{from.here, came}
		p.moves.leavings = append(p.moves.leavings, passage{ordinal, from.here, from.now})
	}
}

// departs is called for a live subscription that is deleted.
func (p *project) departs(ordinal uint32) {
	if d, ok := p.moves.departing[ordinal]; ok { // deleted there too, by the change that deletes it here
		delete(p.moves.departing, ordinal)
		p.goneTo(ordinal, d.to)
	}
	p.tell(ordinal)
	delete(p.moves.arrived, ordinal)
}

// tell says to the shard that a subscription came from of late that nothing is
// to leave there any more for what it kept: it opted out here, or was deleted.
func (p *project) tell(ordinal uint32) {
	came, ok := p.moves.arrived[ordinal]
	if !ok || !came.owed {
		return
	}
	came.owed = false
	p.moves.arrived[ordinal] = came
	id := p.rows.ids.At(ordinal)
	p.owe(came.from, origin{}, &record.Arrive{Forget: id[:]})
}

// forget lets go of what stayed of a subscription that has left, or is leaving.
func (p *project) forget(id tocsin.SubscriptionID) {
	ordinal, known := p.ordinal(id)
	if !known {
		return
	}
	if _, leaving := p.moves.departing[ordinal]; leaving {
		p.optIn(ordinal, false)
	}
	p.revive(ordinal)
}

// revive empties the row of one that has left for whoever comes to it next, and
// returns the position at which it left; 0 when it kept nothing. Where it went
// is forgotten only by who comes.
func (p *project) revive(ordinal uint32) (left uint64) {
	d, kept := p.moves.left[ordinal]
	if !kept {
		return 0
	}
	delete(p.moves.left, ordinal)
	p.empty(ordinal)
	return d.position
}
