package index

import (
	"math"
	"math/bits"

	"github.com/tocsin-push/tocsin/target"
)

// did is a clause on what people did: a row is looked up as its person, or as
// itself when it is nobody's.
type did struct {
	own, people doers
	profile     *Cells[uint32]
	few         int // rows of a block that are looked up one by one
}

func (d *did) narrow(number uint32, rows *words) {
	if rows.count() <= d.few {
		pick(rows, func(low uint32) bool {
			of, row := d.doer(number<<16 | low)
			return of.passes(row)
		})
		return
	}
	cells := d.profile.Block(number)
	var own, people *words
	block := uint32(math.MaxUint32) // of people
	for w := range rows {
		asked, found, alone := rows[w], uint64(0), uint64(0)
		if bits.OnesCount64(asked) <= few {
			for left := asked; left != 0; left &= left - 1 {
				of, row := d.doer(number<<16 | uint32(w<<6|bits.TrailingZeros64(left)))
				found |= of.block(row >> 16)[uint16(row)>>6] >> (row & 63) & 1 << bits.TrailingZeros64(left)
			}
			rows[w] = found
			continue
		}
		here := cells[min(w<<6, len(cells)):]
		if len(here) < 64 {
			alone = ^uint64(0) << len(here)
		}
		for i, person := range here[:min(64, len(here))] {
			// Nobody is looked up as the first of the block, and then taken out:
			// nobody could foretell a branch.
			nobody := uint32((uint64(person) - 1) >> 63)
			number := person - 1 + nobody*(block<<16+1)
			if number>>16 != block {
				if alone |= uint64(nobody) << i; asked>>i&1 == 0 || nobody != 0 {
					continue
				}
				block = number >> 16
				people = d.people.block(block)
			}
			found |= people[uint16(number)>>6] >> (number & 63) & 1 << i
			alone |= uint64(nobody) << i
		}
		if alone &= asked; alone != 0 {
			if own == nil {
				own = d.own.block(number)
			}
			found = found&^alone | own[w]&alone
		}
		rows[w] = found & asked
	}
}

// doer finds whose a row is.
func (d *did) doer(row uint32) (of *doers, number uint32) {
	if person := d.profile.At(row); person != 0 {
		return &d.people, person - 1
	}
	return &d.own, row
}

// times is how often the person of a row did what a clause counts.
func (c *compiler) times(e *target.Event, row uint32) int {
	of, number := c.didLeaf(e).doer(row)
	return of.times(number)
}

// Memo keeps what was found of people for the next time that the same query is
// compiled, for the same instant: whoever lets the writer go on between two blocks
// needs not find it again. It is used by one evaluation at a time.
type Memo struct{ did map[*target.Event]*did }

func (c *compiler) didLeaf(e *target.Event) *did {
	memo := c.around.Memo
	if memo != nil && memo.did[e] != nil {
		d := memo.did[e]
		d.own.renew(c.around.Own, e.Name)
		d.people.renew(c.around.People, e.Name)
		d.profile = &c.around.Profile
		return d
	}
	test, t := testOf(e, c.around.Now), new(tally)
	d := &did{own: doersOf(c.around.Own, e.Name, test, t), people: doersOf(c.around.People, e.Name, test, t), profile: &c.around.Profile,
		few: c.x.shape.doers}
	if memo != nil {
		if memo.did == nil {
			memo.did = make(map[*target.Event]*did)
		}
		memo.did[e] = d
	}
	return d
}

// event compiles a clause on what somebody did.
func (c *compiler) event(e *target.Event) *node {
	d := c.didLeaf(e)
	test := d.own.test
	n := &node{leaf: d, cost: blockRows * costRow}
	rows := float64(max(c.around.Created.Len(), 1))
	for _, part := range [...]*doers{&d.own, &d.people} {
		if part.event == nil {
			continue
		}
		share, times := float64(part.event.rows)/rows, 0.0
		if test.byDay() {
			for _, day := range part.days() {
				times += float64(day.rows.Len()) / rows
			}
			n.cost += float64(len(part.days())) * costWords
			share = min(share, times)
		}
		n.share += share
		n.cost += times * blockRows * costRow
	}
	if n.share = min(n.share, 1); test.counted && test.count.holds(0) && !test.timed {
		n.share = 1 - n.share/2
	}
	return n
}
