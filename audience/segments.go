package audience

import (
	"context"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// segments are those of a project whose rows are kept. What counts is the
// definition that a query brings: rows are kept for what a definition means, by
// no name, and nobody is answered from rows that lag behind.
//
// The writer notes each row that changes, once, however many segments are kept.
// Who asks for a segment has those rows evaluated again that were noted since it
// was last correct; when these are many, the definition is evaluated as if
// nothing were kept. CatchUp finds the rows at first, and keeps them from lagging.
//
// The writer has the shard's lock for itself, readers share it: nothing is noted
// while somebody reads, so that rows which one reader has corrected stay as they
// are for all others until the next write.
type segments struct {
	noted   []uint32 // rows that changed, the oldest first; the writer's, as is the next
	first   uint64   // number of the first of them
	mu      sync.Mutex
	kept    map[target.Sum]*kept
	once    map[target.Sum]bool // asked for, and not kept yet
	asked   uint64              // how often any was
	lags    chan<- struct{}     // the shard's
	reached uint64              // the greatest number that one is correct up to
}

// kept are the rows of a segment.
type kept struct {
	definition *target.Query
	asked      uint64 // which asking was the last for it; guarded by segments, as is the next
	bytes      int

	mu   sync.Mutex  // held while it is corrected, before that of segments
	rows *index.Rows // nil at first
	upTo uint64      // rows noted below this number are taken into account
}

const (
	// An eighth of the rows may be noted, in these bounds: to evaluate more of them
	// again costs as much as to evaluate all.
	leastNoted, mostNoted = 1 << 10, 1 << 17

	// prompt is how many noted rows somebody who asks has evaluated, and the most
	// that CatchUp does at a time: 0.4 ms. From a quarter on it does.
	prompt = 4096

	// What is kept takes so many bytes for each row that there is, or at least so
	// many: those that nobody asked for longest leave.
	keptPerRow, keptAtLeast = 8, 1 << 20

	// mostOnce is how many definitions are remembered as asked for once.
	mostOnce = 4096
)

// note says that something of a row changed that a lasting query may ask for.
func (s *segments) note(row uint32, rows int) {
	if len(s.kept) == 0 {
		return
	}
	n := len(s.noted)
	if n > 0 && s.noted[n-1] == row && s.reached < s.end() {
		return // and nobody has taken that into account
	}
	if n >= max(leastNoted, min(mostNoted, rows/8)) {
		s.first += uint64(n / 2)
		s.noted = s.noted[:copy(s.noted, s.noted[n/2:])]
	}
	s.noted = append(s.noted, row)
	if s.end()%(prompt/4) == 0 {
		s.tell()
	}
}

// tell says that there may be something for CatchUp.
func (s *segments) tell() {
	select {
	case s.lags <- struct{}{}:
	default: // it was said, or nothing is kept yet
	}
}

// noteAll says that something of every row may have changed.
func (s *segments) noteAll() {
	s.first, s.noted = s.end()+1, s.noted[:0]
	s.tell()
}

// end is the number of the next row that is noted.
func (s *segments) end() uint64 { return s.first + uint64(len(s.noted)) }

// segment returns the rows of a segment that are kept. They are right as long as
// the caller holds the shard's lock.
func (p *project) segment(definition *target.Query) *index.Rows {
	p.segments.mu.Lock()
	k := p.segments.kept[definition.Sum()]
	p.segments.mu.Unlock()
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rows == nil || k.upTo < p.segments.first || p.segments.end()-k.upTo > prompt {
		return nil
	}
	p.correct(k)
	return k.rows
}

// ask notes that a query asks for its segments, once an evaluation. Those whose
// answers do not move by themselves are kept from the second time on.
func (s *segments) ask(q *target.Query, lags chan<- struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for definition := range q.Definitions() {
		if definition.Lasting() {
			s.lags = lags
			s.askFor(definition)
		}
	}
}

func (s *segments) askFor(definition *target.Query) {
	sum := definition.Sum()
	s.asked++
	switch k := s.kept[sum]; {
	case k != nil:
		k.asked = s.asked
	case !s.once[sum]:
		if s.once == nil || len(s.once) == mostOnce {
			s.once = make(map[target.Sum]bool)
		}
		s.once[sum] = true
	default:
		delete(s.once, sum)
		if s.kept == nil {
			s.kept = make(map[target.Sum]*kept)
		}
		s.kept[sum] = &kept{definition: definition, asked: s.asked}
		s.tell()
	}
}

// correct evaluates the next rows that were noted. Its caller holds the segment.
func (p *project) correct(k *kept) {
	s := &p.segments
	next := s.noted[k.upTo-s.first:]
	if len(next) == 0 {
		return
	}
	next = next[:min(prompt, len(next))]
	around := &index.Around{Created: p.rows.created, Active: p.rows.active, Profile: p.rows.profile}
	some := roaring.BitmapOf(next...)
	if err := p.known.Correct(context.Background(), k.rows, k.definition, some, p.present(some), around); err != nil {
		panic(err) // the context never ends
	}
	k.upTo += uint64(len(next))
	p.weigh(k)
}

// weigh looks whether all that is kept still fits.
func (p *project) weigh(k *kept) {
	s := &p.segments
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached, k.bytes = max(s.reached, k.upTo), k.rows.Size()
	s.fit(max(keptAtLeast, keptPerRow*p.rows.ids.Len()))
}

// fit drops those that were not asked for longest until the others fit.
func (s *segments) fit(bytes int) {
	for s.bytes() > bytes {
		var oldest target.Sum
		least := s.asked + 1
		for sum, k := range s.kept {
			if k.asked < least {
				oldest, least = sum, k.asked
			}
		}
		delete(s.kept, oldest)
	}
}

func (s *segments) bytes() (all int) {
	for _, k := range s.kept {
		all += k.bytes
	}
	return all
}

func (s *segments) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes() + 4*cap(s.noted)
}

