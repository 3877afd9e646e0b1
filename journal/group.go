package journal

import (
	"context"
	"sync"

	"github.com/tocsin-push/tocsin"
)

// Group shares the shards of an installation among the processes that work on
// them, so that each is worked on somewhere. It is a convenience and no fence:
// a process that was paused may go on for a while with a shard that is another's
// by now, and only the take in the ledger keeps its bytes back.
type Group interface {
	// Share calls run, each time in a goroutine of its own, for every shard that
	// this process owns in the named group. The context of a run ends when its
	// shard is to be handed over. As far as the group can tell nobody else gets
	// the shard before that run has returned, or has not for the engine's bounded
	// time. A shard that comes back is run anew, after its earlier run has returned.
	// A run that returns nil by itself leaves its shard without work for as long
	// as the process owns it.
	//
	// Share returns nil once ctx has ended and all runs have returned, or the
	// first error of a run that its context did not end, after it has ended the
	// others and they have returned.
	Share(ctx context.Context, group string, run func(ctx context.Context, shard tocsin.Shard) error) error
}

// Whole is the group of an installation that is one process: it owns all
// shards, and keeps them.
type Whole struct {
	Shards int
}

var _ Group = Whole{}

func (w Whole) Share(ctx context.Context, _ string, run func(ctx context.Context, shard tocsin.Shard) error) error {
	runs := NewRuns(ctx, run)
	for shard := range w.Shards {
		runs.Begin(tocsin.Shard(shard))
	}
	<-runs.Context().Done()
	return runs.End()
}

// Runs are the runs of one Share: what every engine's Group has in common.
// Begin and Stop may be called by one goroutine at a time.
type Runs struct {
	run   func(ctx context.Context, shard tocsin.Shard) error
	ctx   context.Context
	fail  context.CancelFunc
	all   sync.WaitGroup
	held  map[tocsin.Shard]held
	once  sync.Once
	first error
}

type held struct {
	end  context.CancelFunc
	done chan struct{} // closed when the run has returned
}

// NewRuns has no run yet. When ctx ends they all do.
func NewRuns(ctx context.Context, run func(ctx context.Context, shard tocsin.Shard) error) *Runs {
	r := &Runs{run: run, held: make(map[tocsin.Shard]held)}
	r.ctx, r.fail = context.WithCancel(ctx)
	return r
}

// Begin starts the run of a shard, after its earlier one has returned.
func (r *Runs) Begin(shard tocsin.Shard) {
	before := r.held[shard].done
	ctx, end := context.WithCancel(r.ctx)
	h := held{end: end, done: make(chan struct{})}
	r.held[shard] = h
	r.all.Go(func() {
		defer close(h.done)
		defer end()
		if before != nil {
			<-before
		}
		if ctx.Err() != nil {
			return
		}
		if err := r.run(ctx, shard); err != nil && ctx.Err() == nil {
			r.once.Do(func() { r.first = err })
			r.fail()
		}
	})
}

// Stop ends the run of a shard; the channel is closed once it has returned. It
// is nil for a shard that was never begun.
func (r *Runs) Stop(shard tocsin.Shard) <-chan struct{} {
	h, ok := r.held[shard]
	if !ok {
		return nil
	}
	h.end()
	return h.done
}

// Context ends when that of NewRuns has, or when a run has failed.
func (r *Runs) Context() context.Context { return r.ctx }

// End ends all runs, waits until they have returned, and tells what the first
// that failed said.
func (r *Runs) End() error {
	r.fail()
	r.all.Wait()
	return r.first
}
