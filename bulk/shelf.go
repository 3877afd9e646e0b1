package bulk

import "sync"

// shelf keeps a few things that were used, to be used again. Unlike a sync.Pool
// it is the same from run to run.
type shelf[T any] struct {
	mu   sync.Mutex
	free []*T
	most int // kept
}

// get returns a used one, or a new zero one.
func (s *shelf[T]) get() *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.free) - 1
	if n < 0 {
		return new(T)
	}
	x := s.free[n]
	s.free = s.free[:n]
	return x
}

func (s *shelf[T]) put(x *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) < s.most {
		s.free = append(s.free, x)
	}
}
