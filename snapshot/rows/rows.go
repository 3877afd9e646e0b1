package rows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/store"
)

// Tables of the engine.
const (
	Names  = "snapshots"
	Pieces = "snapshot_pieces"
)

const (
	pieceSize = 256 << 10
	together  = 64 // pieces of a partition, 16 MiB
	namesKey  = "files"

	written, deleted = 1, 2 // versions of a piece
)

// Config is how an engine writes.
type Config struct {
	Rate int64 // bytes a second that all shards of this process write together
}

// Default leaves the store to what cannot wait: with it, 1 GiB takes two minutes.
func Default() Config { return Config{Rate: 8 << 20} }

// Validate refuses a rate at which no snapshot would end, or nothing be spared.
func (c Config) Validate() error {
	if c.Rate < 256<<10 || c.Rate > 4<<30 {
		return fmt.Errorf("snapshot: rate is %d bytes a second, want 256 KiB to 4 GiB", c.Rate)
	}
	return nil
}

// Engine is an engine of snapshot on a store.
type Engine struct {
	store store.Store
	rate  int64
	mu    sync.Mutex
	next  time.Time // when the next piece may be written
}

var _ snapshot.Engine = (*Engine)(nil)

// New returns the engine on a store. All processes of a cluster have it on the same.
func New(s store.Store, c Config) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Engine{store: s, rate: c.Rate}, nil
}

// turn waits until so many bytes may be written.
func (e *Engine) turn(ctx context.Context, n int) error {
	e.mu.Lock()
	now := time.Now()
	at := e.next
	if at.Before(now) {
		at = now
	}
	e.next = at.Add(time.Duration(int64(n) * int64(time.Second) / e.rate))
	e.mu.Unlock()
	if at == now {
		return ctx.Err()
	}
	timer := time.NewTimer(at.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", snapshot.ErrUnavailable, err)
}

// files are those of one shard.
type files struct {
	engine *Engine
	shard  tocsin.Shard
	row    []byte // names, as it was written by us; what else stands there is another owner's
	names  *record.SnapshotFiles
	unsure []byte // it may have been written instead: the answer to it was lost
}

func (s *files) place() store.Place {
	return store.Place{Table: Names, Partition: fmt.Sprintf("%04d", s.shard)}
}

func newFiles(e *Engine, shard tocsin.Shard) *files {
	return &files{engine: e, shard: shard, names: new(record.SnapshotFiles)}
}

// load reads the names as they are.
func (s *files) load(ctx context.Context) error {
	row, err := s.engine.store.GetLatest(ctx, s.place(), namesKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return unavailable(ctx, err)
	}
	s.row = row.Value
	if err := s.names.UnmarshalVT(row.Value); err != nil {
		return fmt.Errorf("snapshot: files of shard %d: %w", s.shard, err)
	}
	return nil
}

// Take is snapshot.Engine.
func (e *Engine) Take(ctx context.Context, shard tocsin.Shard) (snapshot.Files, error) {
	for {
		s := newFiles(e, shard)
		err := s.load(ctx)
		if err == nil {
			err = s.change(ctx, abandon)
		}
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, snapshot.ErrSuperseded) { // else another one was quicker
			return nil, err
		}
	}
}

// abandon has the rows of a draft deleted.
func abandon(n *record.SnapshotFiles) {
	if n.Draft != nil {
		n.Gone, n.Draft = append(n.Gone, n.Draft), nil
	}
}

// change writes the row of names, if it is as we left it.
func (s *files) change(ctx context.Context, edit func(*record.SnapshotFiles)) error {
	if s.unsure != nil {
		if err := s.resolve(ctx); err != nil {
			return err
		}
	}
	next := &record.SnapshotFiles{Revision: s.names.Revision + 1, Files: slices.Clone(s.names.Files), Draft: s.names.Draft, Gone: slices.Clone(s.names.Gone)}
	edit(next)
	value, err := next.MarshalVT()
	if err != nil {
		panic(err) // numbers only
	}
	ok, _, err := s.engine.store.PutIf(ctx, s.place(), namesKey, s.row, value, time.Time{})
	if err != nil {
		s.unsure = value
		if ctx.Err() != nil || !errors.Is(err, store.ErrAmbiguous) {
			return unavailable(ctx, err)
		}
		if err := s.resolve(ctx); err != nil {
			return err
		}
		if !bytes.Equal(s.row, value) {
			return fmt.Errorf("%w: the row of shard %d was not written", snapshot.ErrUnavailable, s.shard)
		}
		return nil
	}
	if !ok {
		return snapshot.ErrSuperseded
	}
	s.row, s.names = value, next
	return nil
}

// resolve finds out whether a change whose answer was lost took place.
func (s *files) resolve(ctx context.Context) error {
	row, err := s.engine.store.GetLatest(ctx, s.place(), namesKey)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return unavailable(ctx, err)
	case bytes.Equal(row.Value, s.unsure):
		names := new(record.SnapshotFiles)
		if err := names.UnmarshalVT(row.Value); err != nil {
			return fmt.Errorf("snapshot: files of shard %d: %w", s.shard, err)
		}
		s.row, s.names = row.Value, names
	case !bytes.Equal(row.Value, s.row):
		return snapshot.ErrSuperseded
	}
	s.unsure = nil
	return nil
}

// owned asks whether the files are still ours, for what changes no name.
func (s *files) owned(ctx context.Context) error {
	row, err := s.engine.store.GetLatest(ctx, s.place(), namesKey)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return unavailable(ctx, err)
	}
	if !bytes.Equal(row.Value, s.row) {
		return snapshot.ErrSuperseded
	}
	return nil
}

func idOf(f *record.SnapshotFile) snapshot.ID {
	return snapshot.ID{Position: f.Position, Again: f.Again}
}

func (s *files) find(id snapshot.ID) *record.SnapshotFile {
	for _, f := range s.names.Files {
		if idOf(f) == id {
			return f
		}
	}
	return nil
}

// Name is the partition of the first pieces, as far as it is of one file.
func (s *files) Name(id snapshot.ID) string {
	f := s.find(id)
	if f == nil {
		return fmt.Sprintf("snapshot %d-%d of shard %d", id.Position, id.Again, s.shard)
	}
	return fmt.Sprintf("%s/%s of position %d", Pieces, stem(s.shard, f.Name), id.Position)
}

func (s *files) List() (ids []snapshot.ID, err error) {
	for _, f := range s.names.Files {
		ids = append(ids, idOf(f))
	}
	slices.SortFunc(ids, func(a, b snapshot.ID) int { return b.Before(a) })
	return ids, nil
}

// Remove first takes the names away, then the pieces: those also of drafts, and of
// files whose removal did not come to its end.
func (s *files) Remove(ctx context.Context, ids ...snapshot.ID) error {
	if !slices.ContainsFunc(ids, func(id snapshot.ID) bool { return s.find(id) != nil }) && len(s.names.Gone) == 0 {
		return s.owned(ctx)
	}
	err := s.change(ctx, func(n *record.SnapshotFiles) {
		n.Files = slices.DeleteFunc(n.Files, func(f *record.SnapshotFile) bool {
			gone := slices.Contains(ids, idOf(f))
			if gone {
				n.Gone = append(n.Gone, f)
			}
			return gone
		})
	})
	if err != nil {
		return err
	}
	for _, f := range s.names.Gone {
		if err := s.deletePieces(ctx, f); err != nil {
			return err
		}
	}
	return s.change(ctx, func(n *record.SnapshotFiles) { n.Gone = nil })
}
