package catalogue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Fresh is how long a View may lag behind what other processes changed.
const Fresh = time.Second

// ErrBusy says that others changed the row again and again meanwhile.
var ErrBusy = errors.New("catalogue: changed by others at the same time")

// Deps are the collaborators. All are needed.
type Deps struct {
	Store store.Store
	Now   func() time.Time

	// Learn tells what the shards hold of a project, the type of an attribute
	// being that of most of its values. It includes all that was acknowledged.
	Learn func(context.Context, tocsin.ProjectID) ([]Use, error)

	// Write appends a change of a name to the log of every shard and returns
	// once that is durable on all. It may be repeated.
	Write func(context.Context, tocsin.ProjectID, *record.Names) error
}

// Service keeps the names of all projects. All methods may be called at once.
type Service struct {
	Deps
	ceilings Config

	mu       sync.RWMutex
	projects map[tocsin.ProjectID]*held
}

// held is what this process knows of a project.
type held struct {
	turn chan struct{} // holds one token: whoever took it may change the row
	view atomic.Pointer[View]
	read atomic.Int64 // when the row was last looked at, Unix nanoseconds
	data []byte       // of the row as it is stored; this and row are guarded by turn
	row  *row         // the same; not to be changed
}

// New returns a service.
func New(c Config, d Deps) (*Service, error) {
	return &Service{Deps: d, ceilings: c, projects: make(map[tocsin.ProjectID]*held)}, c.Validate()
}

// Ceilings are the greatest numbers of names.
func (s *Service) Ceilings() Config { return s.ceilings }

// Today is the day in which uses are noted.
func (s *Service) Today() Day { return DayOf(s.Now()) }

