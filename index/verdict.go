package index

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin/target"
)

// Verdict is what a node of a query says of one row, and what it looked at.
type Verdict struct {
	Node    *target.Node
	Matches bool
	Value   Value    // of the attribute or native field; its Kind is 0 when there is none; of an event how often it was counted
	Tags    []string // of the tag set
	Members []string // of the sets that are asked about, those that the row is in
	Inner   []Verdict

	Segment string // whose definition this is
}

// Verdict tells of every clause of a query whether a row matches it. It runs the
// same leaves as a count does, each by itself.
func (x *Index) Verdict(ctx context.Context, q *target.Query, row uint32, around *Around) Verdict {
	c := clauseOf(q.Root())
	c.ready(&compiler{x, around, q})
	var only, found words
	only[uint16(row)>>6] = 1 << (row & 63)
	c.match(&run{ctx: ctx}, row>>16, &only, &only, &found)
	return x.verdict(ctx, &c, q, row, around)
}

func (x *Index) verdict(ctx context.Context, c *Clause, q *target.Query, row uint32, around *Around) Verdict {
	v := Verdict{Node: c.Node, Matches: c.Matched > 0}
	for i := range c.Inner {
		v.Inner = append(v.Inner, x.verdict(ctx, &c.Inner[i], q, row, around))
	}
	n := c.Node
	switch {
	case n.Op <= target.Not:
	case n.Native == target.Segment:
		for _, name := range n.Values {
			if definition := q.Segment(name.Text); definition != nil {
				inner := x.Verdict(ctx, definition, row, around)
				if inner.Segment = name.Text; inner.Matches {
					v.Members = append(v.Members, name.Text)
				}
				v.Inner = append(v.Inner, inner)
			}
		}
	case n.Native.Membership():
		for _, name := range n.Values {
			if rows := around.Members(target.Member{Field: n.Native, Name: name.Text}); rows != nil && rows.Has(row) {
				v.Members = append(v.Members, name.Text)
			}
		}
	case n.Op == target.Contains || n.Op == target.ContainsAll:
		v.Tags = x.Tags(row, n.Name)
	case n.Op == target.Did:
		v.Value = Value{Kind: Integer, Bits: int64((&compiler{x, around, q}).times(n.Event, row))}
	case n.Native == target.Created:
		v.Value = second(around.Created.At(row))
	case n.Native == target.LastActive:
		v.Value = second(around.Active.At(row))
	case n.Native == target.HasProfile:
		v.Value = FlagValue(around.Profile.At(row) != 0)
	default:
		v.Value, _ = x.Get(row, n.Name)
		if n.Op == target.Exists {
			v.Tags = x.Tags(row, n.Name)
		}
	}
	return v
}

// second is the value of a cell that is kept in seconds.
func second(cell uint32) Value {
	if cell == 0 {
		return Value{}
	}
	return Value{Kind: Time, Bits: int64(cell) * int64(time.Second)}
}
