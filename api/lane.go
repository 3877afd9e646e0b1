package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
)

// What a question about a target may cost, beside what Config says. Sends are neither asked for a place nor
// do they wait for one: a target that is dearer than any may be is refused when its
// send is asked for, and from then on it is evaluated when it is due.
const (
	dearSetup  = 2 * time.Millisecond // to make it ready; from there on it is the slow lane
	mostSetup  = 20 * time.Millisecond
	quickQueue = 1024 // questions that wait, and how long
	quickWait  = 5 * time.Second
	slowQueue  = 32
	slowWait   = 20 * time.Second
	slowOwn    = 4 // of one project, in the slow lane
)

// lane lets a number of questions run at the same time; others wait, not too many
// and not too long.
type lane struct {
	running chan struct{} // has a place for each that may
	queue   int
	own     int // that wait or run, of one project; 0: as many as there are
	wait    time.Duration

	mu      sync.Mutex
	waiting int
	count   map[tocsin.ProjectID]int
}

func newLane(running, queue, own int, wait time.Duration) *lane {
	return &lane{running: make(chan struct{}, running), queue: queue, own: own, wait: wait, count: make(map[tocsin.ProjectID]int)}
}

// quickLane and slowLane share the processors: half of them may be taken by what is
// dear, one at least.
func quickLane() *lane { return newLane(runtime.GOMAXPROCS(0), quickQueue, 0, quickWait) }
func slowLane() *lane {
	return newLane(max(1, runtime.GOMAXPROCS(0)/2), slowQueue, slowOwn, slowWait)
}

// enter waits for a place; then leave follows. It fails when too many wait, when its
// turn has not come in time, or with ctx.
func (l *lane) enter(ctx context.Context, project tocsin.ProjectID) error {
	l.mu.Lock()
	switch {
	case l.own > 0 && l.count[project] >= l.own:
		l.mu.Unlock()
		return busy(http.StatusTooManyRequests, "too_many", "too many dear questions of this project at the same time", l.wait/4)
	case l.waiting >= l.queue:
		l.mu.Unlock()
		return busy(http.StatusServiceUnavailable, "busy", "too many questions about targets wait already", l.wait/4)
	}
	l.waiting++
	l.count[project]++
	l.mu.Unlock()
	turn := time.NewTimer(l.wait)
	defer turn.Stop()
	var err error
	select {
	case l.running <- struct{}{}:
	case <-turn.C:
		err = busy(http.StatusServiceUnavailable, "busy", "its turn did not come in time", l.wait/4)
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting--; err != nil {
		l.forget(project)
	}
	return err
}

func (l *lane) leave(project tocsin.ProjectID) {
	<-l.running
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(project)
}

func (l *lane) forget(project tocsin.ProjectID) {
	if l.count[project]--; l.count[project] == 0 {
		delete(l.count, project)
	}
}

// afford refuses a query that costs more than any may.
func (s *Server) afford(ctx context.Context, project tocsin.ProjectID, t ask.Target, explain bool) (ask.Cost, error) {
	c, err := s.Ask.Cost(ctx, project, t, explain, mostSetup)
	switch {
	case err != nil:
		return c, err
	case c.Setup > mostSetup:
		return c, tooDear(fmt.Sprintf("takes about %v to make ready, at most %v: it has very many values, zones or tests", c.Setup.Round(time.Millisecond), mostSetup))
	case c.Run > s.Dearest:
		return c, tooDear(fmt.Sprintf("takes about %v of a processor on this audience, at most %v: many of its clauses look at everybody", c.Run.Round(s.Dearest/100), s.Dearest))
	}
	return c, nil
}

func tooDear(reason string) failure {
	f := invalid("target.query", reason)
	f.Code, f.Detail = "too_dear", "the target costs more than any may"
	return f
}

// question is what is asked about a target.
type question uint8

const (
	counting question = iota
	explaining
	judging // somebody
)

// ponder runs a question about a target in the lane that its cost gives it.
func (s *Server) ponder(ctx context.Context, project tocsin.ProjectID, t ask.Target, what question, answer func() error) error {
	if err := s.quick.enter(ctx, project); err != nil {
		return err
	}
	c, err := s.afford(ctx, project, t, what == explaining)
	if err != nil || what == judging || c.Run <= s.Dear && c.Setup <= dearSetup {
		defer s.quick.leave(project)
		if err == nil {
			err = answer()
		}
		return err
	}
	s.quick.leave(project)
	if err := s.slow.enter(ctx, project); err != nil {
		return err
	}
	defer s.slow.leave(project)
	return answer()
}
