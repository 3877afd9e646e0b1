package audience

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// openedEvent is the name of the event that tells that a message was opened.
const openedEvent = "opened"

// openedLife is how long it is known who opened a send, from the first who did
// on, by the time of the log; openedMost, of how many sends of a project. Of more
// the oldest are forgotten.
const (
	openedLife = 30 * 24 * time.Hour
	openedMost = 10_000
)

// opened is who opened which send: people, with all that they have, and
// subscriptions that are nobody's.
type opened struct {
	sends   map[tocsin.SendID]*openers
	people  index.Rows // who opened any, and some who did
	singles index.Rows // the same, while they were nobody's
	next    int64      // when the first may go; 0: there is none
}

type openers struct {
	*list
	since int64 // time of the log
}

// noteOpened notes an event whose doer is known, which the log took at an instant.
func (p *project) noteOpened(at int64, e *record.Event, row uint32, person bool) {
	if e.Name != openedEvent || len(e.Send) != len(tocsin.SendID{}) {
		return
	}
	p.open(at, tocsin.SendID(e.Send), row, person)
}

func (p *project) open(at int64, send tocsin.SendID, row uint32, person bool) {
	o := &p.opened
	if o.sends == nil {
		o.sends = make(map[tocsin.SendID]*openers)
	}
	by := o.sends[send]
	if by == nil {
		if len(o.sends) == openedMost {
			delete(o.sends, o.oldest())
		}
		by = &openers{newList(), at}
		o.sends[send] = by
		o.schedule()
	}
	of, any := &by.singles, &o.singles
	if person {
		of, any = &by.people, &o.people
	}
	if of.known.Has(row) {
		return
	}
	by.own()
	of.known.Add(row)
	any.Add(row)
	if person {
		p.devices(row, func(ordinal uint32) { by.rows.Add(ordinal) })
	} else {
		by.rows.Add(row)
	}
}

// openedJoins gives a person what a subscription opened that was nobody's.
func (p *project) openedJoins(ordinal, person uint32) {
	if !p.opened.singles.Remove(ordinal) {
		return
	}
	for _, by := range p.opened.sends {
		if by.singles.known.Has(ordinal) {
			by.own()
			by.singles.known.Remove(ordinal)
			by.people.known.Add(person)
			p.opened.people.Add(person)
			p.devices(person, func(other uint32) { p.look(by.list, other) })
		}
	}
}

// openedAlone are the sends that a subscription opened that is nobody's, for the
// shard that it goes to.
func (p *project) openedAlone(ordinal uint32) (sends [][]byte) {
	if !p.opened.singles.Has(ordinal) {
		return nil
	}
	for send, by := range p.opened.sends {
		if by.singles.known.Has(ordinal) {
			sends = append(sends, send.Bytes())
		}
	}
	slices.SortFunc(sends, bytes.Compare)
	return sends
}

// hadOpened takes in what a subscription opened where it was before.
func (p *project) hadOpened(at int64, ordinal uint32, sends [][]byte) {
	row, person := ordinal, p.rows.profile.At(ordinal)
	if person != 0 {
		row = person - 1
	}
	for _, send := range sends {
		if len(send) == len(tocsin.SendID{}) {
			p.open(at, tocsin.SendID(send), row, person != 0)
		}
	}
}

// openedHands follows a subscription that is somebody else's now.
func (p *project) openedHands(ordinal, before, now uint32) {
	for _, person := range [...]uint32{before, now} {
		if person != 0 && p.opened.people.Has(person-1) {
			for _, by := range p.opened.sends {
				p.look(by.list, ordinal)
			}
			return
		}
	}
}

// openedForgets takes out what a subscription opened that is nobody's.
func (p *project) openedForgets(ordinal uint32) {
	if !p.opened.singles.Remove(ordinal) {
		return
	}
	for _, by := range p.opened.sends {
		if by.singles.known.Has(ordinal) {
			by.own()
			by.singles.known.Remove(ordinal)
			by.rows.Remove(ordinal)
		}
	}
}

// openedErases takes out what a person opened, and the rows that were the person's.
func (p *project) openedErases(person uint32, ordinals []uint32) {
	if !p.opened.people.Remove(person) {
		return
	}
	for _, by := range p.opened.sends {
		if by.people.known.Has(person) {
			by.own()
			by.people.known.Remove(person)
			for _, o := range ordinals {
				by.rows.Remove(o)
			}
		}
	}
}

func (o *opened) oldest() (send tocsin.SendID) {
	for id, by := range o.sends {
		if first := o.sends[send]; first == nil || by.since < first.since || by.since == first.since && bytes.Compare(id[:], send[:]) < 0 {
			send = id
		}
	}
	return send
}

func (o *opened) schedule() {
	o.next = 0
	if len(o.sends) > 0 {
		o.next = o.sends[o.oldest()].since + int64(openedLife)
	}
}

// expire forgets what is older than openedLife, and reports whether it did.
func (o *opened) expire(at int64) (forgotten bool) {
	if o.next == 0 || at < o.next {
		return false
	}
	maps.DeleteFunc(o.sends, func(_ tocsin.SendID, by *openers) bool { return at >= by.since+int64(openedLife) })
	o.schedule()
	return true
}

// freeze returns what snapshots hold: the writer copies what it changes before the
// moment is over.
func (o *opened) freeze(m *index.Moment) index.Stream {
	frozen := opened{sends: make(map[tocsin.SendID]*openers, len(o.sends))}
	for send, by := range o.sends {
		frozen.sends[send] = &openers{by.list.freeze(m), by.since}
	}
	return index.Later("opened", frozen.encode)
}

func (o *opened) encode(e *index.Encoder) {
	e.Number(uint64(len(o.sends)))
	for _, send := range slices.SortedFunc(maps.Keys(o.sends), func(a, b tocsin.SendID) int { return bytes.Compare(a[:], b[:]) }) {
		by := o.sends[send]
		e.Bytes(send[:])
		e.Number(uint64(by.since))
		by.people.known.Encode(e)
		by.singles.known.Encode(e)
	}
}

func (o *opened) decode(d *index.Decoder, people, ordinals int) {
	o.sends = make(map[tocsin.SendID]*openers)
	for range d.Length(openedMost) {
		var send tocsin.SendID
		copy(send[:], d.Bytes(len(send)))
		by := &openers{newList(), int64(d.Number())}
		by.people.known, by.singles.known = index.DecodeRows(d, people), index.DecodeRows(d, ordinals)
		if d.Err() != nil {
			return
		}
		o.sends[send] = by
	}
}

// buildOpened makes what is not stored.
func (p *project) buildOpened() {
	for _, by := range p.opened.sends {
		p.buildRows(by.list)
		for person := range by.people.known.All() {
			p.opened.people.Add(person)
		}
		for ordinal := range by.singles.known.All() {
			p.opened.singles.Add(ordinal)
		}
	}
	p.opened.schedule()
}

func (o *opened) size() (bytes int) {
	bytes = o.people.Size() + o.singles.Size()
	for _, by := range o.sends {
		bytes += by.rows.Size() + by.people.known.Size() + by.singles.known.Size()
	}
	return bytes
}
