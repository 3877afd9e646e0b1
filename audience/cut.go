package audience

import (
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/record"
)

// Cut says which subscriptions a send finds on a shard while some of them move.
// Both are ends of the shard's log of changes: Before was asked, of all shards,
// before Mark was asked of any, and both after the request to send had arrived.
//
// A subscription that left at Before or later counts here, and one that came at
// Mark or later does not. So none is missed: if its leaving is below Before, its
// arrival was durable when the mark of the other shard was asked. And it counts
// twice only if it arrived before the mark and left after Before, while the
// request was under way and the move was not answered yet.
type Cut struct{ Before, Mark uint64 }

// CutOf is the cut of a slice; those of older builds have the mark alone.
func CutOf(s *record.Slice) Cut {
	c := Cut{s.Before, s.Mark}
	if c.Before == 0 {
		c.Before = c.Mark
	}
	return c
}

// stay is how long what a subscription left behind is kept for sends of before,
// by the time of the log.
const stay = time.Hour

// age lets go of what no send can need any more.
func (p *project) age(now int64) {
	m := &p.moves
	for len(m.leavings) > 0 && now-m.leavings[0].at > int64(stay) {
		first := m.leavings[0]
		m.leavings = m.leavings[1:]
		if m.left[first.ordinal].position == first.position {
			p.revive(first.ordinal)
		}
	}
	for len(m.arrivals) > 0 && now-m.arrivals[0].at > int64(stay) {
		first := m.arrivals[0]
		m.arrivals = m.arrivals[1:]
		if m.arrived[first.ordinal].position == first.position {
			delete(m.arrived, first.ordinal)
		}
	}
}

// counts reports whether a send finds one that came by an arrival.
func (c Cut) counts(came arrival) bool {
	return came.position < c.Mark || came.left != 0 && came.left >= c.Before
}

// reachable gives those who are opted in as a send finds them.
func (c Cut) reachable() func(*project) *roaring.Bitmap {
	var rows *roaring.Bitmap
	var version uint64
	return func(p *project) *roaring.Bitmap {
		if rows == nil || version != p.version {
			rows, version = p.found(p.reachable, c), p.version
		}
		return rows
	}
}

// everyone gives those who live, and those who have left and are kept for sends
// of before.
func everyone() func(*project) *roaring.Bitmap {
	var rows *roaring.Bitmap
	var version uint64
	return func(p *project) *roaring.Bitmap {
		if rows == nil || version != p.version {
			rows, version = p.live, p.version
			if len(p.moves.left) > 0 {
				rows = roaring.Or(rows, roaring.BitmapOf(slices.Collect(maps.Keys(p.moves.left))...))
			}
		}
		return rows
	}
}

// present is which of some rows everyone gives.
func (p *project) present(some *roaring.Bitmap) *roaring.Bitmap {
	if len(p.moves.left) == 0 {
		return p.live
	}
	there := roaring.And(some, p.live)
	for rows := some.Iterator(); rows.HasNext(); {
		if row := rows.Next(); p.isKept(row) {
			there.Add(row)
		}
	}
	return there
}

func (p *project) isKept(ordinal uint32) bool {
	_, kept := p.moves.left[ordinal]
	return kept
}

// found is rows of live subscriptions as a send finds them: without those that
// came too late for it, and with those that left after it.
func (p *project) found(rows *roaring.Bitmap, cut Cut) *roaring.Bitmap {
	m := &p.moves
	if cut == (Cut{}) {
		return rows
	}
	changed := rows
	change := func() *roaring.Bitmap {
		if changed == rows {
			changed = rows.Clone()
		}
		return changed
	}
	late := sort.Search(len(m.arrivals), func(i int) bool { return m.arrivals[i].position >= cut.Mark })
	for _, a := range m.arrivals[late:] {
		if came, ok := m.arrived[a.ordinal]; ok && !cut.counts(came) {
			change().Remove(a.ordinal)
		}
	}
	gone := sort.Search(len(m.leavings), func(i int) bool { return m.leavings[i].position >= cut.Before })
	for _, l := range m.leavings[gone:] {
		if p.kept(l.ordinal, cut) {
			change().Add(l.ordinal)
		}
	}
	return changed
}

// kept reports whether a send finds what stayed of one that left.
func (p *project) kept(ordinal uint32, cut Cut) bool {
	d, ok := p.moves.left[ordinal]
	return ok && d.position >= cut.Before && (d.came == (arrival{}) || cut.counts(d.came))
}

// isMoved reports whether a send that found a subscription here may have found
// it on another shard too: it is leaving, has left, or left and came back.
func (p *project) isMoved(ordinal uint32) bool {
	_, leaving := p.moves.departing[ordinal]
	return leaving || p.isKept(ordinal) || p.moves.arrived[ordinal].left != 0
}
