package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Send is one send on this shard, from its open until its close.
type Send struct {
	ID         tocsin.SendID
	Scope      record.Scope
	Slice      uint64 // position of its slice
	Opened     uint64 // position of the record that put the open in force
	Term       uint64 // of the open
	Generation uint64 // of the shard's ordinals
	Changes    uint64 // its ordinals are known to whoever has applied changes below this position
	Due        time.Time
	Expiry     time.Time // nothing leaves after it; zero never
	OnDoubt    tocsin.OnDoubt
	Attempts   int    // limit of those whose answer is lost
	Unknown    uint64 // explicit recipients that nobody knows
	Audience   int    // pushes of all lots
	Cancelled  bool
	Closed     bool
	Steering   Steering

	pausedAt  int64 // when it was opened or steered last; Unix nanoseconds
	pausedFor int64 // before that

	origin   *record.Origin // nil: scheduled
	lots     []*Lot
	pages    []*Page
	open     int
	states   [states]int
	doubtful [tocsin.InDoubt + 1]int
	reasons  []tally // mostly one; a send to one push is not to cost a table of all
}

// tally is how many pushes of a send have an outcome for a reason.
type tally struct {
	outcome tocsin.Outcome
	reason  tocsin.Reason
	count   int
}

// Lot is the part of an audience on one route and in one activity bucket. Its
// pages follow each other.
type Lot struct {
	Provider   tocsin.Provider
	Credential tocsin.CredentialID
	Host       string
	Topic      string
	Bucket     int
	Count      int
	First      int // number of its first page

	data   []byte // roaring bitmap, portable form
	bitmap *roaring.Bitmap
	// Pages are mostly asked for in order: rank is that of walk's next ordinal.
	walk roaring.ManyIntIterable
	rank int
}

// Pages is the number of pages of the send.
func (s *Send) Pages() int { return len(s.pages) }

// Page returns page n, 0 to Pages()-1.
func (s *Send) Page(n int) *Page { return s.pages[n] }

// Ordinals appends the ordinals of page n, in push order. Not for use by
// several goroutines at once.
func (s *Send) Ordinals(n int, dst []uint32) []uint32 {
	p := s.pages[n]
	lot := p.lot
	if lot.walk == nil || lot.rank > p.rank {
		lot.walk, lot.rank = lot.bitmap.ManyIterator(), 0
	}
	if lot.rank < p.rank {
		skip := make([]uint32, min(256, p.rank-lot.rank))
		for lot.rank < p.rank {
			lot.rank += lot.walk.NextMany(skip[:min(len(skip), p.rank-lot.rank)])
		}
	}
	from := len(dst)
	dst = slices.Grow(dst, p.size)[:from+p.size]
	for from < len(dst) {
		got := lot.walk.NextMany(dst[from:])
		from += got
		lot.rank += got
	}
	return dst
}

// Locate finds the push of an ordinal.
func (s *Send) Locate(ordinal uint32) (page, index int, ok bool) {
	for _, lot := range s.lots {
		if lot.bitmap.Contains(ordinal) {
			rank := int(lot.bitmap.Rank(ordinal)) - 1
			return lot.First + rank/tocsin.PageSize, rank % tocsin.PageSize, true
		}
	}
	return 0, 0, false
}

func readLot(r *record.Lot) (*Lot, error) {
	lot := &Lot{Bucket: int(r.Bucket), Count: int(r.Count), data: r.Ordinals}
	if r.Route != nil {
		lot.Provider, lot.Host, lot.Topic = tocsin.Provider(r.Route.Provider), r.Route.Host, r.Route.Topic
		copy(lot.Credential[:], r.Route.Credential)
	}
	return lot, lot.load()
}

func (l *Lot) load() error {
	l.bitmap = roaring.New()
	if _, err := l.bitmap.FromBuffer(l.data); err != nil {
		return fmt.Errorf("ordinals of a lot: %w", err)
	}
	if have := l.bitmap.GetCardinality(); have != uint64(l.Count) || have == 0 {
		return fmt.Errorf("a lot of %d ordinals says %d", have, l.Count)
	}
	return nil
}

// cut numbers the pages of the lots, every push fresh.
func (s *Send) cut() {
	for _, lot := range s.lots {
		lot.First = len(s.pages)
		for rank := 0; rank < lot.Count; rank += tocsin.PageSize {
			size := min(tocsin.PageSize, lot.Count-rank)
			s.pages = append(s.pages, &Page{lot: lot, rank: rank, size: size, open: size, runs: []run{{size, fresh}}})
		}
		s.Audience += lot.Count
	}
	s.open = s.Audience
	s.states[Unclaimed] = s.Audience
}

// cancel ends every push that nobody holds.
func (s *Send) cancel() {
	s.Cancelled = true
	for _, p := range s.pages {
		if p.open > 0 {
			s.change(p, Span{0, p.size}, func(p Push) Push {
				if s := p.State(); s == Unclaimed || s == Waiting {
					return p.cancel()
				}
				return p
			})
		}
	}
}
