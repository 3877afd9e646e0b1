package audience

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// snapshotVersion rises when the encoding below changes. The versions before
// are read too; any other is refused by name, and the log is read instead.
const (
	snapshotVersion = 3
	withoutNames    = 2 // did not hold how names of attributes changed, nor events
	withoutCreated  = 1 // nor when subscriptions registered
)

// Freeze copies one moment of the shard for Encode. The writer waits
// meanwhile: a few tens of milliseconds a million subscriptions, as bytes are
// shared and only columns of numbers copied.
func (s *Shard) Freeze() *Shard {
	s.mu.RLock()
	defer s.mu.RUnlock()
	frozen := &Shard{projects: make(map[tocsin.ProjectID]*project, len(s.projects)), seen: maps.Clone(s.seen), applied: s.applied}
	for id, p := range s.projects {
		r, w := &p.rows, &p.people
		frozen.projects[id] = &project{
			known: p.known.Freeze(), addresses: p.addresses.Freeze(), routes: slices.Clone(p.routes),
			rows: rows{slices.Clone(r.ids), slices.Clone(r.version), slices.Clone(r.address), slices.Clone(r.vouched),
				slices.Clone(r.created), slices.Clone(r.active), slices.Clone(r.route), slices.Clone(r.profile), slices.Clone(r.next)},
			people: people{known: w.known.Freeze(), keys: w.keys.Freeze(), key: slices.Clone(w.key), first: slices.Clone(w.first)},
			names:  p.names.freeze(), lists: p.lists.freeze(), done: p.done.freeze(),
		}
	}
	return frozen
}

// Encode writes what Freeze returned. It takes no lock: nothing may change the
// shard meanwhile.
func (s *Shard) Encode(w io.Writer) error {
	e := index.NewEncoder(w)
	e.Number(snapshotVersion)
	e.Number(s.applied)
	e.Number(uint64(len(s.seen)))
	for _, writer := range slices.Sorted(maps.Keys(s.seen)) {
		e.Number(writer)
		e.Number(s.seen[writer])
	}
	e.Number(uint64(len(s.projects)))
	for _, id := range slices.SortedFunc(maps.Keys(s.projects), func(a, b tocsin.ProjectID) int { return bytes.Compare(a[:], b[:]) }) {
		e.Bytes(id[:])
		s.projects[id].encode(e)
	}
	return e.Flush()
}

func (p *project) encode(e *index.Encoder) {
	e.Number(uint64(len(p.routes)))
	for _, r := range p.routes {
		e.Number(uint64(r.Provider))
		e.Text(r.Host)
		e.Text(r.Topic)
		e.Bytes(r.Vapid[:])
	}
	r, w := &p.rows, &p.people
	flat := make([]byte, 0, 16*len(r.ids))
	for i := range r.ids {
		flat = append(flat, r.ids[i][:]...)
	}
	index.EncodeColumn(e, flat)
	index.EncodeColumn(e, r.version)
	index.EncodeColumn(e, r.address)
	for _, column := range [...][]uint32{r.vouched, r.created, r.active, r.route, r.profile, r.next} {
		index.EncodeColumn(e, column)
	}
	p.addresses.Encode(e)
	p.known.Encode(e)
	index.EncodeColumn(e, w.key)
	index.EncodeColumn(e, w.first)
	w.keys.Encode(e)
	w.known.Encode(e)
	p.names.encode(e)
	p.lists.encode(e)
	p.done.encode(e)
}

