package audience

import (
	"cmp"
	"maps"
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
	all  []former       // only added to, or replaced: readers keep what they saw
	runs map[uint32]run // by ordinal; what stands in none of them is repeated in one
	dead int            // of all, in no run
}

// run is where the places of one ordinal stand, in order and each once.
type run struct{ first, count uint32 }

type former struct {
	ordinal uint32 // here
	shard   uint32
	was     uint32 // its ordinal there
	at      uint32 // when it left, in seconds of the log
}

// order is that of places; zero: it is the same.
func (f former) order(other former) int {
	return cmp.Or(cmp.Compare(f.ordinal, other.ordinal), cmp.Compare(f.shard, other.shard), cmp.Compare(f.was, other.was))
}

const (
	// placesLife is how long they are kept: as long as earlier sends, and a day in
	// which one may still have been on its way.
	placesLife = 31 * 24 * time.Hour

	formersSpare = 1024 // that may be dead before they are swept
)

// of are the places of an ordinal.
func (p *formers) of(ordinal uint32) []former {
	r := p.runs[ordinal]
	return p.all[r.first:][:r.count]
}

// add notes places of an ordinal. One that is known was left once more: whoever
// goes back and forth has as many places as shards.
func (p *formers) add(ordinal uint32, more []former) {
	have := p.of(ordinal)
	all := slices.Concat(have, more)
	slices.SortFunc(all, func(a, b former) int { return cmp.Or(a.order(b), cmp.Compare(b.at, a.at)) }) // the last first
	all = slices.CompactFunc(all, func(a, b former) bool { return a.order(b) == 0 })
	if slices.Equal(all, have) {
		return
	}
	if p.runs == nil {
		p.runs = map[uint32]run{}
	}
	p.dead += len(have)
	p.runs[ordinal] = run{uint32(len(p.all)), uint32(len(all))}
	p.all = append(p.all, all...)
	if p.dead > max(formersSpare, len(p.all)/2) {
		p.keep(func(former) bool { return true })
	}
}

// keep drops the dead, and what is not to be kept.
func (p *formers) keep(is func(former) bool) {
	kept := formers{}
	for _, ordinal := range slices.Sorted(maps.Keys(p.runs)) {
		var run []former
		for _, b := range p.of(ordinal) {
			if is(b) {
				run = append(run, b)
			}
		}
		kept.add(ordinal, run)
	}
	*p = kept
}

// cameFrom notes where a subscription that has come was before.
func (p *project) cameFrom(ordinal uint32, before []*record.Place) {
	var places []former
	for _, b := range before {
		if b.Shard != uint32(p.moves.shard) { // else it is back: its ordinal is the same
			places = append(places, former{ordinal, b.Shard, b.Ordinal, b.At})
		}
	}
	p.formers.add(ordinal, places)
}

// placesOf are those of a subscription that leaves at an instant, this one too.
func (p *project) placesOf(ordinal uint32, at int64) []*record.Place {
	all := []*record.Place{{Shard: uint32(p.moves.shard), Ordinal: ordinal, At: seconds(at)}}
	for _, b := range p.formers.of(ordinal) {
		all = append(all, &record.Place{Shard: b.shard, Ordinal: b.was, At: b.at})
	}
	return all
}

// forgetPlaces drops those that nobody asks for any more.
func (p *project) forgetPlaces(at int64) {
	old := func(b former) bool { return int64(b.at)*int64(time.Second)+int64(placesLife) <= at }
	if slices.ContainsFunc(p.formers.all, old) {
		p.formers.keep(func(b former) bool { return !old(b) })
	}
}

// eraseFormer drops those of a subscription that is erased.
func (p *project) eraseFormer(ordinal uint32) {
	if len(p.formers.of(ordinal)) > 0 {
		p.formers.keep(func(b former) bool { return b.ordinal != ordinal })
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
	var run []former // of one ordinal
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
		if n := len(run); n > 0 && (run[0].ordinal != b.ordinal || run[n-1].order(b) >= 0) {
			p.add(run[0].ordinal, run)
			run = nil
		}
		run = append(run, b)
	}
	if len(run) > 0 {
		p.add(run[0].ordinal, run)
	}
}

// size is about the memory that they hold, in bytes.
func (p *formers) size() int { return 16*cap(p.all) + 24*len(p.runs) }
