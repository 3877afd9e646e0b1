package audience

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// moment is a shard between two records of its log, for a snapshot. The writer
// goes on: a project is frozen when it is asked for, or just before the first
// change after the moment touches it, whichever comes first. To freeze one
// takes the lock for about a microsecond a part and copies next to nothing; the
// writer then copies the chunks that it is the first to change.
type moment struct {
	shard    *Shard
	applied  uint64
	seen     record.Seen
	projects []tocsin.ProjectID // in order
	left     map[tocsin.ProjectID]bool
	held     map[tocsin.ProjectID]*frozen
	pause    time.Duration // longest that the lock was held
}

// frozen is one project at a moment.
type frozen struct {
	index.Moment
	streams []index.Stream
}

// begin takes a moment. There is one at a time, until end is called.
func (s *Shard) begin() *moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	m := &moment{shard: s, applied: s.applied, seen: maps.Clone(s.seen), left: make(map[tocsin.ProjectID]bool, len(s.projects)),
		held: make(map[tocsin.ProjectID]*frozen)}
	for id := range s.projects {
		m.left[id] = true
		m.projects = append(m.projects, id)
	}
	slices.SortFunc(m.projects, func(a, b tocsin.ProjectID) int { return bytes.Compare(a[:], b[:]) })
	s.moment, m.pause = m, time.Since(began)
	return m
}

// hold freezes a project unless that is done. The lock of the shard is held.
func (m *moment) hold(id tocsin.ProjectID, p *project) {
	if m.left[id] {
		began := time.Now()
		delete(m.left, id)
		f := new(frozen)
		f.streams = p.freeze(&f.Moment)
		m.held[id] = f
		m.pause = max(m.pause, time.Since(began))
	}
}

// take returns a project as it was. The caller ends it.
func (m *moment) take(id tocsin.ProjectID) *frozen {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	m.hold(id, m.shard.projects[id])
	f := m.held[id]
	delete(m.held, id)
	return f
}

// end lets the writer forget the moment, and returns the longest time that it
// held the lock.
func (m *moment) end() (pause time.Duration) {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	m.shard.moment = nil
	for _, f := range m.held {
		f.End()
	}
	return m.pause
}

// freeze returns all of a project that snapshots hold. A new kind of state adds
// its streams here, and reads them in restore.
func (p *project) freeze(m *index.Moment) []index.Stream {
	r, w := &p.rows, &p.people
	return slices.Concat([]index.Stream{
		index.Whole("routes", p.encodeRoutes),
		index.Whole("noted", func(e *index.Encoder) { e.Number(uint64(p.noted)) }),
		index.Whole("names", p.names.encode),
		r.ids.Freeze("ids", m), r.version.Freeze("version", m), r.address.Freeze("address", m), r.vouched.Freeze("vouched", m),
		r.created.Freeze("created", m), r.changed.Freeze("changed", m), r.active.Freeze("active", m), r.route.Freeze("route", m), r.profile.Freeze("profile", m),
		r.next.Freeze("next", m), p.addresses.Freeze("addresses"),
		w.key.Freeze("people/key", m), w.first.Freeze("people/first", m), w.keys.Freeze("people/keys"),
		p.opened.freeze(m), p.formers.freeze(),
	}, p.lists.freeze(m), p.done.freeze(m), p.freezeMoves(m), p.known.Freeze("known/", m), w.known.Freeze("people/known/", m))
}

