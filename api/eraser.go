package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/store"
)

// eraser takes off the disk what erasures left there: all that are pending
// together, when the first of them is due.
type eraser struct {
	store   store.Store
	forget  func(ctx context.Context, people []*Erasing, step func(string)) error
	purge   func(context.Context) error
	imports *imports
	now     func() time.Time
	log     *slog.Logger
	woken   chan struct{} // holds one when an erasure came

	mu   sync.Mutex
	step string
	ids  map[tocsin.ErasureID]bool // under way
}

// eraseAgain is the pause after an attempt that failed.
const eraseAgain = time.Minute

func newEraser(d Deps, imports *imports) *eraser {
	return &eraser{store: d.Store, forget: d.Forget, purge: d.Purge, imports: imports, now: d.Now, log: d.Log, woken: make(chan struct{}, 1)}
}

func (e *eraser) wake() {
	select {
	case e.woken <- struct{}{}:
	default: // it is awake
	}
}

// doing tells what is done for an erasure now.
func (e *eraser) doing(id tocsin.ErasureID) (step string, erasing bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.step, e.ids[id]
}

func (e *eraser) does(step string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.step = step
}

// run erases until ctx ends, which is no error.
func (e *eraser) run(ctx context.Context) error {
	for {
		pending, err := e.pending(ctx)
		wait := time.Hour // should nobody wake it
		for _, row := range pending {
			wait = min(wait, fromNanos(row.Due).Sub(e.now()))
		}
		if err == nil && wait <= 0 {
			err = e.erase(ctx, pending)
			wait = 0
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("erasing from the disk failed, repeated", "erasures", len(pending), "error", err)
			wait = eraseAgain
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-e.woken:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

func (e *eraser) pending(ctx context.Context) (pending []*erasureRow, err error) {
	rows, err := store.All(ctx, e.store, erasurePlace(pendingAt), "", "")
	for _, found := range rows {
		row := new(erasureRow)
		if err := json.Unmarshal(found.Value, row); err != nil {
			return nil, err
		}
		pending = append(pending, row)
	}
	return pending, err
}

// erase takes all that is pending off the disk. Once nothing but the past of
// files holds somebody, the row forgets who it is too; then the files are
// rewritten.
func (e *eraser) erase(ctx context.Context, pending []*erasureRow) (err error) {
	var people []*Erasing
	e.mu.Lock()
	e.ids = make(map[tocsin.ErasureID]bool)
	for _, row := range pending {
		e.ids[row.ID] = true
		if row.Person != nil {
			people = append(people, row.Person)
		}
	}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.ids, e.step = nil, ""
		e.mu.Unlock()
	}()
	if err := e.forget(ctx, people, e.does); err != nil {
		return err
	}
	for _, row := range pending {
		if err := e.imports.withhold(ctx, row.Project); err != nil {
			return err
		}
		row.Person, row.Version = nil, pendingForgotten
		if err := e.store.Write(ctx, erasurePlace(pendingAt), row.write()); err != nil {
			return err
		}
	}
	e.does("rewriting the files of the journal and of the tables")
	if err := e.purge(ctx); err != nil {
		return err
	}
	for _, row := range pending {
		row.Done, row.Version = e.now().UnixNano(), listedDone
		if err := e.store.Write(ctx, erasurePlace(row.Project.String()), row.write()); err != nil {
			return err
		}
		gone := store.Write{Key: newestFirst(row.ID), Version: pendingDone, Delete: true}
		if err := e.store.Write(ctx, erasurePlace(pendingAt), gone); err != nil {
			return err
		}
	}
	e.log.Info("people were erased from the disk", "erasures", len(pending))
	return nil
}
