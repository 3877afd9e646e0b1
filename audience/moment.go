package audience

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
)

// moment is a shard between two records of its log, for a snapshot. The writer
// goes on: a project is frozen when it is asked for, or just before the first
// change after the moment touches it, whichever comes first. To freeze one
// takes the lock for about a microsecond a part and copies next to nothing; the
// writer then copies the chunks that it is the first to change.
type moment struct {
	shard    *Shard
	applied  uint64
	seen     record.Seen
	projects []tocsin.ProjectID // in order
	left     map[tocsin.ProjectID]bool
	held     map[tocsin.ProjectID]*frozen
	pause    time.Duration // longest that the lock was held
}

// frozen is one project at a moment.
type frozen struct {
	index.Moment
	streams []index.Stream
}

// begin takes a moment. There is one at a time, until End is called.
func (s *Shard) begin() *moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	m := &moment{shard: s, applied: s.applied, seen: maps.Clone(s.seen), left: make(map[tocsin.ProjectID]bool, len(s.projects)),
		held: make(map[tocsin.ProjectID]*frozen)}
	for id := range s.projects {
		m.left[id] = true
		m.projects = append(m.projects, id)
	}
	slices.SortFunc(m.projects, func(a, b tocsin.ProjectID) int { return bytes.Compare(a[:], b[:]) })
	s.moment, m.pause = m, time.Since(began)
	return m
}

// hold freezes a project unless that is done. The lock of the shard is held.
func (m *moment) hold(id tocsin.ProjectID, p *project) {
	if m.left[id] {
		began := time.Now()
		delete(m.left, id)
		f := new(frozen)
		f.streams = p.freeze(&f.Moment)
		m.held[id] = f
		m.pause = max(m.pause, time.Since(began))
	}
}

func (m *moment) Position() uint64             { return m.applied }
func (m *moment) Seen() record.Seen            { return m.seen }
func (m *moment) Projects() []tocsin.ProjectID { return m.projects }

// Take returns the streams of a project as it was.
func (m *moment) Take(id tocsin.ProjectID) ([]snapshot.Stream, func()) {
	f := m.take(id)
	streams := bundle(f.streams, m.shard.small)
	out := make([]snapshot.Stream, len(streams))
	for i, s := range streams {
		out[i].Name = s.Name
		for n := range s.Parts {
			out[i].Parts = append(out[i].Parts, &s.Parts[n])
		}
	}
	return out, f.End
}

func (m *moment) take(id tocsin.ProjectID) *frozen {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	m.hold(id, m.shard.projects[id])
	f := m.held[id]
	delete(m.held, id)
	return f
}

// End lets the writer forget the moment.
func (m *moment) End() (pause time.Duration) {
	m.shard.mu.Lock()
	defer m.shard.mu.Unlock()
	m.shard.moment = nil
	for _, f := range m.held {
		f.End()
	}
	return m.pause
}