// restore reads a project back; hash tables and bitmaps are built anew.
func restore(id tocsin.ProjectID, shard tocsin.Shard, from *index.Saved) *project {
	p := newProject(id, shard)
	from.Whole("routes", p.decodeRoutes)
	from.Whole("noted", func(d *index.Decoder) { p.noted = uint32(d.Number()) })
	from.Whole("names", func(d *index.Decoder) { p.names = decodeNames(d) })
	r, w := &p.rows, &p.people
	r.ids = index.LoadCells[tocsin.SubscriptionID](from, "ids")
	r.version = index.LoadCells[uint64](from, "version")
	r.address = index.LoadCells[index.Ref](from, "address")
	r.vouched = index.LoadCells[uint32](from, "vouched")
	r.created = index.LoadCells[uint32](from, "created")
	r.changed = index.LoadCells[uint32](from, "changed")
	r.active = index.LoadCells[uint32](from, "active")
	r.route = index.LoadCells[uint32](from, "route")
	r.profile = index.LoadCells[uint32](from, "profile")
	r.next = index.LoadCells[uint32](from, "next")
	p.addresses = index.LoadArena(from, "addresses")
	w.key = index.LoadCells[index.Ref](from, "people/key")
	w.first = index.LoadCells[uint32](from, "people/first")
	w.keys = index.LoadArena(from, "people/keys")
	p.known = index.Load(from, "known/")
	w.known = index.Load(from, "people/known/")
	p.lists.load(from, w.key.Len(), r.ids.Len())
	from.Whole("places", func(d *index.Decoder) { p.formers.decode(d, r.ids.Len()) })
	from.Whole("opened", func(d *index.Decoder) { p.opened.decode(d, w.key.Len(), r.ids.Len()) })
	p.done = loadDone(from)
	p.loadMoves(from)
	if from.Err() == nil {
		p.rebuild(from.Fail)
	}
	if from.Err() == nil {
		p.buildLists()
		p.buildOpened()
	}
	return p
}

func (p *project) encodeRoutes(e *index.Encoder) {
	e.Number(uint64(len(p.routes)))
	for _, r := range p.routes {
		e.Number(uint64(r.Provider))
		e.Text(r.Host)
		e.Text(r.Topic)
		e.Bytes(r.Vapid[:])
	}
}

func (p *project) decodeRoutes(d *index.Decoder) {
	const maxRoutes, maxText = 1 << 24, 64 << 10
	for n := range d.Length(maxRoutes) {
		r := Route{Provider: tocsin.Provider(d.Number()), Host: d.Text(maxText), Topic: d.Text(maxText)}
		copy(r.Vapid[:], d.Bytes(len(r.Vapid)))
		if d.Err() != nil {
			return
		}
		p.routes = append(p.routes, r)
		p.routeOf[r] = uint32(n)
	}
}

// rebuild makes what is not stored.
func (p *project) rebuild(fail func(string, ...any)) {
	r, w := &p.rows, &p.people
	optedIn := p.known.Column(fieldOptedIn)
	hasPlatform, _ := p.known.Has(fieldPlatform) // older builds did not know it
	p.routeUses = make([]uint32, len(p.routes))
	count := r.ids.Len()
	for _, length := range [...]int{r.version.Len(), r.since.Len(), r.address.Len(), r.vouched.Len(), r.created.Len(), r.active.Len(), r.route.Len(), r.profile.Len(), r.next.Len()} {
		if length != count {
			fail("columns differ in length")
			return
		}
	}
	for o := range uint32(count) {
		address := r.address.At(o)
		if !p.addresses.Holds(address) || int(r.profile.At(o)) > w.key.Len() || int(r.next.At(o)) > count ||
			address != 0 && int(r.route.At(o)) >= len(p.routes) {
			fail("a subscription refers to what is not there")
			return
		}
		if address == 0 {
			continue
		}
		if _, left := p.moves.left[o]; left {
			p.routeUses[r.route.At(o)]++
			continue
		}
		p.live.Add(o)
		p.routeUses[r.route.At(o)]++
		if in, _ := optedIn.Get(o); in.Bits != 0 {
			p.reachable.Add(o)
		}
		if !hasPlatform {
			usual := target.UsualPlatform(p.routes[r.route.At(o)].Provider)
			p.known.Set(o, fieldPlatform, index.Value{Kind: index.Text, Text: usual})
		}
	}
	for n := range uint32(w.key.Len()) {
		if w.first.Len() != w.key.Len() || !w.keys.Holds(w.key.At(n)) || int(w.first.At(n)) > count {
			fail("a profile refers to what is not there")
			return
		}
	}
	p.byID.Fill(0, uint32(count), func(o uint32) (uint64, bool) {
		id := r.ids.At(o)
		return p.hashID(&id), !id.IsZero() // else erased
	})
	p.byAddress.Fill(0, uint32(count), func(o uint32) (uint64, bool) {
		if _, left := p.moves.left[o]; left || r.address.At(o) == 0 {
			return 0, false
		}
		return p.hashOfAddress(o), true
	})
	w.byKey.Fill(0, uint32(w.key.Len()), func(n uint32) (uint64, bool) { return p.hashOfKey(n), w.key.At(n) != 0 })
}
