package audience

import (
	"bytes"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

func (m *moves) size() (bytes int) {
	for _, rows := range m.away {
		bytes += int(rows.GetSizeInBytes())
	}
	const entry, passage, message, fresh = 40, 24, 500, 8 // about
	return bytes + entry*(len(m.departing)+len(m.arrived)+2*len(m.left)) + passage*(cap(m.arrivals)+cap(m.leavings)) + message*len(m.outbox) + fresh*cap(m.fresh)
}

func (m *moves) freeze() moves {
	frozen := *m
	frozen.sent, frozen.had, frozen.departing, frozen.arrived, frozen.left = maps.Clone(m.sent), maps.Clone(m.had), maps.Clone(m.departing), maps.Clone(m.arrived), maps.Clone(m.left)
	frozen.arrivals, frozen.leavings, frozen.fresh = slices.Clone(m.arrivals), slices.Clone(m.leavings), slices.Clone(m.fresh)
	frozen.away = make(map[tocsin.Shard]*roaring.Bitmap, len(m.away))
	for to, rows := range m.away {
		frozen.away[to] = rows.Clone()
	}
	return frozen
}

func (p *project) freezeMoves(m *index.Moment) []index.Stream {
	moves, environment := p.moves.freeze(), uint64(p.environment)
	return []index.Stream{p.rows.since.Freeze("since", m), index.Later("moves", func(e *index.Encoder) {
		e.Number(environment)
		moves.encode(e)
	})}
}

func (p *project) loadMoves(from *index.Saved) {
	p.rows.since = index.LoadCells[int64](from, "since")
	from.Whole("moves", func(d *index.Decoder) {
		p.environment = tocsin.Environment(d.Number())
		p.decodeMoves(d)
	})
}

func (m *moves) encode(e *index.Encoder) {
	for _, numbers := range [...]map[tocsin.Shard]uint64{m.sent, m.had} {
		e.Number(uint64(len(numbers)))
		for _, shard := range slices.Sorted(maps.Keys(numbers)) {
			e.Number(uint64(shard))
			e.Number(numbers[shard])
		}
	}
	e.Number(uint64(len(m.outbox)))
	for _, x := range m.outbox {
		e.Number(uint64(x.To))
		data, err := x.Arrive.MarshalVT()
		if err != nil {
			panic(err) // it came out of a record
		}
		e.Bytes(data)
	}
	e.Number(uint64(len(m.departing)))
	for _, o := range slices.Sorted(maps.Keys(m.departing)) {
		d := m.departing[o]
		e.Number(uint64(o))
		e.Number(uint64(d.to))
		e.Number(d.number)
	}
	e.Number(uint64(len(m.away)))
	for _, to := range slices.Sorted(maps.Keys(m.away)) {
		e.Number(uint64(to))
		index.EncodeColumn(e, m.away[to].ToArray())
	}
	encodePassages(e, m.arrivals, func(x passage) (arrival, bool) {
		came, ok := m.arrived[x.ordinal]
		return came, ok && came.position == x.position
	})
	encodePassages(e, m.leavings, func(x passage) (arrival, bool) {
		d, ok := m.left[x.ordinal]
		return d.came, ok && d.position == x.position
	})
	e.Number(uint64(len(m.fresh)))
	for _, f := range m.fresh {
		e.Number(uint64(f.ordinal))
		e.Number(bit(f.said))
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// encodePassages writes those that are still true, each with an arrival.
func encodePassages(e *index.Encoder, all []passage, with func(passage) (arrival, bool)) {
	all = slices.DeleteFunc(slices.Clone(all), func(x passage) bool { _, is := with(x); return !is })
	e.Number(uint64(len(all)))
	for _, x := range all {
		came, _ := with(x)
		for _, n := range [...]uint64{uint64(x.ordinal), x.position, uint64(x.at), uint64(came.from), came.position, came.left, bit(came.owed)} {
			e.Number(n)
		}
	}
}

func decodePassages(d *index.Decoder, rows int, with func(passage, arrival)) (all []passage) {
	for range d.Length(rows) {
		var n [7]uint64
		for i := range n {
			n[i] = d.Number()
		}
		x := passage{ordinalOf(d, n[0], rows), n[1], int64(n[2])}
		if d.Err() != nil {
			return nil
		}
		all = append(all, x)
		with(x, arrival{tocsin.Shard(n[3]), n[4], n[5], n[6] == 1})
	}
	return all
}

// ordinalOf fails unless a number is that of a row.
func ordinalOf(d *index.Decoder, n uint64, rows int) uint32 {
	if n >= uint64(rows) {
		d.Fail("a move refers to what is not there")
	}
	return uint32(n)
}

func (p *project) decodeMoves(d *index.Decoder) {
	const many = 1 << 32
	m, rows := &p.moves, p.rows.ids.Len()
	for _, numbers := range [...]map[tocsin.Shard]uint64{m.sent, m.had} {
		for range d.Length(tocsin.MaxShards) {
			shard := tocsin.Shard(d.Number())
			numbers[shard] = d.Number()
		}
	}
	for range d.Length(many) {
		x := Message{To: tocsin.Shard(d.Number()), Scope: p.scope(), Arrive: new(record.Arrive)}
		if err := x.Arrive.UnmarshalVT(bytes.Clone(d.Bytes(journal.MaxRecord))); err != nil {
			d.Fail("what is on its way to shard %d cannot be read: %v", x.To, err)
		}
		if d.Err() != nil {
			return
		}
		m.outbox = append(m.outbox, x)
	}
	for range d.Length(rows) {
		o := ordinalOf(d, d.Number(), rows)
		m.departing[o] = departing{tocsin.Shard(d.Number()), d.Number()}
	}
	for range d.Length(tocsin.MaxShards) {
		to := tocsin.Shard(d.Number())
		m.away[to] = roaring.BitmapOf(index.DecodeColumn[uint32](d)...)
	}
	m.arrivals = decodePassages(d, rows, func(x passage, came arrival) { m.arrived[x.ordinal] = came })
	m.leavings = decodePassages(d, rows, func(x passage, came arrival) { m.left[x.ordinal] = departed{x.position, came} })
	for range d.Length(many) {
		f := fresh{ordinal: ordinalOf(d, d.Number(), rows)}
		f.said = d.Number() == 1
		if d.Err() != nil {
			return
		}
		m.fresh = append(m.fresh, f)
	}
}

// Outbox is what the shard has for others and does not know to be durable there,
// of each project in order.
func (s *Shard) Outbox() (all []Message) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.projects {
		all = append(all, p.moves.outbox...)
	}
	slices.SortStableFunc(all, func(a, b Message) int { return bytes.Compare(a.Scope.Project[:], b.Scope.Project[:]) })
	return all
}
