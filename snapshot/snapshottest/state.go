package snapshottest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
)

// state is what a snapshot is made of here: some projects, of texts by stream. It
// is never changed; next makes another one.
type state struct {
	position uint64
	seen     record.Seen
	projects map[tocsin.ProjectID]map[string][]string
}

func newState() *state {
	return &state{position: 1, seen: record.Seen{}, projects: map[tocsin.ProjectID]map[string][]string{}}
}

// with is the state after a change of one part; beyond the last it is a new one.
func (s *state) with(project byte, stream string, part int, text string) *state {
	next := &state{s.position + 1, maps.Clone(s.seen), maps.Clone(s.projects)}
	next.seen[uint64(project)] = next.position
	id := tocsin.ProjectID{project}
	if next.projects[id] = maps.Clone(s.projects[id]); next.projects[id] == nil {
		next.projects[id] = map[string][]string{}
	}
	parts := slices.Clone(next.projects[id][stream])
	if part < len(parts) {
		parts[part] = text
	} else {
		parts = append(parts, text)
	}
	next.projects[id][stream] = parts
	return next
}

// drawn is the state after some changes drawn at random.
func (s *state) drawn(random *rand.Rand) *state {
	position := s.position + 1
	for range 1 + random.IntN(3) {
		s = s.with(byte(1+random.IntN(3)), fmt.Sprint("stream ", random.IntN(4)), random.IntN(6), fmt.Sprint("text ", random.Uint64()))
	}
	s.position = position
	return s
}

func (s *state) equal(other *state) bool { return other != nil && reflect.DeepEqual(s, other) }

func (s *state) moment() snapshot.Moment { return moment{s} }

type moment struct{ *state }

func (m moment) Position() uint64   { return m.position }
func (m moment) Seen() record.Seen  { return m.seen }
func (m moment) End() time.Duration { return 0 }

func (m moment) Projects() []tocsin.ProjectID {
	return slices.SortedFunc(maps.Keys(m.projects), func(a, b tocsin.ProjectID) int { return int(a[0]) - int(b[0]) })
}

func (m moment) Take(id tocsin.ProjectID) (streams []snapshot.Stream, end func()) {
	for _, name := range slices.Sorted(maps.Keys(m.projects[id])) {
		s := snapshot.Stream{Name: name}
		for _, text := range m.projects[id][name] {
			s.Parts = append(s.Parts, part(text))
		}
		streams = append(streams, s)
	}
	return streams, func() {}
}

type part string

func (p part) Content() []byte { return []byte(p) }
func (p part) ID() [16]byte {
	sum := sha256.Sum256([]byte(p))
	return [16]byte(sum[:])
}

// read is the state that a snapshot holds.
func read(saved *snapshot.Saved) (*state, error) {
	s := &state{saved.ID.Position, saved.Seen, map[tocsin.ProjectID]map[string][]string{}}
	for _, p := range saved.Projects {
		s.projects[p.ID] = map[string][]string{}
		for _, stream := range p.Streams {
			for _, at := range stream.Parts {
				text := make([]byte, at.Length)
				if err := saved.Read(at, text); err != nil {
					return nil, err
				}
				if part(text).ID() != at.Sum {
					return nil, errors.New("a part is another one")
				}
				s.projects[p.ID][stream.Name] = append(s.projects[p.ID][stream.Name], string(text))
			}
		}
	}
	return s, nil
}
