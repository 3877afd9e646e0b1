package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
)

// Keeper keeps the snapshots of shards in the files of an engine. Its methods may
// be called at once; of all shards one snapshot is made at a time.
type Keeper struct {
	of      string
	engine  Engine
	gate    chan struct{}
	metrics *metrics
}

// New returns a keeper of snapshots of one thing, which its files and metrics are
// named after.
func New(of string, engine Engine, r prometheus.Registerer) (*Keeper, error) {
	m, err := newMetrics(of, r)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return &Keeper{of: of, engine: engine, gate: make(chan struct{}, 1), metrics: m}, nil
}

// turn waits until no other snapshot is being made.
func (k *Keeper) turn(ctx context.Context) (done func(), err error) {
	select {
	case k.gate <- struct{}{}:
		return func() { <-k.gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Kept is the snapshots of one shard. Save is for one at a time.
type Kept struct {
	keeper *Keeper
	shard  tocsin.Shard
	log    *slog.Logger
	files  Files       // nil when somebody else has taken them
	good   []*Manifest // whole and read back, the newest first, two at most
	base   *Manifest   // that the next one shares parts with; nil when it is written whole
	wrote  atomic.Uint64
}

// Open takes the files of a shard, and has the newest good snapshot read; read may
// be called for several, and keeps what it made last of one without an error. A
// damaged snapshot is passed over for an older one, and the log says so.
func (k *Keeper) Open(ctx context.Context, shard tocsin.Shard, log *slog.Logger, read func(*Saved) error) (*Kept, error) {
	s := &Kept{keeper: k, shard: shard, log: log}
	if err := s.take(ctx, read); err != nil {
		return nil, err
	}
	return s, nil
}

// take makes the files ours. Of the newest snapshot all is read, or the list only
// where read is nil: parts that this process has not read are read before one is
// built upon them.
func (s *Kept) take(ctx context.Context, read func(*Saved) error) error {
	files, err := s.keeper.engine.Take(ctx, s.shard)
	if err != nil {
		return err
	}
	ids, err := files.List()
	if err != nil {
		return err
	}
	s.good, s.base = nil, nil
	for _, id := range ids {
		if len(s.good) > 0 {
			read = nil
		}
		began := time.Now()
		m, err := s.keeper.load(ctx, s.shard, files, id, read)
		switch {
		case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
			return errors.Join(err, ctx.Err())
		case err != nil && len(s.good) == 0:
			s.keeper.metrics.fails.WithLabelValues("read").Inc()
			s.log.Error("snapshot is not usable, falling back to an older one or the log", "error", err)
		case err != nil:
		case len(s.good) == 0:
			s.log.Info("snapshot read", "position", id.Position, "took", time.Since(began))
			s.good = []*Manifest{m}
		case m.Apart(s.good[0]): // that the next may go on from
			s.base, s.files = m, files
			return nil
		}
	}
	s.files = files
	return nil
}

// Good are the snapshots that were read back, the newest first, two at most.
func (s *Kept) Good() []*Manifest { return s.good }

// Wrote is how many bytes the last one wrote. It may be called at any time.
func (s *Kept) Wrote() uint64 { return s.wrote.Load() }

// Save writes a snapshot of the moment that begin takes, unless one of it is there,
// and removes what the two newest do not need. The log may be trimmed below the
// position that is returned; 0 says nothing new. Anew: it writes one in any case,
// and shares nothing with what is there.
//
// After ErrSuperseded the files are somebody else's, and the next Save takes them
// again: who does not have the shard any more must not call it.
func (s *Kept) Save(ctx context.Context, begin func() Moment, anew bool) (below uint64, err error) {
	done, err := s.keeper.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	if s.files == nil {
		if err := s.take(ctx, nil); err != nil {
			return 0, err
		}
	}
	if below, err = s.save(ctx, begin, anew); errors.Is(err, ErrSuperseded) {
		s.files = nil
	}
	if err != nil && ctx.Err() == nil {
		s.keeper.metrics.fails.WithLabelValues("write").Inc()
	}
	return below, err
}

func (s *Kept) save(ctx context.Context, begin func() Moment, anew bool) (below uint64, err error) {
	began := time.Now()
	ids, err := s.files.List()
	if err != nil {
		return 0, err
	}
	m := begin()
	ended := sync.OnceValue(m.End)
	defer ended()
	id, base := ID{Position: m.Position()}, s.base
	for _, file := range ids {
		if file.Position == id.Position {
			id.Again = max(id.Again, file.Again+1)
		}
	}
	switch newer := len(s.good) > 0 && s.good[0].ID.Position > id.Position; {
	case newer && anew:
		return 0, fmt.Errorf("%w: its newest snapshot is of position %d, this is %d", ErrSuperseded, s.good[0].ID.Position, id.Position)
	case anew:
		base = nil
	case newer || len(s.good) > 0 && s.good[0].ID.Position == id.Position:
		return 0, nil
	}
	list, cost, err := s.keeper.write(ctx, s.files, m, id, base)
	if err != nil {
		return 0, err
	}
	s.good = append([]*Manifest{list}, s.good...)[:min(2, len(s.good)+1)]
	s.wrote.Store(cost.Written)
	held, took := ended(), time.Since(began)
	s.log.Info("snapshot written", "position", id.Position, "bytes", cost.Written, "shared", cost.Shared, "pause", held, "took", took)
	s.keeper.metrics.pause.Observe(held.Seconds())
	s.keeper.metrics.took.Observe(took.Seconds())
	if len(s.good) < 2 {
		return 0, nil
	}
	s.base = s.good[1]
	if err := s.forget(ctx, ids); err != nil {
		return 0, err
	}
	return s.base.ID.Position, nil
}

// forget removes files that neither of the two good snapshots needs.
func (s *Kept) forget(ctx context.Context, ids []ID) error {
	needed := make(map[ID]bool)
	for _, m := range s.good {
		for _, file := range m.Files {
			needed[file.ID] = true
		}
	}
	var gone []ID
	for _, id := range ids {
		if !needed[id] {
			gone = append(gone, id)
		}
	}
	return s.files.Remove(ctx, gone...)
}
