package receipt

import (
	"container/list"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// got reports whether a push reached its provider, or may have.
func got(o tocsin.Outcome, doubt bool) bool {
	return o == tocsin.Accepted || o == tocsin.InDoubt || doubt
}

// reached are the ordinals that got a push of a send that is open, so far; nil
// when it is not, or another project's.
func (m *Machine) reached(project tocsin.ProjectID, id tocsin.SendID) *index.Rows {
	c := m.open[id]
	if c == nil || c.send.Scope.Project != project {
		return nil
	}
	rows, ordinals := roaring.New(), []uint32(nil)
	for n := range c.send.Pages() {
		page := c.send.Page(n)
		ordinals = ordinals[:0]
		for span, push := range page.Runs(ledger.Span{From: 0, To: page.Size()}) {
			if !got(push.Outcome(), push.Mark()) {
				continue
			}
			if len(ordinals) == 0 {
				ordinals = c.send.Ordinals(n, ordinals)
			}
			rows.AddMany(ordinals[span.From:span.To])
		}
	}
	return index.RowsOf(rows)
}

// ReadReached is the same over all the rows of a closed send.
func ReadReached(project tocsin.ProjectID, rows []store.Row) (*index.Rows, error) {
	for _, r := range rows {
		if r.Key != openKey(0) {
			continue
		}
		e, err := record.Decode(r.Value)
		if err != nil {
			return nil, fmt.Errorf("receipt: row of an open: %w", err)
		}
		if record.Of(e).Project != project {
			return new(index.Rows), nil
		}
	}
	reached := roaring.New()
	err := ReadOutcomes(rows, func(o Outcome) bool {
		if got(o.Outcome, o.Doubt) {
			reached.Add(o.Ordinal)
		}
		return true
	})
	return index.RowsOf(reached), err
}

// Reached returns the ordinals of this shard that got a push of a send: it was
// accepted, or may have been. Of a send that is open it is what was known within
// the last second. Nobody got one that this shard never opened, or so long ago
// that its rows are gone. Nobody may change the rows. It needs Run to be running.
func (s *Shell) Reached(ctx context.Context, project tocsin.ProjectID, id tocsin.SendID) (*index.Rows, error) {
	key := sentKey{project, id}
	if rows := s.sent.get(key, time.Now()); rows != nil {
		return rows, nil
	}
	select { // one is read at a time; who waited may find it
	case s.sent.reading <- struct{}{}:
		defer func() { <-s.sent.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if rows := s.sent.get(key, time.Now()); rows != nil {
		return rows, nil
	}
	rows, closed, err := s.reached(ctx, key)
	if err == nil {
		s.sent.put(key, rows, closed, time.Now())
	}
	return rows, err
}

func (s *Shell) reached(ctx context.Context, key sentKey) (rows *index.Rows, closed bool, err error) {
	var pending []store.Write
	if err := s.ask(ctx, func(m *Machine) {
		rows = m.reached(key.project, key.send)
		// What is on its way to the store is taken down first, so that nothing falls
		// between.
		pending = append(slices.Clone(m.rows.flying[key.send]), m.rows.pending[key.send]...)
		closed = m.rows.ended[key.send] != nil
	}); err != nil || rows != nil {
		return rows, false, err
	}
	read, err := s.stored(ctx, key.send)
	if err != nil {
		return nil, false, err
	}
	found, err := read("", "page/") // all but the stories of pages
	if err != nil {
		return nil, false, err
	}
	newest := make(map[string]store.Row, len(found)+len(pending))
	for _, r := range found {
		newest[r.Key] = r
	}
	for _, w := range pending {
		if w.Version >= newest[w.Key].Version {
			newest[w.Key] = store.Row{Key: w.Key, Value: w.Value, Version: w.Version}
		}
	}
	all := slices.Collect(maps.Values(newest))
	if !closed {
		c, err := ReadCounters(all)
		if err != nil || c == nil || !c.Closed {
			return new(index.Rows), false, err
		}
	}
	rows, err = ReadReached(key.project, all)
	return rows, true, err
}

// sentKey names a send of a project.
type sentKey struct {
	project tocsin.ProjectID
	send    tocsin.SendID
}

// Limits of what is remembered of earlier sends on a shard: bytes, sends, and for
// how long when it may still change.
const (
	sentBytes = 16 << 20
	sentMost  = 1000
	sentFresh = time.Second
)

// sent remembers who got sends, those that were asked for last.
type sent struct {
	reading chan struct{}

	mu    sync.Mutex
	known map[sentKey]*list.Element // of *reachedRows
	order *list.List                // the last one asked for first
	bytes int
}

func newSent() sent {
	return sent{reading: make(chan struct{}, 1), known: make(map[sentKey]*list.Element), order: list.New()}
}

type reachedRows struct {
	key  sentKey
	rows *index.Rows
	till time.Time // zero: for good
}

func (s *sent) get(key sentKey, now time.Time) *index.Rows {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.known[key]
	if at == nil {
		return nil
	}
	if one := at.Value.(*reachedRows); one.till.IsZero() || now.Before(one.till) {
		s.order.MoveToFront(at)
		return one.rows
	}
	s.drop(at)
	return nil
}

func (s *sent) put(key sentKey, rows *index.Rows, closed bool, now time.Time) {
	one := &reachedRows{key: key, rows: rows}
	if !closed {
		one.till = now.Add(sentFresh)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.known[key]; at != nil {
		s.drop(at)
	}
	s.known[key] = s.order.PushFront(one)
	s.bytes += rows.Size()
	for s.order.Len() > 1 && (s.bytes > sentBytes || s.order.Len() > sentMost) {
		s.drop(s.order.Back())
	}
}

func (s *sent) drop(at *list.Element) {
	one := s.order.Remove(at).(*reachedRows)
	delete(s.known, one.key)
	s.bytes -= one.rows.Size()
}
