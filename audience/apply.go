package audience

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// ErrChange: a record of changes is not one that this build can apply. Nothing
// of it was applied.
var ErrChange = errors.New("audience: record of changes is not valid")

// check looks a record through before anything of it is applied.
func check(e *record.Envelope) (*record.Changes, error) {
	changes := e.GetChanges()
	if changes == nil {
		return nil, fmt.Errorf("%w: it is of kind %q", ErrChange, record.Kind(e))
	}
	if len(e.Project) != len(tocsin.ProjectID{}) {
		return nil, fmt.Errorf("%w: no project", ErrChange)
	}
	for i, change := range changes.Changes {
		if err := checkChange(i, change); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// apply takes a record that was written at an instant and stood at pos.
func (p *project) apply(pos uint64, at int64, changes *record.Changes) {
	p.version++
	if p.at = seconds(at); p.noted == 0 {
		p.noted = p.at
	}
	p.lists.expireDrafts(p, at)
	if p.opened.expire(at) {
		p.touchAllMoving()
	}
	if day := p.done.heard.day; p.done.advance(at) != day {
		p.touchAllMoving() // what is older than the windows of events is gone
		p.forgetPlaces(at)
	}
	p.age(at)
	for i, change := range changes.Changes {
		if i%together == 0 {
			p.fetch(changes.Changes[i:min(i+together, len(changes.Changes))])
		}
		p.announce(change)
		p.change(origin{pos, at, changes.Names, pos, at}, change)
	}
	p.write()
}

// write gives the subscriptions that came of late what was gathered of them.
func (p *project) write() {
	p.gathered.Write(p.known, func(string) bool { return true })
}

// gather keeps the attributes and tags of a subscription that was not there before
// until write: an import is of such, and hundreds of them in a record are written
// faster together. Whatever else touches subscriptions writes first.
func (p *project) gather(ordinal uint32, attributes []*record.Attribute, tags []*record.TagSet) bool {
	p.values = p.values[:0]
	for _, a := range attributes {
		v, ok := valueOf(a)
		if !ok || target.Reserved(a.Name) {
			return false
		}
		p.values = append(p.values, v)
	}
	for i, a := range attributes {
		p.gathered.Set(ordinal, a.Name, p.values[i])
	}
	for _, t := range tags {
		p.gathered.ChangeTags(ordinal, t.Name, index.TagChange{Clear: t.Clear || len(t.Replace) > 0, Replace: t.Replace, Add: t.Add, Remove: t.Remove})
	}
	return true
}

// give sets a native field, of a subscription that begins with what else is gathered.
func (p *project) give(ordinal uint32, name string, v index.Value) {
	if ordinal+1 == p.coming {
		p.gathered.Set(ordinal, name, v)
	} else {
		p.known.Set(ordinal, name, v)
	}
}

func (p *project) change(from origin, change *record.Change) {
	if change.GetUpsert() == nil {
		p.write()
	}
	if p.sendAfter(from, change) {
		return
	}
	switch c := change.Change.(type) {
	case *record.Change_Upsert:
		p.upsert(from, c.Upsert)
	case *record.Change_OptIn:
		if o, ok := p.alive(c.OptIn.Subscription); ok {
			p.optIn(o, c.OptIn.OptedIn)
		}
	case *record.Change_Delete:
		if o, ok := p.alive(c.Delete.Subscription); ok {
			p.remove(o)
		}
	case *record.Change_Gone:
		if o, ok := p.alive(c.Gone.Subscription); ok && p.isGone(o, c.Gone) {
			p.remove(o)
		}
	case *record.Change_Profile:
		p.update(from.edition, c.Profile)
	case *record.Change_Erase:
		p.erase(c.Erase)
	case *record.Change_Names:
		p.rename(from.at, c.Names)
	case *record.Change_List:
		p.updateList(from.at, c.List)
	case *record.Change_Event:
		p.happened(from.at, c.Event)
	case *record.Change_Move:
		p.move(from, c.Move)
	case *record.Change_Arrive:
		p.arrive(from, c.Arrive)
	case *record.Change_Leave:
		p.leave(from, c.Leave)
	case *record.Change_Superseded:
		p.supersede(from, c.Superseded)
	}
}

func (p *project) alive(id []byte) (uint32, bool) {
	o, ok := p.ordinal(tocsin.SubscriptionID(id))
	return o, ok && p.live.Contains(o)
}

// isGone decides whether the address that a provider calls dead is still the
// one in use. A device that brought it after the provider's time knows better.
func (p *project) isGone(ordinal uint32, gone *record.Address) bool {
	return p.rows.version.At(ordinal) == gone.Version && (gone.At == 0 || seconds(gone.At) >= p.rows.vouched.At(ordinal))
}

// upsert takes a change whose writer knew an edition of the project's names.
func (p *project) upsert(from origin, u *record.Upsert) {
	id := tocsin.SubscriptionID(u.Subscription)
	ordinal, known := p.ordinal(id)
	alive := known && p.live.Contains(ordinal)
	if !alive && (len(u.Address) == 0 || u.Found && !known) {
		return // deleted meanwhile, or never there
	}
	route, optedIn := routeOf(u), true
	if other, held := p.otherHolder(ordinal, alive, u); held && u.Derived && p.isOf(other, u.Profile) {
		ordinal, known, alive = other, true, true
	} else if held {
		optedIn = p.reachable.Contains(other)
		p.write()
	}
	if known {
		p.write()
	}
	if len(u.Address) > 0 {
		if alive {
			route = route.after(p.routes[p.rows.route.At(ordinal)])
		}
		if !p.routeFits(route, MaxRoutes) {
			return
		}
	}
	if !known {
		ordinal = p.add(id)
		p.gathered.Row()
		p.coming = ordinal + 1
	} else if !alive {
		p.revive(ordinal)
		p.stays(ordinal)
	}
	if len(u.Address) > 0 {
		since := from.at + int64(u.Later)
		if other, held := p.otherHolder(ordinal, alive, u); held {
			since = max(since, p.rows.since.At(other)+1) // within a shard the log decides
		}
		p.register(from.position, ordinal, alive, route, u)
		p.rows.since.Set(ordinal, max(p.rows.since.At(ordinal), since))
		p.lookFor(ordinal, u.OptedIn != nil)
	} else if len(u.Secret) > 0 {
		address, _ := p.stored(ordinal)
		p.store(ordinal, address, u.Secret)
	}
	if !alive {
		p.rows.created.Set(ordinal, seconds(from.at))
	}
	switch {
	case u.Found && !alive: // deleted meanwhile, but its address is there
		p.belong(ordinal, p.keyOf(ordinal), true)
	case !u.Found && (!alive || u.Profile != ""):
		p.belong(ordinal, u.Profile, !alive)
	}
	switch {
	case u.OptedIn != nil:
		p.optIn(ordinal, *u.OptedIn)
	case !alive || !optedIn: // an opt-out stays with its address
		p.optIn(ordinal, optedIn)
	}
	p.rows.active.Set(ordinal, max(p.rows.active.At(ordinal), seconds(u.Active)))
	attributes, tags := p.names.attributes(from.edition, u.Attributes), p.names.tags(from.edition, u.Tags)
	if known || !p.gather(ordinal, attributes, tags) {
		p.learn(ordinal, attributes, tags)
	}
	p.setFields(ordinal, u)
	p.coming = 0
	p.touch(ordinal)
}

// setFields sets the native fields that a change has.
func (p *project) setFields(ordinal uint32, u *record.Upsert) {
	for _, field := range [...]struct{ name, text string }{{fieldPlatform, u.Platform}, {fieldLanguage, target.LanguageTag(u.Language)},
		{fieldZone, u.Zone}, {fieldRegion, u.Region}, {fieldCity, u.City}, {fieldAppVersion, u.AppVersion}} {
		if field.text != "" {
			p.setField(ordinal, field.name, field.text)
		}
	}
}

// otherHolder finds the live subscription, other than the one at ordinal, whose
// address a change brings.
func (p *project) otherHolder(ordinal uint32, alive bool, u *record.Upsert) (other uint32, held bool) {
	if len(u.Address) == 0 || alive && p.hasAddress(ordinal, tocsin.Provider(u.Provider), u.Address) {
		return 0, false
	}
	return p.holder(tocsin.Provider(u.Provider), u.Address)
}

// register gives a subscription its address, new or the same again.
func (p *project) register(pos uint64, ordinal uint32, alive bool, route Route, u *record.Upsert) {
	var address, secret []byte
	if alive {
		address, secret = p.stored(ordinal)
	}
	if len(u.Secret) > 0 {
		secret = u.Secret
	}
	number, seen := p.routeNumber(route), seconds(u.Active)
	same := alive && p.rows.route.At(ordinal) == number && bytes.Equal(address, u.Address)
	if !same {
		if other, held := p.holder(route.Provider, u.Address); held && other != ordinal {
			p.remove(other)
		}
		if alive {
			p.byAddress.Delete(p.hashOfAddress(ordinal), ordinal, p.hashOfAddress)
			p.routeUses[p.rows.route.At(ordinal)]--
		}
		if !alive || p.routes[p.rows.route.At(ordinal)].Provider != route.Provider {
			p.give(ordinal, fieldPlatform, index.Value{Kind: index.Text, Text: target.UsualPlatform(route.Provider)})
		}
		p.rows.route.Set(ordinal, number)
		p.routeUses[number]++
		p.store(ordinal, u.Address, secret)
		p.byAddress.Insert(p.hashOfAddress(ordinal), ordinal, p.hashOfAddress)
		p.live.Add(ordinal)
		p.give(ordinal, fieldProvider, index.Value{Kind: index.Text, Text: route.Provider.String()})
		p.rows.version.Set(ordinal, risen(p.rows.version.At(ordinal), pos))
		p.rows.vouched.Set(ordinal, seen)
		return
	}
	if len(u.Secret) > 0 {
		p.store(ordinal, address, secret)
	}
	if seen > p.rows.vouched.At(ordinal) {
		p.rows.version.Set(ordinal, risen(p.rows.version.At(ordinal), pos))
		p.rows.vouched.Set(ordinal, seen)
	}
}

// risen is the version of an address that a record brings. One of a shard whose
// log is shorter still gives a higher one than before.
func risen(was, pos uint64) uint64 {
	if pos >= was {
		return pos
	}
	return was + 1
}

// update changes a profile and all its subscriptions.
func (p *project) update(edition uint64, u *record.ProfileUpdate) {
	attributes, tags := p.names.attributes(edition, u.Attributes), p.names.tags(edition, u.Tags)
	if strings.HasPrefix(u.Profile, userPrefix) {
		number, _ := p.personOrNew(u.Profile)
		setAll(p.people.known, number, attributes, tags)
	}
	p.subscriptions(u.Profile, func(ordinal uint32) {
		p.learn(ordinal, attributes, tags)
		p.touch(ordinal)
	})
}

// MaxRoutes bounds the routes of Web Push that a project has in use on a shard,
// and as many of the others together: each is a lane with its connections.
const MaxRoutes = 512

// Known returns the names of attributes and sets of tags that a subscription of
// a project has, and of native fields.
func (s *Shard) Known(project tocsin.ProjectID) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		return p.known.Known()
	}
	return nil
}

