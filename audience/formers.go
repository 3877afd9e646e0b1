package audience

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// formers are where subscriptions were before they moved here, for as long as it is
// asked who got a send there: a stored audience names ordinals of its shard. 16
// bytes each.
type formers struct {
	all  []former   // only added to, or replaced: readers keep what they saw
	rows index.Rows // that have some
}

type former struct {
	ordinal uint32 // here
	shard   uint32
	was     uint32 // its ordinal there
	at      uint32 // when it left, in seconds of the log
}

// placesLife is how long they are kept: as long as earlier sends, and a day in
// which one may still have been on its way.
const placesLife = 31 * 24 * time.Hour

// cameFrom notes where a subscription that has come was before.
func (p *project) cameFrom(ordinal uint32, before []*record.Place) {
	for _, b := range before {
		if b.Shard == uint32(p.moves.shard) { // it is back: its ordinal is the same
			continue
		}
		p.formers.all = append(p.formers.all, former{ordinal, b.Shard, b.Ordinal, b.At})
		p.formers.rows.Add(ordinal)
	}
}

// placesOf are those of a subscription that leaves at an instant, this one too.
func (p *project) placesOf(ordinal uint32, at int64) []*record.Place {
	all := []*record.Place{{Shard: uint32(p.moves.shard), Ordinal: ordinal, At: seconds(at)}}
	if !p.formers.rows.Has(ordinal) {
		return all
	}
	for _, b := range p.formers.all {
		if b.ordinal == ordinal {
			all = append(all, &record.Place{Shard: b.shard, Ordinal: b.was, At: b.at})
		}
	}
	return all
}

// forgetPlaces drops those that nobody asks for any more.
func (p *project) forgetPlaces(at int64) {
	old := func(b former) bool { return int64(b.at)*int64(time.Second)+int64(placesLife) <= at }
	if !slices.ContainsFunc(p.formers.all, old) {
		return
	}
	kept := formers{}
	for _, b := range p.formers.all {
		if !old(b) {
			kept.all = append(kept.all, b)
			kept.rows.Add(b.ordinal)
		}
	}
	p.formers = kept
}

// eraseFormer drops those of a subscription that is erased.
func (p *project) eraseFormer(ordinal uint32) {
	if p.formers.rows.Remove(ordinal) {
		p.formers.all = slices.DeleteFunc(slices.Clone(p.formers.all), func(b former) bool { return b.ordinal == ordinal })
	}
}

// shards are those that some of the places are on.
func shards(all []former) (some []tocsin.Shard) {
	for _, b := range all {
		if !slices.Contains(some, tocsin.Shard(b.shard)) {
			some = append(some, tocsin.Shard(b.shard))
		}
	}
	return some
}

func (p *formers) freeze() index.Stream {
	all := p.all
	return index.Later("places", func(e *index.Encoder) {
		e.Number(uint64(len(all)))
		for _, b := range all {
			for _, n := range [...]uint32{b.ordinal, b.shard, b.was, b.at} {
				e.Number(uint64(n))
			}
		}
	})
}

func (p *formers) decode(d *index.Decoder, rows int) {
	const most = 1 << 31
	for range d.Length(most) {
		var b former
		for _, n := range [...]*uint32{&b.ordinal, &b.shard, &b.was, &b.at} {
			*n = uint32(d.Number())
		}
		if d.Err() == nil && int(b.ordinal) >= rows {
			d.Fail("a place is of a subscription that is not there")
		}
		if d.Err() != nil {
			return
		}
		p.all = append(p.all, b)
		p.rows.Add(b.ordinal)
	}
}