// behind returns the segment that most needs to be worked on, or nil; anew says
// that all of its rows have to be found.
func (s *segments) behind() (most *kept, anew bool) {
	s.mu.Lock()
	all := make([]*kept, 0, len(s.kept))
	for _, k := range s.kept {
		all = append(all, k)
	}
	s.mu.Unlock()
	longest := uint64(prompt/4 - 1)
	for _, k := range all {
		k.mu.Lock()
		lag := s.end() - k.upTo
		if k.rows == nil || k.upTo < s.first {
			most, anew = k, true
		} else if !anew && lag > longest {
			most, longest = k, lag
		}
		k.mu.Unlock()
	}
	return most, anew
}

// CatchUp works on one segment whose rows are kept and that lags behind. It
// reports whether there was one. One task calls it, until there is none, and then
// whenever Lags says so.
func (s *Shard) CatchUp(ctx context.Context) (worked bool, err error) {
	id, anew, worked := s.correctOne()
	if anew != nil {
		err = s.gather(ctx, id, anew)
	}
	return worked, err
}

// Lags tells that CatchUp may have something to do.
func (s *Shard) Lags() <-chan struct{} { return s.lags }

// correctOne corrects a segment, or returns one of which all rows have to be found.
func (s *Shard) correctOne() (id tocsin.ProjectID, anew *kept, worked bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, p := range s.projects {
		k, all := p.segments.behind()
		switch {
		case k == nil:
			continue
		case all:
			return id, k, true
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		p.correct(k)
		return id, nil, true
	}
	return id, nil, false
}

// gather finds all rows of a segment.
func (s *Shard) gather(ctx context.Context, id tocsin.ProjectID, k *kept) error {
	// A definition that lasts asks for no instant.
	return s.matching(ctx, id, k.definition, everyone(), time.Time{}, true, func(p *project, rows *roaring.Bitmap) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.rows, k.upTo = index.RowsOf(rows), p.segments.end()
		p.weigh(k)
	})
}
