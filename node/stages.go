package node

import (
	"context"
	"fmt"
	"sync"
)

// stages are the parts of a node in the order of their start. They are ended
// in reverse, each when all that came after it has returned.
type stages struct {
	fail context.CancelCauseFunc // ends the node
	ends []func()
}

// start runs a part until its stage is ended. A part that returns an error
// ends the node.
func (s *stages) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			s.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
	s.onEnd(func() {
		cancel()
		running.Wait()
	})
}

// onEnd registers what undoes the step just made.
func (s *stages) onEnd(end func()) { s.ends = append(s.ends, end) }

func (s *stages) end() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
}