func (s *Service) held(project tocsin.ProjectID) *held {
	s.mu.RLock()
	h := s.projects[project]
	s.mu.RUnlock()
	if h != nil {
		return h
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h = s.projects[project]; h == nil {
		h = &held{turn: make(chan struct{}, 1)}
		s.projects[project] = h
	}
	return h
}

func (h *held) take(ctx context.Context) error {
	select {
	case h.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *held) leave() { <-h.turn }

// View is the names of a project, as they were at most Fresh ago. What this
// process changed is in it.
func (s *Service) View(ctx context.Context, project tocsin.ProjectID) (*View, error) {
	h := s.held(project)
	if v := h.view.Load(); v != nil && s.Now().UnixNano()-h.read.Load() < int64(Fresh) {
		return v, nil
	}
	if err := h.take(ctx); err != nil {
		return nil, err
	}
	defer h.leave()
	now := s.Now().UnixNano()
	found, err := s.Store.GetLatest(ctx, place(project), rowKey)
	if err == nil && h.row != nil && h.row.pending == nil && bytes.Equal(h.data, found.Value) {
		h.read.Store(now)
		return h.view.Load(), nil
	}
	r, err := s.load(ctx, project, h)
	if err != nil {
		return nil, err
	}
	if r.pending != nil {
		// Only who needs a name that is on its way is told what hinders.
		if err := s.finish(ctx, project, h, r); err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
	return h.view.Load(), nil
}

// load reads the row as it is now, to be changed, and shows it. The caller has
// the turn.
func (s *Service) load(ctx context.Context, project tocsin.ProjectID, h *held) (*row, error) {
	for range attempts {
		now := s.Now().UnixNano()
		found, err := s.Store.GetLatest(ctx, place(project), rowKey)
		if errors.Is(err, store.ErrNotFound) {
			if err = s.learn(ctx, project, h); err == nil || errors.Is(err, errConflict) {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if h.row == nil || !bytes.Equal(h.data, found.Value) {
			r, err := unmarshal(found.Value)
			if err != nil {
				return nil, err
			}
			h.show(found.Value, r)
		}
		h.read.Store(now)
		return h.row.clone(), nil
	}
	return nil, ErrBusy
}

// show takes the row that is stored, which nobody changes from now on.
func (h *held) show(data []byte, r *row) {
	h.data, h.row = data, r
	h.view.Store(r.view())
}

// learn makes the row of a project that has none.
func (s *Service) learn(ctx context.Context, project tocsin.ProjectID, h *held) error {
	uses, err := s.Learn(ctx, project)
	if err != nil {
		return err
	}
	r := new(row)
	for k := range r.names {
		r.names[k] = make(map[string]*Entry)
	}
	for _, u := range uses {
		r.names[u.Kind][u.Name] = &Entry{Type: u.Type}
	}
	h.data, h.row = nil, nil
	return s.save(ctx, project, h, r)
}

// save puts the row in place of the one that was read, and shows it. On
// errConflict it is to be read again.
func (s *Service) save(ctx context.Context, project tocsin.ProjectID, h *held, r *row) error {
	data, err := r.marshal()
	if err != nil {
		return err
	}
	ok, _, err := s.Store.PutIf(ctx, place(project), rowKey, h.data, data, time.Time{})
	if errors.Is(err, store.ErrAmbiguous) {
		var now store.Row
		if now, err = s.Store.GetLatest(ctx, place(project), rowKey); err == nil {
			ok = bytes.Equal(now.Value, data)
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	if !ok {
		return errConflict
	}
	h.read.Store(s.Now().UnixNano())
	h.show(data, r)
	return nil
}

var errConflict = fmt.Errorf("%w: the row is another by now", ErrBusy)

// attempts bounds how often a change is tried while others change the row.
const attempts = 20

// change runs f on the row as it is, with nothing on its way, until what f made
// of it is saved. f tells whether there is anything to save.
func (s *Service) change(ctx context.Context, project tocsin.ProjectID, f func(*row) (bool, error)) error {
	h := s.held(project)
	if err := h.take(ctx); err != nil {
		return err
	}
	defer h.leave()
	tries, saved := attempts, false
	for {
		r, err := s.load(ctx, project, h)
		if err == nil && r.pending != nil {
			err = s.finish(ctx, project, h, r)
		}
		if err == nil && !saved {
			changed := false
			if changed, err = f(r); err == nil && !changed {
				return nil
			}
			if err == nil {
				err = s.save(ctx, project, h, r)
			}
			if saved = err == nil; saved && r.pending != nil {
				ctx = context.WithoutCancel(ctx) // it will be done, also when the caller left
				continue
			}
		}
		if tries--; !errors.Is(err, errConflict) || tries == 0 {
			return err
		}
	}
}

// Take lets a writer write some names, all or none: it brings those that are
// new, notes who uses them, and returns once that is durable. The error may be
// a *Conflict or a *Full. What is written then goes by the edition of the View.
func (s *Service) Take(ctx context.Context, project tocsin.ProjectID, w Writer, uses []Use) (*View, error) {
	now := s.Now()
	today := DayOf(now)
	err := s.change(ctx, project, func(r *row) (changed bool, err error) {
		joins := r.joins()
		for _, u := range uses {
			e := r.names[u.Kind][u.Name]
			switch {
			case e == nil:
				if n, most := r.count(u.Kind), s.ceilings.Of(u.Kind); n >= most {
					return false, &Full{u, n, most}
				}
				e = &Entry{Type: u.Type, First: now.UTC().Truncate(time.Second), By: w}
				if !joins {
					e.By.Name = "" // one of very many: the key alone
				}
			case e.Type != u.Type:
				return false, &Conflict{u, *e}
			case e.noted(w, today, joins):
				continue
			}
			noted := *e // others read the one before
			noted.Writers = slices.Clone(e.Writers)
			noted.note(w, today, joins)
			r.names[u.Kind][strings.Clone(u.Name)], changed = &noted, true
		}
		return changed, nil
	})
	if err != nil {
		return nil, err
	}
	return s.held(project).view.Load(), nil
}
