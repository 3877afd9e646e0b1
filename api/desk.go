package api

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
)

// desk is where the lines of a piece of an import lie from being read until all of
// them are placed together. It is used again for the next piece: what millions of
// lines pass through is not made anew for each.
type desk struct {
	room    *room
	lines   []readLine
	changes []*record.Upsert // one for each line; those behind are spare
	known   []byte           // what appendKnown writes of each
}

// readLine is a line that was read, and whose names were let pass.
type readLine struct {
	span     span
	edition  uint64
	from, to int // in known
}

// begin empties the desk, and returns room for a line.
func (d *desk) begin() *room {
	if d.room == nil {
		d.room = new(room)
	}
	d.lines, d.changes, d.known = d.lines[:0], d.changes[:0], d.known[:0]
	return d.room
}

// clear returns other room, after a line that stays in the one it was read into.
func (d *desk) clear() *room {
	d.room = new(room)
	return d.room
}

// take keeps a line that stands in the room, and returns room for the next.
func (d *desk) take(s span, u *record.Upsert, edition uint64) *room {
	n, from := len(d.changes), len(d.known)
	d.known = appendKnown(d.known, u)
	d.lines = append(d.lines, readLine{s, edition, from, len(d.known)})
	var spare *record.Upsert
	if n < cap(d.changes) {
		spare = d.changes[:n+1][n]
	}
	d.changes = append(d.changes, u)
	if audience.Weighs(u.Attributes, u.Tags) { // what is there already is weighed with them
		return d.clear()
	}
	u.Attributes, u.Tags = nil, nil
	d.room.upsert = spare
	return d.room
}

// settleDesk places the lines that lie on the desk, and takes those that fit. An
// error is about more than one line.
func (i *importing) settleDesk(ctx context.Context, p *piece, d *desk) error {
	if len(d.changes) == 0 {
		return nil
	}
	found, err := audience.Seek(ctx, i.server.Ask, i.scope.Project, d.changes...)
	if err != nil {
		return err
	}
	placed, heavy := make([]audience.Placed, len(d.changes)), map[tocsin.Shard][]int{}
	for n, u := range d.changes {
		placed[n], _ = found.Place(n, u, nil, p.at)
		if audience.Weighs(u.Attributes, u.Tags) {
			heavy[i.shardOf(u)] = append(heavy[i.shardOf(u)], n)
		}
	}
	weights, err := i.weigh(ctx, d, heavy)
	if err != nil {
		return err
	}
	for n, u := range d.changes {
		line := &d.lines[n]
		err := i.fits(ctx, u)
		if err == nil {
			err = i.server.fitsIn(weights[n], u)
		}
		if about := new(fieldError); errors.As(err, &about) {
			p.refuse(line.span, err)
			continue
		} else if err != nil {
			return err
		}
		p.changes.addEncoded(u, d.known[line.from:line.to], placed[n], line.edition)
		p.imported++
	}
	return nil
}

// weigh asks each shard once for the weights of its heavy changes; that of the others
// is none.
func (i *importing) weigh(ctx context.Context, d *desk, heavy map[tocsin.Shard][]int) ([]int, error) {
	weights := make([]int, len(d.changes))
	err := ask.Each(slices.Collect(maps.Keys(heavy)), func(_ int, shard tocsin.Shard) error {
		some := make([]*record.Upsert, len(heavy[shard]))
		for at, n := range heavy[shard] {
			some[at] = d.changes[n]
		}
		bytes, err := i.server.Ask[shard].Weights(ctx, i.scope.Project, some)
		for at, b := range bytes {
			weights[heavy[shard][at]] = b
		}
		return err
	})
	return weights, err
}
