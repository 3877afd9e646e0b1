package index

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

var (
	cases = flag.Int("cases", 4000, "random targets that are compared with reading rows one by one")
	seed  = flag.Uint64("seed", rand.Uint64()>>32, "of the first world; later ones count up")
)

// asked is how many targets are asked of each world.
const asked = 40

// After any changes, snapshots among them, every target finds the rows that
// reading the language's description row by row finds. With the laws of logic:
// De Morgan's, that $not parts all rows in two, and that the order of $and does
// not matter.
func TestAgreesWithReadingRowByRow(t *testing.T) {
	t.Logf("%d targets, worlds from -seed %d", *cases, *seed)
	worlds, zone := make(chan uint64), zonesOf()
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for number := range worlds {
				if err := live(t, number, zone); err != nil {
					t.Errorf("-seed %d -cases 1: %v", number, err)
				}
			}
		})
	}
	for i := range (*cases + asked - 1) / asked {
		if t.Failed() {
			break
		}
		worlds <- *seed + uint64(i)
	}
	close(worlds)
	all.Wait()
}

func live(t *testing.T, number uint64, zone func(string) (*time.Location, bool)) error {
	return newWorld(rand.New(rand.NewPCG(number, 0)), zone).live(t, asked)
}

// Blocks that are nearly full, and columns of the usual shape.
func TestAgreesInACrowd(t *testing.T) {
	zone := zonesOf()
	for number := *seed; number < *seed+4; number++ {
		w := newWorld(rand.New(rand.NewPCG(number, 1)), zone)
		w.rows, w.x.shape = w.rows[:0], usual
		for _, row := range w.Perm(9000 + w.IntN(9000)) {
			w.rows = append(w.rows, uint32(blockRows-5000+row))
		}
		for i := range w.fields {
			w.fields[i].values *= 1 << w.IntN(9)
		}
		for i, f := range w.fields {
			if f.name == "language" || f.name == "city" {
				w.fields[i].values = 5
			}
		}
		for _, row := range w.rows {
			for _, f := range w.fields {
				if w.IntN(8) > 0 {
					w.give(row, f.name, w.drawn(f))
				}
			}
		}
		if err := w.live(t, 10); err != nil {
			t.Errorf("-seed %d: %.1000v", number, err)
		}
	}
}

// live asks targets of a world while it changes.
func (w *world) live(t *testing.T, targets int) error {
	for range 3 * len(w.rows) {
		w.change()
	}
	for i := range targets {
		for range w.IntN(6) {
			w.change()
		}
		if w.IntN(200) == 0 {
			w.x = again(t, w.x)
			w.restart()
		}
		all := roaring.New()
		for _, row := range w.rows {
			if w.IntN(5) > 0 {
				all.Add(row)
			}
		}
		first, second := w.query(3), w.query(2)
		a, err := w.ask(t, first, all)
		if err != nil {
			return fmt.Errorf("target %d: %w", i, err)
		}
		q, _ := w.parse(first)
		if want := w.n.run(q, all.ToArray(), w.around); !slices.Equal(a.ToArray(), want) {
			return fmt.Errorf("target %d: %s finds %v, want %v", i, first, a.ToArray(), want)
		}
		if w.IntN(4) == 0 {
			if err := w.remembers(t, q, all); err != nil {
				return fmt.Errorf("target %d: %s, compiled again after changes, %w", i, first, err)
			}
			if a, err = w.ask(t, first, all); err != nil {
				return fmt.Errorf("target %d: %w", i, err)
			}
		}
		b, err := w.ask(t, second, all)
		if err != nil {
			return fmt.Errorf("target %d: %w", i, err)
		}
		law, want := `{"$not":`+first+`}`, roaring.AndNot(all, a)
		switch w.IntN(4) {
		case 0:
			law, want = `{"$and":[`+first+`,`+second+`]}`, roaring.And(a, b)
		case 1:
			law, want = `{"$and":[`+second+`,`+first+`]}`, roaring.And(a, b)
		case 2:
			law, want = `{"$not":{"$or":[{"$not":`+first+`},{"$not":`+second+`}]}}`, roaring.And(a, b)
		}
		if got, err := w.ask(t, law, all); err != nil || !got.Equals(want) {
			return fmt.Errorf("target %d: %s finds %v, want %v, %v", i, law, got, want, err)
		}
	}
	if !w.n.agrees(w.x) || !w.eventsAgree() {
		return fmt.Errorf("values read back differ")
	}
	return nil
}

// remembers compiles a query several times while things change, keeping what was
// found of people.
func (w *world) remembers(t *testing.T, q *target.Query, all *roaring.Bitmap) error {
	around := *w.around
	around.Memo = new(Memo)
	for range w.IntN(4) {
		around.Created, around.Active, around.Profile = w.around.Created, w.around.Active, w.around.Profile
		if got, want := found(t, w.x, q, all, &around), w.n.run(q, all.ToArray(), w.around); !slices.Equal(got, want) {
			return fmt.Errorf("finds %v, want %v", got, want)
		}
		for range w.IntN(8) {
			w.change()
		}
	}
	return nil
}

func (w *world) ask(t *testing.T, query string, all *roaring.Bitmap) (*roaring.Bitmap, error) {
	q, err := w.parse(query)
	if err != nil {
		return roaring.New(), fmt.Errorf("%s: %w", query, err)
	}
	before := all.Clone()
	rows, err := w.x.Run(t.Context(), q, all, w.around)
	if !all.Equals(before) {
		return rows, fmt.Errorf("%s changes the rows it was given", query)
	}
	return rows, err
}

func found(t *testing.T, x *Index, q *target.Query, all *roaring.Bitmap, around *Around) []uint32 {
	t.Helper()
	rows, err := x.Run(t.Context(), q, all, around)
	if err != nil {
		t.Fatal(err)
	}
	return rows.ToArray()
}