// setAll writes attributes and tags to one row; names of native fields are left
// out, whoever let them pass.
func setAll(x *index.Index, row uint32, attributes []*record.Attribute, tags []*record.TagSet) {
	var room [32]index.Change
	changes := room[:0]
	for _, a := range attributes {
		v, ok := valueOf(a)
		changes = append(changes, index.Change{Name: a.Name, Value: v, Remove: !ok})
	}
	x.Apply(row, changes, func(name string) bool {
		return !target.Reserved(name) || wasAttribute(name)
	})
	for _, t := range tags {
		x.ChangeTags(row, t.Name, t.Clear || len(t.Replace) > 0, t.Replace, t.Add, t.Remove)
	}
}

// valueOf reads an attribute; not ok is its removal.
func valueOf(a *record.Attribute) (index.Value, bool) {
	switch v := a.Value.(type) {
	case *record.Attribute_Text:
		return index.Value{Kind: index.Text, Text: v.Text}, true
	case *record.Attribute_Url:
		return index.Value{Kind: index.URL, Text: v.Url}, true
	case *record.Attribute_Integer:
		return index.Value{Kind: index.Integer, Bits: v.Integer}, true
	case *record.Attribute_Real:
		return index.RealValue(v.Real), true
	case *record.Attribute_Flag:
		return index.FlagValue(v.Flag), true
	case *record.Attribute_Time:
		return index.Value{Kind: index.Time, Bits: v.Time}, true
	case *record.Attribute_Location:
		return index.Value{Kind: index.Location, Bits: int64(v.Location)}, true
	}
	return index.Value{}, false
}
