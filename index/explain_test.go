package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// The numbers of a funnel add up to the count, and each is what counting row by
// row gives; the verdicts of a person are those of the description, and agree with
// membership. 1,000 targets, more than 100,000 pairs of a person and a target.
func TestFunnelAddsUp(t *testing.T) {
	t.Logf("worlds from -seed %d", *seed)
	zone, pairs, targets := zonesOf(), 0, 0
	for number := *seed; targets < 1000 || pairs < 100_000; number++ {
		w := newWorld(rand.New(rand.NewPCG(number, 2)), zone)
		for range 3 * len(w.rows) {
			w.change()
		}
		for range asked {
			q, err := w.parse(w.query(3))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.explained(t, q, targets < 1000); err != nil {
				t.Fatalf("-seed %d: %s: %v", number, q, err)
			}
			targets++
			pairs += len(w.rows)
		}
	}
	t.Logf("%d targets, %d pairs", targets, pairs)
}

// explained looks at the verdicts of a target, and at its funnel if asked to.
func (w *world) explained(t *testing.T, q *target.Query, funnel bool) error {
	all := roaring.New()
	for _, row := range w.rows {
		if w.IntN(5) > 0 {
			all.Add(row)
		}
	}
	rows, sample := Dense(all), w.IntN(4)
	f := NewFunnel(t.Context(), q, sample)
	for from := 0; from < len(rows); { // in parts, between which it is made ready anew
		f.Compile(w.x, w.around)
		to := min(len(rows), (from/blockWords+1)*blockWords)
		if w.IntN(2) == 0 {
			to = min(to, from+1+w.IntN(blockWords))
		}
		f.Add(rows, from, to)
		from = to
	}
	count, err := w.x.Run(t.Context(), q, all, w.around)
	if err != nil {
		return err
	}
	if left := roaring.FromDense(rows, false); !left.Equals(count) || f.Left != count.GetCardinality() || f.Of != all.GetCardinality() {
		return fmt.Errorf("the funnel leaves %v of %d, counted are %v", left.ToArray(), f.Of, count.ToArray())
	}
	if err := sampled(f.In, sample, int(f.Left), count.Contains); err != nil {
		return err
	}
	for i := range f.Steps {
		if !funnel {
			break
		}
		if err := w.step(f, i, all, sample); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	for _, row := range w.rows {
		v := w.x.Verdict(t.Context(), q, row, w.around)
		if all.Contains(row) && v.Matches != count.Contains(row) {
			return fmt.Errorf("the verdict of row %d is %v, its membership %v", row, v.Matches, count.Contains(row))
		}
		if err := (seen{w.n.row(row), row, w.around, q}).agrees(&v); err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
	}
	return nil
}

// step counts one step row by row.
func (w *world) step(f *Funnel, number int, all *roaring.Bitmap, sample int) error {
	var left, only, came uint64
	matches := func(n *target.Node, row uint32) bool { return seen{w.n.row(row), row, w.around, f.query}.matches(n) }
	reaches := func(row uint32) bool { // those before it
		for i := range number {
			if !matches(f.Steps[i].Node, row) {
				return false
			}
		}
		return true
	}
	step := &f.Steps[number]
	out := func(row uint32) bool { return all.Contains(row) && reaches(row) && !matches(step.Node, row) }
	for _, row := range all.ToArray() {
		if !reaches(row) {
			continue
		}
		came++
		if matches(step.Node, row) {
			left++
			continue
		}
		others := true
		for i := number + 1; i < len(f.Steps); i++ {
			others = others && matches(f.Steps[i].Node, row)
		}
		if others {
			only++
		}
	}
	if step.Left != left || step.Only != only || step.Matched != left {
		return fmt.Errorf("%d left (as a clause %d), %d only by it; want %d and %d", step.Left, step.Matched, step.Only, left, only)
	}
	var inner func(c *Clause) error
	inner = func(c *Clause) error {
		want := uint64(0)
		for _, row := range all.ToArray() {
			if reaches(row) && matches(c.Node, row) {
				want++
			}
		}
		if c.Matched != want {
			return fmt.Errorf("%d of %d match an inner %s, want %d", c.Matched, came, c.Node.Op, want)
		}
		for i := range c.Inner {
			if err := inner(&c.Inner[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := inner(&step.Clause); err != nil {
		return err
	}
	return sampled(step.Out, sample, int(came-left), out)
}

func sampled(rows []uint32, most, of int, belongs func(uint32) bool) error {
	if len(rows) != min(most, of) {
		return fmt.Errorf("a sample of %d, want %d of %d", len(rows), most, of)
	}
	seen := roaring.New()
	for _, row := range rows {
		if !belongs(row) || !seen.CheckedAdd(row) {
			return fmt.Errorf("row %d does not belong in the sample", row)
		}
	}
	return nil
}

// agrees compares a verdict, those inside it, and what was looked at, with the
// description of the language.
func (p seen) agrees(v *Verdict) error {
	if want := p.matches(v.Node); v.Matches != want {
		return fmt.Errorf("%s on %q is %v, want %v", v.Node.Op, v.Node.Name, v.Matches, want)
	}
	if n := v.Node; n.Op > target.Not && !n.Native.Membership() && n.Op != target.Contains && n.Op != target.ContainsAll {
		if value, has := p.value(n); has && v.Value != value || !has && v.Value.Kind != 0 {
			return fmt.Errorf("%q is seen as %v, want %v", n.Name, v.Value, value)
		}
	}
	for i := range v.Inner {
		within := p
		if name := v.Inner[i].Segment; name != "" {
			within.query = p.query.Segment(name)
		}
		if err := within.agrees(&v.Inner[i]); err != nil {
			return err
		}
	}
	return nil
}
