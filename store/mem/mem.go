package mem

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// Store keeps each partition as a slice in key order.
type Store struct {
	now    func() time.Time
	mu     sync.Mutex
	places map[store.Place]*partition
	closed bool
}

type partition struct {
	rows  []*row
	sweep int // the row that is looked at next for having been dead long enough
}

// row is a live row or, when deleted, the version that it left behind.
type row struct {
	key         string
	value       []byte
	version     uint64 // 0: written by PutIf
	expires     time.Time
	deleted     time.Time // zero while it is not
	conditional bool
}

var _ store.Store = (*Store)(nil)

// New returns an empty store; now is its clock.
func New(now func() time.Time) *Store {
	return &Store{now: now, places: make(map[store.Place]*partition)}
}

// dead is the instant a row died, zero while it lives.
func (r *row) dead(now time.Time) time.Time {
	switch {
	case !r.deleted.IsZero():
		return r.deleted
	case !r.expires.IsZero() && !now.Before(r.expires):
		return r.expires
	}
	return time.Time{}
}

func (r *row) live(now time.Time) bool { return r.dead(now).IsZero() }

func (r *row) public() store.Row {
	return store.Row{Key: r.key, Value: r.value, Version: r.version, Expires: r.expires}
}

// find returns the place of a key among the rows, and the row if it is there.
func (p *partition) find(key string) (int, *row) {
	i, ok := slices.BinarySearchFunc(p.rows, key, func(r *row, key string) int { return strings.Compare(r.key, key) })
	if !ok {
		return i, nil
	}
	return i, p.rows[i]
}

// put stores a row, then drops at most two that need not be remembered.
func (p *partition) put(r *row, now time.Time) {
	if i, old := p.find(r.key); old != nil {
		p.rows[i] = r
	} else {
		p.rows = slices.Insert(p.rows, i, r)
	}
	for range 2 {
		if p.sweep >= len(p.rows) {
			p.sweep = 0
		}
		r := p.rows[p.sweep]
		if dead := r.dead(now); !dead.IsZero() && (r.conditional || now.Sub(dead) > store.Keep) {
			p.rows = slices.Delete(p.rows, p.sweep, p.sweep+1)
		} else {
			p.sweep++
		}
		if len(p.rows) == 0 {
			return
		}
	}
}

// enter takes the lock and returns the partition; on an error the lock is not held.
func (s *Store) enter(ctx context.Context, at store.Place) (*partition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, store.ErrClosed
	}
	if p := s.places[at]; p != nil {
		return p, nil
	}
	return new(partition), nil // it joins the others with its first row
}

func (s *Store) Get(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if err := store.CheckRow(at, key, nil); err != nil {
		return store.Row{}, err
	}
	p, err := s.enter(ctx, at)
	if err != nil {
		return store.Row{}, err
	}
	defer s.mu.Unlock()
	if _, r := p.find(key); r != nil && r.live(s.now()) {
		return r.public(), nil
	}
	return store.Row{}, store.ErrNotFound
}

func (s *Store) GetLatest(ctx context.Context, at store.Place, key string) (store.Row, error) {
	return s.Get(ctx, at, key)
}

func (s *Store) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	if err := store.CheckScan(at, limit); err != nil {
		return nil, err
	}
	p, err := s.enter(ctx, at)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []store.Row
	now := s.now()
	first, _ := p.find(from)
	for _, r := range p.rows[first:] {
		if to != "" && r.key >= to || len(found) == limit {
			break
		}
		if r.live(now) {
			found = append(found, r.public())
		}
	}
	return found, nil
}

func (s *Store) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	if err := store.CheckBatch(at, batch); err != nil {
		return err
	}
	p, err := s.enter(ctx, at)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.places[at] = p
	now := s.now()
	for _, w := range batch {
		if _, old := p.find(w.Key); old != nil && old.conditional && old.live(now) {
			return fmt.Errorf("store: row %.80q of table %s is written by conditional puts only", w.Key, at.Table)
		}
	}
	for _, w := range batch {
		if _, old := p.find(w.Key); old != nil && !old.conditional && old.version >= w.Version {
			continue
		}
		r := &row{key: w.Key, version: w.Version, expires: w.Expires}
		if w.Delete {
			r.deleted = now
		} else {
			r.value = append([]byte{}, w.Value...)
		}
		p.put(r, now)
	}
	return nil
}

func (s *Store) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	if err := store.CheckRow(at, key, value); err != nil {
		return false, store.Row{}, err
	}
	p, err := s.enter(ctx, at)
	if err != nil {
		return false, store.Row{}, err
	}
	defer s.mu.Unlock()
	now := s.now()
	_, present := p.find(key)
	if present != nil && !present.conditional {
		return false, store.Row{}, fmt.Errorf("store: row %.80q of table %s is written by plain writes only", key, at.Table)
	}
	if present != nil && !present.live(now) {
		present = nil
	}
	if (present == nil) != (old == nil) || present != nil && !bytes.Equal(present.value, old) {
		if present == nil {
			return false, store.Row{}, nil
		}
		return false, present.public(), nil
	}
	s.places[at] = p
	r := &row{key: key, expires: expires, conditional: true}
	if value == nil {
		r.deleted = now
	} else {
		r.value = append([]byte{}, value...)
	}
	p.put(r, now)
	return true, store.Row{}, nil
}

func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	return nil
}
