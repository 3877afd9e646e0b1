package audience

import (
	"slices"

	"github.com/tocsin-push/tocsin/index"
)

// wipe overwrites the bytes of what was freed before it is called: addresses,
// identifiers, texts. Their place stays taken until it pays to give it back. The
// writer and readers wait for some milliseconds at a time.
func (s *Shard) wipe() {
	s.mu.RLock()
	var garbage, small []index.Garbage
	for _, p := range s.projects {
		garbage = slices.Concat(garbage, p.known.Garbage(), p.people.known.Garbage(), []index.Garbage{
			index.GarbageOf(&p.addresses, index.Refs(&p.rows.address)), index.GarbageOf(&p.people.keys, index.Refs(&p.people.key))})
	}
	s.mu.RUnlock()
	for _, g := range garbage {
		s.mu.RLock()
		w := g.Look()
		s.mu.RUnlock()
		w.Clean()
		s.mu.Lock()
		w.Place()
		s.mu.Unlock()
	}
	// A day of events may be copied by the writer at any time, and its arenas with
	// it: they are small, and are wiped without letting it go.
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.projects {
		small = slices.Concat(small, p.done.own.Garbage(), p.done.people.Garbage())
	}
	for _, g := range small {
		w := g.Look()
		w.Clean()
		w.Place()
	}
}
