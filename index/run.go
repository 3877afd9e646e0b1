package index

import (
	"context"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// Around is what a query is evaluated with beside what the index holds: native
// fields that the owner of the rows keeps, and the instant that is meant.
type Around struct {
	Now  time.Time                                // "now", and the day of "today"
	Zone func(name string) (*time.Location, bool) // IANA time zones

	Created, Active Cells[uint32] // by row, Unix seconds; 0 unknown
	Profile         Cells[uint32] // by row; 0 is nobody's

	// Own is what rows did that are nobody's, People what people did, by their
	// number in Profile less one. Nobody did anything where they are nil.
	Own, People *Events
	Memo        *Memo // nil: nothing is kept for the next compilation

	// Members are the rows of a named set that is no segment; nil is nobody. Its
	// rows number at most as many as Created has.
	Members func(target.Member) *Rows

	// Segment returns the rows of a segment where they are kept: exactly those that
	// its definition matches, as far as anybody can ask for them. Where it
	// returns nil, or is nil, the definition is evaluated.
	Segment func(definition *target.Query) *Rows
}

// BlockWords is how many words of a bit a row are stored and evaluated together.
const BlockWords = blockWords

// Program is a query made ready for an index as it is: good until the next
// write. One evaluation uses it at a time.
type Program struct {
	root *node
	run  run
}

// Compile makes a query ready. It takes about as long as Setup says.
func (x *Index) Compile(ctx context.Context, q *target.Query, around *Around) *Program {
	return &Program{(&compiler{x, around, q}).compile(q.Root()), run{ctx: ctx}}
}

// Cost is about how long a block of 65,536 rows takes, or less.
func (p *Program) Cost() time.Duration {
	cost, _, _ := p.root.worst()
	return time.Duration(cost)
}

// Few is about how long a block takes of which so many rows are asked about.
func (p *Program) Few(rows int) time.Duration {
	return time.Duration(float64(p.root.leaves())*2*costWords + float64(p.Cost())*float64(costLook*rows)/blockRows)
}

func (n *node) leaves() int {
	count := 1
	for _, inner := range n.nodes {
		count += inner.leaves()
	}
	return count
}

// Narrow leaves of rows, a bit each, those that match; it looks at the words from
// one to another, which are whole blocks or lie in one. When ctx has ended, what
// it leaves means nothing.
func (p *Program) Narrow(rows []uint64, from, to int) {
	blocks(rows, from, to, func(number uint32, rows *words) { p.root.narrow(&p.run, number, rows) })
}

// blocks calls each for every block of some words that holds a row. Of a block of which only a part
// is meant, what each leaves elsewhere does not count.
func blocks(rows []uint64, from, to int, each func(number uint32, rows *words)) {
	for from < to {
		number, next := from/blockWords, min(to, (from/blockWords+1)*blockWords)
		switch {
		case !slices.ContainsFunc(rows[from:next], func(word uint64) bool { return word != 0 }):
		case next-from == blockWords:
			each(uint32(number), (*words)(rows[from:]))
		default:
			var part words
			copy(part[from%blockWords:], rows[from:next])
			each(uint32(number), &part)
			copy(rows[from:next], part[from%blockWords:])
		}
		from = next
	}
}

// Run returns the rows out of all that the query matches, or the error of ctx.
// The result is the caller's own; all is not changed.
func (x *Index) Run(ctx context.Context, q *target.Query, all *roaring.Bitmap, around *Around) (*roaring.Bitmap, error) {
	rows := Dense(all)
	x.Compile(ctx, q, around).Narrow(rows, 0, len(rows))
	return roaring.FromDense(rows, false), ctx.Err()
}

// Correct makes a set agree with a query about some rows: it puts those in that
// are among all and match, and takes the others out.
func (x *Index) Correct(ctx context.Context, into *Rows, q *target.Query, some, all *roaring.Bitmap, around *Around) error {
	matching, err := x.Run(ctx, q, roaring.And(some, all), around)
	if err != nil {
		return err
	}
	for rows := some.Iterator(); rows.HasNext(); {
		if row := rows.Next(); matching.Contains(row) {
			into.Add(row)
		} else {
			into.Remove(row)
		}
	}
	return nil
}

// Dense is a bit a row, in whole blocks.
func Dense(rows *roaring.Bitmap) []uint64 {
	if rows.IsEmpty() {
		return nil
	}
	dense := make([]uint64, (int(rows.Maximum())>>16+1)*blockWords)
	rows.WriteDenseTo(dense)
	return dense
}
