package audience

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// done is what a project's people did: those with a user id by their number,
// subscriptions that are nobody's by their ordinal. What a person did counts for
// all the person's subscriptions, those to come included; a subscription that
// becomes somebody's brings what it did.
type done struct {
	own    *index.Events
	people *index.Events
	heard  heard
}

func newDone() done { return done{own: index.NewEvents(), people: index.NewEvents()} }

// advance says that the log has come to an instant, and tells its day.
func (d *done) advance(at int64) (day uint32) {
	now := uint32(max(at, 0) / int64(time.Second))
	d.own.Advance(now)
	d.people.Advance(now)
	d.heard.advance(now)
	return d.heard.day
}

// happened notes an event, once.
func (p *project) happened(at int64, e *record.Event) {
	row, person, ok := p.doer(e)
	if !ok || e.Repeat != 0 && !p.done.heard.first(e.Repeat) {
		return
	}
	of, rows := p.done.own, p.rows.ids.Len()
	if person {
		of, rows = p.done.people, p.people.key.Len()
	}
	p.noteOpened(at, e, row, person)
	of.Add(row, e.Name, uint32(max(e.At, 0)/int64(time.Second)), fieldsOf(e.Fields), rows)
	if person {
		p.devices(row, p.touchMoving)
	} else {
		p.touchMoving(row)
	}
}

// doer finds whose an event is: a person's number, or the ordinal of a
// subscription that is nobody's. The subscription that told of it knows best,
// as it may have become somebody's meanwhile.
func (p *project) doer(e *record.Event) (row uint32, person, ok bool) {
	if len(e.Subscription) > 0 {
		if o, ok := p.alive(e.Subscription); ok {
			if of := p.rows.profile.At(o); of != 0 {
				return of - 1, true, true
			}
			return o, false, true
		}
	}
	if !strings.HasPrefix(e.Profile, userPrefix) {
		return 0, false, false
	}
	row, _ = p.personOrNew(e.Profile)
	return row, true, true
}

// joins gives a person what a subscription did that was nobody's.
func (p *project) joins(ordinal, person uint32) {
	p.openedJoins(ordinal, person)
	if deeds := p.done.own.Of(ordinal); len(deeds) > 0 {
		p.done.people.Join(person, deeds, p.people.key.Len())
		p.done.own.Clear(ordinal)
		p.devices(person, p.touchMoving)
	}
}

// Events returns the names of a project's events that somebody did.
func (s *Shard) Events(project tocsin.ProjectID) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		return nil
	}
	return append(p.done.people.Known(), p.done.own.Known()...)
}

func (d *done) size() int { return d.own.Size() + d.people.Size() + d.heard.size() }

func (d *done) freeze(m *index.Moment) []index.Stream {
	return slices.Concat(d.own.Freeze("done/own/"), d.people.Freeze("done/people/"), d.heard.freeze(m))
}

func loadDone(from *index.Saved) done {
	return done{own: index.LoadEvents(from, "done/own/"), people: index.LoadEvents(from, "done/people/"), heard: loadHeard(from)}
}