// Decode reads a shard back; hash tables and bitmaps are built anew.
func Decode(from io.Reader) (*Shard, error) {
	const maxWriters, maxProjects = 1 << 24, 1 << 24
	d := index.NewDecoder(from)
	version := d.Number()
	if (version < withoutCreated || version > snapshotVersion) && d.Err() == nil {
		return nil, fmt.Errorf("audience: snapshot has version %d, this build reads %d to %d", version, withoutCreated, snapshotVersion)
	}
	s := &Shard{projects: make(map[tocsin.ProjectID]*project), seen: make(record.Seen), applied: d.Number(), slice: slice}
	for range d.Length(maxWriters) {
		writer := d.Number()
		s.seen[writer] = d.Number()
	}
	for range d.Length(maxProjects) {
		var id tocsin.ProjectID
		copy(id[:], d.Bytes(len(id)))
		p := decodeProject(d, version)
		if d.Err() != nil {
			break
		}
		s.projects[id] = p
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	return s, nil
}

func decodeProject(d *index.Decoder, version uint64) *project {
	const maxRoutes, maxText = 1 << 24, 64 << 10
	p := &project{seed: maphash.MakeSeed(), done: newDone(), live: roaring.New(), reachable: roaring.New(), routeOf: make(map[Route]uint32)}
	for n := range d.Length(maxRoutes) {
		r := Route{Provider: tocsin.Provider(d.Number()), Host: d.Text(maxText), Topic: d.Text(maxText)}
		copy(r.Vapid[:], d.Bytes(len(r.Vapid)))
		if d.Err() != nil {
			return nil
		}
		p.routes = append(p.routes, r)
		p.routeOf[r] = uint32(n)
	}
	p.routeUses = make([]uint32, len(p.routes))
	r, w := &p.rows, &p.people
	flat := index.DecodeColumn[uint8](d)
	r.ids = make([]tocsin.SubscriptionID, len(flat)/len(tocsin.SubscriptionID{}))
	for i := range r.ids {
		copy(r.ids[i][:], flat[i*len(r.ids[i]):])
	}
	r.version = index.DecodeColumn[uint64](d)
	r.address = index.DecodeColumn[index.Ref](d)
	for _, column := range [...]*[]uint32{&r.vouched, &r.created, &r.active, &r.route, &r.profile, &r.next} {
		if version == withoutCreated && column == &r.created {
			r.created = make([]uint32, len(r.ids))
			continue
		}
		*column = index.DecodeColumn[uint32](d)
		if len(*column) != len(r.ids) {
			d.Fail("columns differ in length")
		}
	}
	if len(r.version) != len(r.ids) || len(r.address) != len(r.ids) {
		d.Fail("columns differ in length")
	}
	p.addresses = index.DecodeArena(d)
	p.known = index.Decode(d)
	w.key = index.DecodeColumn[index.Ref](d)
	w.first = index.DecodeColumn[uint32](d)
	w.keys = index.DecodeArena(d)
	w.known = index.Decode(d)
	if version > withoutNames {
		p.names = decodeNames(d)
		p.lists.decode(d, len(w.key), len(r.ids))
		p.done = decodeDone(d)
	}
	if d.Err() == nil {
		p.rebuild(d)
	}
	if d.Err() == nil {
		p.buildLists()
	}
	return p
}

// rebuild makes what is not stored.
func (p *project) rebuild(d *index.Decoder) {
	r, w := &p.rows, &p.people
	optedIn := p.known.Column(fieldOptedIn)
	hasPlatform, _ := p.known.Has(fieldPlatform) // older builds did not know it
	for i := range r.ids {
		o := uint32(i)
		if !p.addresses.Holds(r.address[o]) || int(r.profile[o]) > len(w.key) || int(r.next[o]) > len(r.ids) ||
			r.address[o] != 0 && int(r.route[o]) >= len(p.routes) {
			d.Fail("a subscription refers to what is not there")
			return
		}
		if !r.ids[o].IsZero() { // else erased
			p.byID.Insert(p.hashOfID(o), o, p.hashOfID)
		}
		if r.address[o] == 0 {
			continue
		}
		p.byAddress.Insert(p.hashOfAddress(o), o, p.hashOfAddress)
		p.live.Add(o)
		p.routeUses[r.route[o]]++
		if in, _ := optedIn.Get(o); in.Bits != 0 {
			p.reachable.Add(o)
		}
		if !hasPlatform {
			usual := target.UsualPlatform(p.routes[r.route[o]].Provider)
			p.known.Set(o, fieldPlatform, index.Value{Kind: index.Text, Text: usual})
		}
	}
	for n := range w.key {
		if len(w.first) != len(w.key) || !w.keys.Holds(w.key[n]) || int(w.first[n]) > len(r.ids) {
			d.Fail("a profile refers to what is not there")
			return
		}
		if w.key[n] != 0 { // else erased
			p.people.byKey.Insert(p.hashOfKey(uint32(n)), uint32(n), p.hashOfKey)
		}
	}
}
