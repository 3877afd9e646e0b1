package audience

import (
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// A subscription is on the shard of its profile. One that gets a profile of
// another shard moves, in three records:
//
//  1. Move, in the log of the shard where it is. From here on that shard owes
//     the other one the subscription, as it is at this record, and every change
//     to it that comes behind;
//  2. Arrive, in the log of the other shard: the subscription, and each change;
//  3. Leave, in the log of the first, once the arrivals are durable. Until then
//     the subscription lives on both shards, so that no send misses it.
//
// What is owed follows from the log alone, so a crash between two of them loses
// nothing: who has the shard next owes the same. Arrivals are numbered by the
// shards between which they pass and sent in order; the receiving shard drops
// those that it had, so that repeats, late ones and those of an owner that does
// not know that he is none any more do no harm.
//
// What comes for a subscription after it has left is sent after it. That costs
// a bit for each that ever left.

// Message is an Arrive on its way to a shard.
type Message struct {
	To     tocsin.Shard
	Scope  record.Scope
	Arrive *record.Arrive
}

// origin is the record behind a change: one of this shard's log, or one of the
// log of a shard that sends the change after its subscription.
type origin struct {
	position uint64
	at       int64
	edition  uint64 // of the project's names that its writer knew
	here     uint64 // position in this shard's log ...
	now      int64  // ... and when it was written there
}

// moves is what a project knows of subscriptions on their way, and of addresses
// that may be elsewhere too. Maps of subscriptions are by ordinal.
type moves struct {
	shard     tocsin.Shard            // this one
	outbox    []Message               // not known to be durable where it belongs; replaced, never changed
	sent      map[tocsin.Shard]uint64 // number of the last one for each shard
	had       map[tocsin.Shard]uint64 // number of the last one from each shard
	departing map[uint32]departing
	away      map[tocsin.Shard]*roaring.Bitmap // those that have left, by where they went
	arrived   map[uint32]arrival               // of late
	left      map[uint32]departed              // of late, and still there for sends of before
	arrivals  []passage                        // by position; some are not true any more
	leavings  []passage
	fresh     []fresh // registered addresses that nobody has held against other shards
}

func newMoves(shard tocsin.Shard) moves {
	return moves{shard: shard, sent: map[tocsin.Shard]uint64{}, had: map[tocsin.Shard]uint64{}, departing: map[uint32]departing{},
		away: map[tocsin.Shard]*roaring.Bitmap{}, arrived: map[uint32]arrival{}, left: map[uint32]departed{}}
}

// departing is a live subscription that another shard is to have.
type departing struct {
	to     tocsin.Shard
	number uint64 // of the message that holds it
}

// arrival is how a live subscription came here.
type arrival struct {
	from     tocsin.Shard
	position uint64
	left     uint64 // it was here before, and left at this position; 0: it was not
	owed     bool   // from sends what it kept until it is told not to
}

// departed is one that left and has kept what a send needs.
type departed struct {
	position uint64
	came     arrival // before; zero: it began here, or came long ago
}

// passage is a coming or a going, in order.
type passage struct {
	ordinal  uint32
	position uint64
	at       int64
}

func (p *project) scope() record.Scope {
	return record.Scope{Project: p.id, Environment: p.environment}
}

// owe puts a message into the outbox.
func (p *project) owe(to tocsin.Shard, from origin, a *record.Arrive) uint64 {
	m := &p.moves
	m.sent[to]++
	a.From, a.Number, a.At, a.Position = uint32(m.shard), m.sent[to], from.at, from.position
	m.outbox = append(slices.Clip(m.outbox), Message{to, p.scope(), a})
	return a.Number
}

// subject is the subscription that a change is about, nil for one about others.
func subject(c *record.Change) []byte {
	switch c := c.GetChange().(type) {
	case *record.Change_Upsert:
		return c.Upsert.Subscription
	case *record.Change_OptIn:
		return c.OptIn.Subscription
	case *record.Change_Delete:
		return c.Delete.Subscription
	case *record.Change_Gone:
		return c.Gone.Subscription
	case *record.Change_Move:
		return c.Move.Subscription
	case *record.Change_Event:
		return c.Event.Subscription
	}
	return nil
}

// sendAfter sends a change after a subscription that is leaving or has left, and
// reports whether that was all: what is leaving is changed here too. Who
// registers a subscription that has left begins one here.
func (p *project) sendAfter(from origin, c *record.Change) bool {
	id := subject(c)
	if len(id) == 0 || len(p.moves.departing)+len(p.moves.away) == 0 {
		return false
	}
	ordinal, known := p.ordinal(tocsin.SubscriptionID(id))
	if !known {
		return false
	}
	forward := func(to tocsin.Shard, c *record.Change) {
		if c.GetUpsert() != nil {
			c = proto.CloneOf(c) // it stands in memory that the next record is read into
		}
		p.owe(to, from, &record.Arrive{Names: from.edition, Change: c})
	}
	u := c.GetUpsert()
	if d, leaving := p.moves.departing[ordinal]; leaving {
		if u == nil || u.Found {
			forward(d.to, c)
			return c.GetMove() != nil || c.GetEvent() != nil
		}
		// It claims a profile of this shard while the subscription leaves for
		// another: the later of the two counts, so it is to come back.
		found := proto.CloneOf(u)
		found.Found = true
		forward(d.to, &record.Change{Change: &record.Change_Upsert{Upsert: found}})
		forward(d.to, &record.Change{Change: &record.Change_Move{Move: &record.Move{Subscription: id, Profile: u.Profile, Shard: uint32(p.moves.shard)}}})
		p.upsert(from, found)
		return true
	}
	if p.live.Contains(ordinal) || u != nil && !u.Found {
		return false
	}
	to, away := p.whereTo(ordinal)
	if away {
		forward(to, c)
	}
	return away
}

// whereTo is the shard that a subscription left for.
func (p *project) whereTo(ordinal uint32) (to tocsin.Shard, away bool) {
	for shard, rows := range p.moves.away {
		if rows.Contains(ordinal) {
			return shard, true
		}
	}
	return 0, false
}

// stays forgets that a subscription was elsewhere.
func (p *project) stays(ordinal uint32) {
	for _, rows := range p.moves.away {
		rows.Remove(ordinal)
	}
}

func (p *project) goneTo(ordinal uint32, to tocsin.Shard) {
	if p.moves.away[to] == nil {
		p.moves.away[to] = roaring.New()
	}
	p.moves.away[to].Add(ordinal)
}

// move gives a live subscription a profile.
func (p *project) move(from origin, m *record.Move) {
	ordinal, ok := p.alive(m.Subscription)
	if !ok {
		return
	}
	to := tocsin.Shard(m.Shard)
	if to == p.moves.shard {
		p.belong(ordinal, m.Profile, false)
		p.touch(ordinal)
		return
	}
	number := p.owe(to, from, &record.Arrive{Names: p.names.edition, State: p.state(from, ordinal, m.Profile)})
	p.moves.departing[ordinal] = departing{to, number}
}

// state is all that is known of a live subscription, for the shard of a profile.
func (p *project) state(from origin, ordinal uint32, profile string) *record.State {
	r, v := &p.rows, p.view(ordinal)
	u := &record.Upsert{Subscription: v.ID.Bytes(), Profile: profile, Provider: uint32(v.Route.Provider), Address: slices.Clone(v.Address),
		Host: v.Route.Host, Topic: v.Route.Topic, Language: v.Language, Zone: v.Zone, Active: int64(r.active.At(ordinal)) * int64(time.Second),
		Secret: slices.Clone(v.Secret), OptedIn: &v.OptedIn, Platform: v.Platform}
	if !v.Route.Vapid.IsZero() {
		u.Vapid = v.Route.Vapid.Bytes()
	}
	for name, value := range p.known.Attributes(ordinal) {
		if !slices.Contains(fields[:], name) || wasAttribute(name) {
			u.Attributes = append(u.Attributes, attributeOf(name, value))
		}
	}
	for name, tags := range p.known.TagSets(ordinal) {
		slices.Sort(tags)
		u.Tags = append(u.Tags, &record.TagSet{Name: name, Replace: tags})
	}
	slices.SortFunc(u.Attributes, func(a, b *record.Attribute) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(u.Tags, func(a, b *record.TagSet) int { return strings.Compare(a.Name, b.Name) })
	s := &record.State{Upsert: u, Version: r.version.At(ordinal), Vouched: r.vouched.At(ordinal), Created: r.created.At(ordinal), Since: r.since.At(ordinal),
		Deeds: deedsOf(p.done.own.Of(ordinal)), Opened: p.openedAlone(ordinal), Places: p.placesOf(ordinal, from.now)}
	fit(s)
	return s
}

// attributeOf is what valueOf reads.
func attributeOf(name string, v index.Value) *record.Attribute {
	a := &record.Attribute{Name: name}
	switch v.Kind {
	case index.Text:
		a.Value = &record.Attribute_Text{Text: v.Text}
	case index.URL:
		a.Value = &record.Attribute_Url{Url: v.Text}
	case index.Integer:
		a.Value = &record.Attribute_Integer{Integer: v.Bits}
	case index.Real:
		a.Value = &record.Attribute_Real{Real: v.Real()}
	case index.Flag:
		a.Value = &record.Attribute_Flag{Flag: v.Bits != 0}
	case index.Time:
		a.Value = &record.Attribute_Time{Time: v.Bits}
	case index.Location:
		a.Value = &record.Attribute_Location{Location: uint64(v.Bits)}
	}
	return a
}

// Owes reports whether the shard has something of a subscription for another.
func (s *Shard) Owes(project tocsin.ProjectID, id tocsin.SubscriptionID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	return p != nil && slices.ContainsFunc(p.moves.outbox, func(x Message) bool {
		a := x.Arrive
		of := subject(a.Change)
		switch {
		case a.State != nil:
			of = a.State.Upsert.Subscription
		case a.Forget != nil:
			of = a.Forget
		}
		return string(of) == string(id[:])
	})
}
