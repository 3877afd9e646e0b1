package index

import (
	"context"
	"math/bits"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// Around is what a query is evaluated with beside what the index holds: native
// fields that the owner of the rows keeps, and the instant that is meant.
type Around struct {
	Now  time.Time                                // "now", and the day of "today"
	Zone func(name string) (*time.Location, bool) // IANA time zones

	Created, Active []uint32 // by row, Unix seconds; 0 unknown
	Profile         []uint32 // by row; 0 is nobody's

	// Own is what rows did that are nobody's, People what people did, by their
	// number in Profile less one. Nobody did anything where they are nil.
	Own, People *Events

	// Members are the rows of a named set that is no segment; nil is nobody. Its
	// rows number at most as many as Created has.
	Members func(target.Member) *Rows

	// Segment returns the rows of a segment where they are kept: exactly those that
	// its definition matches, as far as anybody can ask for them. Where it
	// returns nil, or is nil, the definition is evaluated.
	Segment func(definition *target.Query) *Rows
}

// Run returns the rows out of all that the query matches, or the error of ctx.
// The result is the caller's own; all is not changed.
func (x *Index) Run(ctx context.Context, q *target.Query, all *roaring.Bitmap, around *Around) (*roaring.Bitmap, error) {
	root := (&compiler{x, around, q}).compile(q.Root())
	if root.op == target.And && len(root.nodes) == 0 {
		return all.Clone(), nil
	}
	dense := denseOf(all)
	err := root.run(ctx, dense, func(uint32, *words) {})
	return roaring.FromDense(dense, false), err
}

// Count returns how many rows out of all the query matches, and how many of
// those are in part too.
func (x *Index) Count(ctx context.Context, q *target.Query, all, part *roaring.Bitmap, around *Around) (matched, also uint64, err error) {
	root := (&compiler{x, around, q}).compile(q.Root())
	if root.op == target.And && len(root.nodes) == 0 {
		return all.GetCardinality(), all.AndCardinality(part), nil
	}
	inPart := denseOf(part)
	err = root.run(ctx, denseOf(all), func(number uint32, rows *words) {
		matched += uint64(rows.count())
		from := min(int(number)*blockWords, len(inPart))
		for i, word := range inPart[from:min(from+blockWords, len(inPart))] {
			also += uint64(bits.OnesCount64(rows[i] & word))
		}
	})
	return matched, also, err
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

// denseOf is a bit a row, in whole blocks.
func denseOf(rows *roaring.Bitmap) []uint64 {
	if rows.IsEmpty() {
		return nil
	}
	dense := make([]uint64, (int(rows.Maximum())>>16+1)*blockWords)
	rows.WriteDenseTo(dense)
	return dense
}

// run leaves of the rows those that match, a block at a time.
func (n *node) run(ctx context.Context, dense []uint64, each func(number uint32, rows *words)) error {
	r := &run{ctx: ctx}
	for number := range uint32(len(dense) / blockWords) {
		rows := (*words)(dense[int(number)*blockWords:])
		if rows.empty() {
			continue
		}
		n.narrow(r, number, rows)
		if err := ctx.Err(); err != nil {
			return err
		}
		each(number, rows)
	}
	return nil
}
