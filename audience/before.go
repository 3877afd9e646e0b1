package audience

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// Snapshots before version 3 were one stream of bytes, written whole.
const (
	withoutNames   = 2 // did not hold how names of attributes changed, lists, nor events
	withoutCreated = 1 // nor when subscriptions registered
)

// decodeShard reads a shard from a snapshot before version 3, up to its end.
func decodeShard(number tocsin.Shard, from io.Reader) (*Shard, error) {
	const maxWriters, maxProjects = 1 << 24, 1 << 24
	d := index.NewDecoder(from)
	version := d.Number()
	if version != withoutCreated && version != withoutNames && d.Err() == nil {
		return nil, fmt.Errorf("audience: a snapshot in blocks has version %d, this build reads %d and %d", version, withoutCreated, withoutNames)
	}
	s := NewShard(number)
	s.applied = d.Number()
	for range d.Length(maxWriters) {
		writer := d.Number()
		s.seen[writer] = d.Number()
	}
	for range d.Length(maxProjects) {
		var id tocsin.ProjectID
		copy(id[:], d.Bytes(len(id)))
		p := decodeProject(d, version, id, number)
		if d.Err() != nil {
			break
		}
		s.projects[id] = p
	}
	if _, err := io.Copy(io.Discard, from); err != nil || d.Err() != nil {
		return nil, fmt.Errorf("audience: %w", errors.Join(d.Err(), err))
	}
	return s, nil
}

func decodeProject(d *index.Decoder, version uint64, id tocsin.ProjectID, shard tocsin.Shard) *project {
	p := newProject(id, shard)
	p.decodeRoutes(d)
	r, w := &p.rows, &p.people
	for id := range slices.Chunk(index.DecodeColumn[uint8](d), len(tocsin.SubscriptionID{})) {
		var whole tocsin.SubscriptionID
		copy(whole[:], id)
		r.ids.Append(whole)
	}
	r.version = index.CellsOf(index.DecodeColumn[uint64](d))
	r.since = index.CellsOf(make([]int64, r.ids.Len()))
	r.address = index.CellsOf(index.DecodeColumn[index.Ref](d))
	for _, column := range [...]*index.Cells[uint32]{&r.vouched, &r.created, &r.active, &r.route, &r.profile, &r.next} {
		if version == withoutCreated && column == &r.created {
			r.created = index.CellsOf(make([]uint32, r.ids.Len()))
			continue
		}
		*column = index.CellsOf(index.DecodeColumn[uint32](d))
	}
	p.addresses = index.DecodeArena(d)
	p.known = index.Decode(d)
	w.key = index.CellsOf(index.DecodeColumn[index.Ref](d))
	w.first = index.CellsOf(index.DecodeColumn[uint32](d))
	w.keys = index.DecodeArena(d)
	w.known = index.Decode(d)
	if d.Err() == nil {
		p.rebuild(d.Fail)
	}
	return p
}
