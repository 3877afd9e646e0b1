package audience

import (
	"context"
	"math/bits"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// A query looks at the rows of a project in slices, and lets go of the shard's
// lock in between: whoever waits to write, and all that wait behind him, wait for
// one slice. What it finds is of one moment all the same, that of its end: rows that
// changed meanwhile are looked at again, until none has.
const (
	slice   = 500 * time.Microsecond // about; or half as long as the query takes to compile
	most    = 8                      // rounds over changed rows; what is left then is looked at in one slice
	restart = 3                      // times that a pass begins anew; then it is one slice
)

// pass is one query under way.
type pass struct {
	changed []uint64 // rows that changed since it began, a bit each
	anew    bool     // more than rows has changed: it begins again
}

func (w *pass) touch(row uint32) {
	for int(row>>6) >= len(w.changed) {
		w.changed = append(w.changed, make([]uint64, index.BlockWords)...)
	}
	w.changed[row>>6] |= 1 << (row & 63)
}

// touch tells the passes under way, and the segments that are kept, that a row has
// changed. The writer calls it for each row of which he changed anything that a
// target can see.
func (p *project) touch(ordinal uint32) {
	p.touchMoving(ordinal)
	p.segments.note(ordinal, p.rows.ids.Len())
}

// touchAll tells them that more has changed than single rows.
func (p *project) touchAll() {
	p.touchAllMoving()
	p.segments.noteAll()
}

// touchMoving is touch for what no segment that is kept asks about: the lists that
// a row is in, and what it did.
func (p *project) touchMoving(ordinal uint32) {
	for _, w := range p.passes {
		w.touch(ordinal)
	}
}

// touchAllMoving is touchAll for the same.
func (p *project) touchAllMoving() {
	for _, w := range p.passes {
		w.anew = true
	}
}

// announce is called before a change is applied. Kinds that do not touch the rows
// they change have all passes begin anew.
func (p *project) announce(change *record.Change) {
	switch change.Change.(type) {
	case *record.Change_Upsert, *record.Change_OptIn, *record.Change_Delete, *record.Change_Gone, *record.Change_Profile, *record.Change_List, *record.Change_Event,
		*record.Change_Move, *record.Change_Arrive, *record.Change_Leave, *record.Change_Superseded:
	default:
		p.touchAll()
	}
}

// sliced calls part for all words of some rows while the lock is held for reading.
// ready is called before, and again whenever the project has changed; it tells how
// long a block takes. A question gives way to others between slices too.
func (s *Shard) sliced(ctx context.Context, p *project, words int, setup time.Duration, asked *question, ready func() time.Duration, part func(from, to int) bool) error {
	begun := time.Now()
	version, block := p.version, ready()
	for from := 0; from < words; {
		if from > 0 {
			s.mu.RUnlock()
			asked.rest(ctx, time.Since(begun))
			s.mu.RLock()
			begun = time.Now()
			if p.version != version {
				version, block = p.version, ready()
			}
		}
		to := min(words, from+portion(from, block, max(s.slice, setup/2)))
		if !part(from, to) {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		from = to
	}
	asked.work(time.Since(begun))
	return nil
}

// portion is how many words to look at in a slice: whole blocks, or a part of one.
func portion(from int, block, slice time.Duration) int {
	n := index.BlockWords * int(slice) / max(int(block), 1)
	if left := index.BlockWords - from%index.BlockWords; n >= left {
		return left + (n-left)/index.BlockWords*index.BlockWords
	}
	const least = 64
	return min(max(n, least), index.BlockWords-from%index.BlockWords)
}

// matching finds those of some rows of a project that match a query, nil being all
// of them, and calls last with them at the moment at which they do: nobody writes
// until it returns. The rows are its own only if it copies them.
func (s *Shard) matching(ctx context.Context, id tocsin.ProjectID, q *target.Query, of func(*project) *roaring.Bitmap, at time.Time, yield bool,
	last func(*project, *roaring.Bitmap)) error {
	other, err := s.whoGot(ctx, id, q)
	if err != nil {
		return err
	}
	var asked *question
	if yield {
		asked = s.courtesy.ask(ctx)
		defer asked.done()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[id]
	if p == nil { // nobody has registered yet
		p = newProject(id, s.number)
	}
	if q == nil {
		last(p, of(p))
		return nil
	}
	p.segments.ask(q, s.lags)
	for begun := 0; ; begun++ {
		rows, whole, err := s.pass(ctx, p, q, of, at, other, asked, begun == restart)
		if err != nil {
			return err
		}
		if whole {
			last(p, roaring.FromDense(rows, false))
			return nil
		}
	}
}

// pass is matching, once: not whole when it must begin again.
func (s *Shard) pass(ctx context.Context, p *project, q *target.Query, of func(*project) *roaring.Bitmap, at time.Time, other gotten, asker *question, atOnce bool) (rows []uint64, whole bool, err error) {
	w := p.begin()
	defer p.end(w)
	rows = index.Dense(of(p))
	var program *index.Program
	var cost func() time.Duration // of a block
	memo := new(index.Memo)
	ready := func() time.Duration {
		program = p.known.Compile(ctx, q, p.around(s, at, other, memo))
		return cost()
	}
	setup := p.known.Setup(q)
	if cost = func() time.Duration { return program.Cost() }; atOnce {
		cost = func() time.Duration { return 0 }
	}
	err = s.sliced(ctx, p, len(rows), setup, asker, ready, func(from, to int) bool {
		program.Narrow(rows, from, to)
		return !w.anew
	})
	for round := 0; err == nil && !w.anew; round++ {
		changed := w.changed
		if w.changed = nil; len(changed) == 0 {
			return rows, true, nil
		}
		asked, count := make([]uint64, len(changed)), 0
		for i, word := range changed {
			count += bits.OnesCount64(word)
			for ; word != 0; word &= word - 1 {
				if of(p).Contains(uint32(i<<6 | bits.TrailingZeros64(word))) {
					asked[i] |= word & -word
				}
			}
		}
		if missing := len(asked) - len(rows); missing > 0 {
			rows = append(rows, make([]uint64, missing)...)
		}
		if cost = func() time.Duration { return program.Few(1 + count*index.BlockWords/len(changed)) }; round == most {
			cost = func() time.Duration { return 0 }
		}
		err = s.sliced(ctx, p, len(changed), setup, asker, ready, func(from, to int) bool {
			program.Narrow(asked, from, to)
			for i := from; i < to; i++ {
				rows[i] = rows[i]&^changed[i] | asked[i]
			}
			return !w.anew
		})
	}
	return nil, false, err
}

// begin has the writer tell a new pass of what changes. Passes begin and end while
// the lock is held for reading.
func (p *project) begin() *pass {
	w := new(pass)
	p.passing.Lock()
	defer p.passing.Unlock()
	p.passes = append(p.passes, w)
	return w
}

func (p *project) end(w *pass) {
	p.passing.Lock()
	defer p.passing.Unlock()
	p.passes = slices.DeleteFunc(p.passes, func(other *pass) bool { return other == w })
}
