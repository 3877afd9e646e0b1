package audience

import (
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// freeze copies what is encoded of lists.
func (ls *lists) freeze() lists {
	frozen := lists{people: ls.people.freeze(), singles: ls.singles.freeze(), named: make(map[string]*named, len(ls.named))}
	for name, n := range ls.named {
		c := *n
		c.list, c.draft = n.list.freeze(), n.draft.freeze()
		frozen.named[name] = &c
	}
	return frozen
}

func (l *list) freeze() *list {
	if l == nil {
		return nil
	}
	return &list{people: entries{l.people.known.Clone(), l.people.waiting.Clone()},
		singles: entries{l.singles.known.Clone(), l.singles.waiting.Clone()}}
}

// freeze shares the keys: they are only ever added to.
func (w *waiting) freeze() waiting { return waiting{keys: w.keys[:len(w.keys):len(w.keys)]} }

func (ls *lists) encode(e *index.Encoder) {
	ls.people.encode(e)
	ls.singles.encode(e)
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

func (w *waiting) encode(e *index.Encoder) {
	e.Number(uint64(len(w.keys)))
	for i := range w.keys {
		e.Bytes(w.keys[i][:])
	}
}

func (l *list) encode(e *index.Encoder) {
	for _, part := range [...]entries{l.people, l.singles} {
		part.known.Encode(e)
		part.waiting.Encode(e)
	}
}

// decode reads lists back; build makes what is not stored.
func (ls *lists) decode(d *index.Decoder, people, ordinals int) {
	const maxLists = 1 << 20
	ls.named = make(map[string]*named)
	ls.people.decode(d)
	ls.singles.decode(d)
	id := func() (id tocsin.ImportID) {
		copy(id[:], d.Bytes(len(id)))
		return id
	}
	one := func() *list {
		l := new(list)
		for _, part := range [...]struct {
			to             *entries
			known, waiting int
		}{{&l.people, people, len(ls.people.keys)}, {&l.singles, ordinals, len(ls.singles.keys)}} {
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

func (w *waiting) decode(d *index.Decoder) {
	const most = 1 << 31
	for range d.Length(most) {
		var key [16]byte
		copy(key[:], d.Bytes(len(key)))
		if d.Err() != nil {
			return
		}
		w.keys = append(w.keys, key)
	}
}

// buildLists makes the hash tables and the rows. What the entries refer to is
// there.
func (p *project) buildLists() {
	for _, w := range [...]*waiting{&p.lists.people, &p.lists.singles} {
		for n := range w.keys {
			w.insert(p, uint32(n))
		}
	}
	p.lists.settle(p)
	for _, l := range p.lists.all {
		l.rows = new(index.Rows)
		for number := range l.people.known.All() {
			p.devices(number, func(o uint32) { l.rows.Add(o) })
		}
		for o := range l.singles.known.All() {
			l.rows.Add(o)
		}
	}
}
