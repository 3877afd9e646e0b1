package audience

import (
	"context"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Shard is the audience of one shard, as of a position of its log. Apply and
// Advance are called by one writer; all other methods by anybody, at any time.
type Shard struct {
	mu       sync.RWMutex
	number   tocsin.Shard
	projects map[tocsin.ProjectID]*project
	seen     record.Seen
	applied  uint64
	zones    zones
	moment   *moment       // that a snapshot is made of; nil when none is
	small    int           // see bundle.go
	moved    chan struct{} // closed when applied rises; nil while nobody waits
	slice    time.Duration // see pass.go
	lags     chan struct{} // see Lags
	reached  Reached
	courtesy *Courtesy
}

// firstGeneration names the ordinals of a shard until they are recycled.
const firstGeneration = 1

// NewShard returns the audience of a shard before the first record.
func NewShard(number tocsin.Shard) *Shard {
	return &Shard{number: number, projects: make(map[tocsin.ProjectID]*project), seen: make(record.Seen), small: bundleBytes, slice: slice, lags: make(chan struct{}, 1), courtesy: NewCourtesy()}
}

// Apply takes the next record of the log, which stood at pos. A repeat does
// nothing, be it appended or read twice. On ErrChange nothing was applied and
// the shard cannot go on.
func (s *Shard) Apply(pos uint64, e *record.Envelope) error {
	changes, err := check(e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.First(e) {
		id := tocsin.ProjectID(e.Project)
		p := s.projects[id]
		if p == nil {
			p = newProject(id, s.number)
			s.projects[id] = p
		}
		if s.moment != nil {
			s.moment.hold(id, p)
		}
		p.environment = tocsin.Environment(e.Environment)
		p.apply(pos, e.At, changes)
	}
	s.advance(pos + 1)
	return nil
}

// Advance says that the log holds no record below next that was not applied.
func (s *Shard) Advance(next uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(next)
}

func (s *Shard) advance(next uint64) {
	if next <= s.applied {
		return
	}
	s.applied = next
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// Applied is the position below which everything is applied.
func (s *Shard) Applied() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.applied
}

// Await returns once everything below mark is applied, or with the error of ctx.
func (s *Shard) Await(ctx context.Context, mark uint64) error {
	for {
		s.mu.Lock()
		if s.applied >= mark {
			s.mu.Unlock()
			return nil
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Changed returns a channel that is closed when more is applied than now.
func (s *Shard) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved == nil {
		s.moved = make(chan struct{})
	}
	return s.moved
}
