package audience

import (
	"fmt"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/snapshot"
)

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

// restoreShard reads a shard back, all of it.
func restoreShard(saved *snapshot.Saved) (*Shard, error) {
	if stream, before := saved.Blocks(); before {
		shard, err := decodeShard(saved.Shard(), stream)
		if err == nil && shard.applied != saved.ID.Position {
			return nil, fmt.Errorf("%w: it is of position %d", snapshot.ErrDamaged, shard.applied)
		}
		return shard, err
	}
	shard := NewShard(saved.Shard())
	shard.applied, shard.seen = saved.ID.Position, saved.Seen
	for _, p := range saved.Projects {
		streams := make(map[string][]snapshot.Place, len(p.Streams))
		for _, s := range p.Streams {
			streams[s.Name] = s.Parts
		}
		from := index.NewSaved(func(stream string) []int {
			lengths := make([]int, len(streams[stream]))
			for i, at := range streams[stream] {
				lengths[i] = int(at.Length)
			}
			return lengths
		}, func(stream string, part int, into []byte) (*index.Sum, error) {
			at := streams[stream][part]
			return index.KnownSum(at.Sum), saved.Read(at, into)
		})
		if _, small := streams[bundled]; small {
			var err error
			if from, err = unbundle(from); err != nil {
				return nil, err
			}
		}
		shard.projects[p.ID] = restore(p.ID, saved.Shard(), from)
		if err := from.Err(); err != nil {
			return nil, err
		}
	}
	return shard, nil
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
