package audience

import (
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// freeze returns what snapshots hold of lists. The writer copies the entries of
// a list that it changes before the moment is over.
func (ls *lists) freeze(m *index.Moment) []index.Stream {
	frozen := lists{named: make(map[string]*named, len(ls.named))}
	for name, n := range ls.named {
		c := *n
		c.list, c.draft = n.list.freeze(m), n.draft.freeze(m)
		frozen.named[name] = &c
	}
	return []index.Stream{ls.people.keys.Freeze("lists/people", m), ls.singles.keys.Freeze("lists/singles", m), index.Later("lists", frozen.encode)}
}

func (l *list) freeze(m *index.Moment) *list {
	if l == nil {
		return nil
	}
	l.moment = m
	return &list{people: l.people, singles: l.singles}
}

func (ls *lists) encode(e *index.Encoder) {
	e.Number(uint64(len(ls.named)))
	for _, name := range slices.Sorted(maps.Keys(ls.named)) {
		n := ls.named[name]
		e.Text(name)
		e.Bytes(n.id[:])
		e.Bytes(n.placed[:])
		n.list.encode(e)
		e.Bytes(n.upload[:])
		if n.draft != nil {
			e.Number(uint64(n.at))
			n.draft.encode(e)
		}
	}
}

func (l *list) encode(e *index.Encoder) {
	for _, part := range [...]entries{l.people, l.singles} {
		part.known.Encode(e)
		part.waiting.Encode(e)
	}
}

// load reads lists back; build makes what is not stored.
func (ls *lists) load(from *index.Saved, people, ordinals int) {
	ls.people.keys = index.LoadCells[[16]byte](from, "lists/people")
	ls.singles.keys = index.LoadCells[[16]byte](from, "lists/singles")
	from.Whole("lists", func(d *index.Decoder) { ls.decode(d, people, ordinals) })
}

func (ls *lists) decode(d *index.Decoder, people, ordinals int) {
	const maxLists = 1 << 20
	ls.named = make(map[string]*named)
	id := func() (id tocsin.ImportID) {
		copy(id[:], d.Bytes(len(id)))
		return id
	}
	one := func() *list {
		l := new(list)
		for _, part := range [...]struct {
			to             *entries
			known, waiting int
		}{{&l.people, people, ls.people.keys.Len()}, {&l.singles, ordinals, ls.singles.keys.Len()}} {
			*part.to = entries{index.DecodeRows(d, part.known), index.DecodeRows(d, part.waiting)}
		}
		return l
	}
	for range d.Length(maxLists) {
		n := new(named)
		name := d.Text(maxListName)
		n.id, n.placed = id(), id()
		n.list = one()
		if n.upload = id(); !n.upload.IsZero() {
			n.at, n.draft = int64(d.Number()), one()
		}
		if d.Err() != nil {
			return
		}
		ls.named[name] = n
	}
}

// buildLists makes the hash tables and the rows. What the entries refer to is
// there.
func (p *project) buildLists() {
	for _, w := range [...]*waiting{&p.lists.people, &p.lists.singles} {
		for place := range uint32(w.keys.Len()) {
			if key := w.keys.At(place); key != [16]byte{} {
				w.table.Insert(w.hash(p, key), place, w.hashOf(p))
			}
		}
	}
	p.lists.settle(p)
	for _, l := range p.lists.all {
		p.buildRows(l)
	}
}

func (p *project) buildRows(l *list) {
	l.rows = new(index.Rows)
	for number := range l.people.known.All() {
		p.devices(number, func(o uint32) { l.rows.Add(o) })
	}
	for o := range l.singles.known.All() {
		l.rows.Add(o)
	}
}
