package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/store"
)

// Shared is what the nodes of one test share.
type Shared struct {
	Journal journal.Journal
	Store   store.Store
	Files   snapshot.Engine
	Groups  *journalmem.Groups
}

// Run is Run on shared engines, as a member of the groups, until it is cut off.
func (s *Shared) Run(ctx context.Context, c Config, m *journalmem.Member, cut *Cut, log *slog.Logger, up func(Up)) error {
	return run(ctx, c, func(_ context.Context, n *node) (*engines, error) {
		never := func() error { return nil }
		return &engines{
			journal: &cutJournal{s.Journal, cut}, store: &cutStore{s.Store, cut}, files: s.Files, group: m,
			sealed: filepath.Join(c.Dir, keyFile), admin: filepath.Join(c.Dir, adminFile),
			quotas: &fanout.Quotas{Store: s.Store, Process: fmt.Sprintf("%016x", incarnation())}, again: 50 * time.Millisecond,
			full: never, damaged: never, purge: func(context.Context) error { return nil },
		}, nil
	}, log, up)
}

// Raise has an installation say that records of a format level may be in it.
func Raise(ctx context.Context, s store.Store, level int) error {
	row, err := s.GetLatest(ctx, installationPlace, installationKey)
	if err != nil {
		return err
	}
	var have installation
	if err := json.Unmarshal(row.Value, &have); err != nil {
		return err
	}
	have.Level = level
	value, err := json.Marshal(have)
	if err != nil {
		return err
	}
	made, _, err := s.PutIf(ctx, installationPlace, installationKey, row.Value, value, time.Time{})
	if err == nil && !made {
		err = errors.New("it has changed meanwhile")
	}
	return err
}

// RunShared is Run on a cluster with another store than Cassandra.
func RunShared(ctx context.Context, c Config, s store.Store, log *slog.Logger, up func(Up)) error {
	return run(ctx, c, func(ctx context.Context, n *node) (*engines, error) { return openShared(ctx, n, s) }, log, up)
}

// Cut takes the engines away from one node, as a network does.
type Cut struct{ off atomic.Bool }

// Off is for good.
func (c *Cut) Off() { c.off.Store(true) }

var errCut = errors.New("cut off")

func (c *Cut) err() error {
	if c.off.Load() {
		return errCut
	}
	return nil
}

type cutJournal struct {
	journal.Journal
	cut *Cut
}

func (j *cutJournal) Append(ctx context.Context, p journal.Partition, data ...[]byte) ([]journal.Position, error) {
	if err := j.cut.err(); err != nil {
		return nil, err
	}
	return j.Journal.Append(ctx, p, data...)
}

func (j *cutJournal) End(ctx context.Context, p journal.Partition) (journal.Position, error) {
	if err := j.cut.err(); err != nil {
		return 0, err
	}
	return j.Journal.End(ctx, p)
}

func (j *cutJournal) Read(ctx context.Context, p journal.Partition, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	if err := j.cut.err(); err != nil {
		return nil, 0, err
	}
	return j.Journal.Read(ctx, p, from, limit)
}

func (j *cutJournal) Trim(ctx context.Context, p journal.Partition, before journal.Position) error {
	if err := j.cut.err(); err != nil {
		return err
	}
	return j.Journal.Trim(ctx, p, before)
}

type cutStore struct {
	store.Store
	cut *Cut
}

func (s *cutStore) Get(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if err := s.cut.err(); err != nil {
		return store.Row{}, err
	}
	return s.Store.Get(ctx, at, key)
}

func (s *cutStore) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	if err := s.cut.err(); err != nil {
		return nil, err
	}
	return s.Store.Scan(ctx, at, from, to, limit)
}

func (s *cutStore) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	if err := s.cut.err(); err != nil {
		return err
	}
	return s.Store.Write(ctx, at, batch...)
}

func (s *cutStore) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	if err := s.cut.err(); err != nil {
		return false, store.Row{}, err
	}
	return s.Store.PutIf(ctx, at, key, old, value, expires)
}
