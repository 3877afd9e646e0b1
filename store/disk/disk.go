package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/disk/folder"
)

// Store is an open folder.
type Store struct {
	now    func() time.Time
	folder *folder.Folder

	// Every call holds calls for reading. closed is written under calls.
	calls  sync.RWMutex
	closed bool
	done   chan struct{}
	swept  chan struct{} // closed when the background pass has ended

	// places orders reading and applying of plain rows, a place at a time.
	// rows orders conditional puts, a row at a time, until they are synced: one
	// that is read linearly is durable. They are many, so that keys of requests
	// at the same time rarely wait for each other's sync.
	seed   maphash.Seed
	places [64]sync.Mutex
	rows   [1024]sync.Mutex
}

var _ store.Store = (*Store)(nil)

// Open opens the store in a folder, a new one too. Errors name the folder and
// the file that is damaged.
func Open(dir string, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f, err := folder.Open(dir, folder.Config{Filters: true, FS: c.FS, Memory: c.Memory, Reserve: c.Reserve, Now: c.Now, Log: c.Log, Stop: c.Stop})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{now: c.Now, folder: f, done: make(chan struct{}), swept: make(chan struct{}), seed: maphash.MakeSeed()}
	go s.sweeper(c.Sweep, c.Log)
	return s, nil
}

// enter begins a call; the caller leaves with s.calls.RUnlock. On an error it
// has left.
func (s *Store) enter(ctx context.Context, checked error) error {
	if checked != nil {
		return checked
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.RLock()
	if s.closed {
		s.calls.RUnlock()
		return store.ErrClosed
	}
	return nil
}

// Parts of the reserve below which writes are refused. Conditional puts are of
// requests: also of one that pauses a send, so they go on as long as the appends
// of accepted work. Plain writes are what readers of the journal save about that
// work; without them no log can be trimmed, so they go on longest.
const (
	asking = 4
	saving = 8
)

// full refuses a change when less than a part of the reserve is free.
func (s *Store) full(part uint64) error {
	if full, err := s.folder.Full(part); err != nil || !full {
		return err
	}
	return store.ErrFull
}

// get reads one row in memory of its own; present is false when nothing is stored.
func (s *Store) get(key []byte) (r row, present bool, err error) {
	value, closer, err := s.folder.DB.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return row{}, false, nil
	}
	if err != nil {
		return row{}, false, s.folder.Explain(err)
	}
	r, err = decode(bytes.Clone(value))
	return r, true, errors.Join(err, closer.Close())
}

func failed(what string, at store.Place, err error) error {
	if err == nil || err == store.ErrFull {
		return err
	}
	return fmt.Errorf("store: %s of table %s: %w", what, at.Table, err)
}

// Get may return a row whose write is not synced yet.
func (s *Store) Get(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if err := s.enter(ctx, store.CheckRow(at, key, nil)); err != nil {
		return store.Row{}, err
	}
	defer s.calls.RUnlock()
	return s.read(at, key)
}

func (s *Store) GetLatest(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if err := s.enter(ctx, store.CheckRow(at, key, nil)); err != nil {
		return store.Row{}, err
	}
	defer s.calls.RUnlock()
	lock := s.row(rowKey(at, key))
	lock.Lock()
	defer lock.Unlock()
	return s.read(at, key)
}

func (s *Store) read(at store.Place, key string) (store.Row, error) {
	r, present, err := s.get(rowKey(at, key))
	if err != nil {
		return store.Row{}, failed("read", at, err)
	}
	if !present || !r.live(s.now()) {
		return store.Row{}, store.ErrNotFound
	}
	return r.public(key), nil
}

// Purge takes what was deleted or overwritten before the call off the disk.
func (s *Store) Purge(ctx context.Context) error {
	if err := s.enter(ctx, nil); err != nil {
		return err
	}
	defer s.calls.RUnlock()
	return s.folder.Purge(ctx)
}

func (s *Store) row(key []byte) *sync.Mutex {
	return &s.rows[maphash.Bytes(s.seed, key)%uint64(len(s.rows))]
}

func (s *Store) place(prefix []byte) *sync.Mutex {
	return &s.places[maphash.Bytes(s.seed, prefix)%uint64(len(s.places))]
}

func (s *Store) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	if err := s.enter(ctx, store.CheckScan(at, limit)); err != nil {
		return nil, err
	}
	defer s.calls.RUnlock()
	found, err := s.scan(at, from, to, limit)
	return found, failed("scan", at, err)
}

func (s *Store) scan(at store.Place, from, to string, limit int) (found []store.Row, err error) {
	start := prefix(at, 0)
	bounds := &pebble.IterOptions{LowerBound: rowKey(at, from), UpperBound: after(start)}
	if to != "" {
		bounds.UpperBound = rowKey(at, to)
	}
	if bytes.Compare(bounds.LowerBound, bounds.UpperBound) >= 0 {
		return nil, nil
	}
	rows, err := s.folder.DB.NewIter(bounds)
	if err != nil {
		return nil, s.folder.Explain(err)
	}
	defer func() { err = s.folder.Explain(errors.Join(err, rows.Error(), rows.Close())) }()
	now := s.now()
	for ok := rows.First(); ok && len(found) < limit; ok = rows.Next() {
		value, err := rows.ValueAndErr()
		if err != nil {
			return nil, err
		}
		r, err := decode(value)
		if err != nil {
			return nil, err
		}
		if r.live(now) {
			found = append(found, r.public(string(rows.Key()[len(start):])))
		}
	}
	return found, nil
}

// Damaged is an error that names a damaged file, nil while none was found.
func (s *Store) Damaged() error { return s.folder.Damaged() }

func (s *Store) Close() error {
	s.calls.Lock()
	if s.closed {
		s.calls.Unlock()
		return store.ErrClosed
	}
	s.closed = true
	s.calls.Unlock()
	close(s.done)
	<-s.swept
	if err := s.folder.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
