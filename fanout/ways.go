package fanout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
)

// openLane is a lane, the version of the credential that it was opened with, and
// by what the provider counts what leaves through it.
type openLane struct {
	lane    provider.Lane
	version uint64
	subject string
	quota   int // pushes a minute; 0 none
	held    *held
	ramp    time.Duration
}

// way is a route in use.
type way struct {
	route   provider.Route
	project tocsin.ProjectID
	lane    provider.Lane

	environment tocsin.Environment

	version  uint64 // raised by every replacement
	subject  string // "" until it was opened once
	pending  []pace.Ask
	capacity int
	placed   bool      // counts among LanesConfig.Most
	reopen   time.Time // after a failure, or for want of a place; zero while opening or open
	idle     time.Time // since when nothing was asked or under way; zero: something is
}

// named adds what a line of the log about the way says of whose it is (law L10);
// all classes share it.
func (w *way) named(more ...any) []any {
	return append([]any{"provider", w.route.Provider.String(), "project", w.project.String(), "environment", w.environment.String()}, more...)
}

func (p *pacer) way(r provider.Route, project tocsin.ProjectID, environment tocsin.Environment) *way {
	w := p.ways[r]
	if w == nil {
		w = &way{route: r, project: project, environment: environment}
		p.ways[r] = w
		p.order = append(p.order, w)
		p.openWay(w)
	}
	return w
}

// openWay opens the lane of a way off this goroutine, as soon as there is a
// place for it.
func (p *pacer) openWay(w *way) {
	if !w.placed {
		if p.placed == p.Lanes.config.Most {
			w.reopen = time.Now()
			return
		}
		w.placed = true
		p.placed++
	}
	w.reopen = time.Time{}
	version := w.version
	p.tasks.Go(func() {
		result := opened{way: w, version: version}
		result.err = p.openLane(w, &result)
		p.box.post(result)
	})
}

// openLane runs beside the goroutine that paces, and reads only what a way is made with.
func (p *pacer) openLane(w *way, o *opened) error {
	r, project := w.route, w.project
	p.weigh(p.ctx, project) // after a start what is open goes on before any slice is read
	all, err := p.accounts.Credentials(p.ctx, project)
	for _, c := range all {
		if c.ID != r.Credential || c.Provider != r.Provider {
			continue
		}
		if err != nil && c.APNs == nil && c.FCM == nil && c.WebPush == nil {
			return err // it is the one that does not open
		}
		by := p.providers[r.Provider]
		if by == nil {
			return fmt.Errorf("fanout: %s is not offered here", r.Provider)
		}
		c.Environment = w.environment
		o.openLane = countedAs(by, r, c)
		if o.lane, err = by.Lane(r, c); err != nil {
			return err
		}
		warm, cancel := context.WithTimeout(p.ctx, p.Lanes.config.Warm)
		defer cancel()
		if err := o.lane.Warm(warm); err != nil && p.ctx.Err() == nil {
			p.log.Warn("a lane is not warm yet", w.named("host", r.Host, "error", err)...)
		}
		return nil
	}
	if err == nil {
		err = fmt.Errorf("fanout: project %s has no such %s credential", project, r.Provider)
	}
	return err
}

// countedAs is all of an openLane but the lane.
func countedAs(by provider.Provider, r provider.Route, c provider.Credential) openLane {
	o := openLane{version: c.Version, subject: by.Subject(r, c), quota: c.Quota, ramp: by.Ramp()}
	if o.quota == 0 {
		o.quota = by.Quota()
	}
	return o
}

func (p *pacer) opened(e opened) {
	w := e.way
	if e.version != w.version { // replaced meanwhile
		p.closeLane(e.way, e.lane)
		return
	}
	if e.err != nil {
		p.log.Warn("a lane could not be opened", w.named("error", e.err)...)
		w.reopen = time.Now().Add(p.Lanes.config.Reopen)
		p.unplace(w)
		return
	}
	w.lane, w.subject = e.lane, e.subject
	e.held = p.heldOf(e.subject)
	p.mu.Lock()
	p.open[w.route] = e.openLane
	p.mu.Unlock()
	p.step(pace.Configured{Subject: w.subject, Quota: e.quota, Ramp: e.ramp})
	for _, ask := range w.pending {
		ask.Subject = w.subject
		p.step(ask)
	}
	p.pending -= len(w.pending)
	w.pending = nil
	p.lookAt(w)
}

// replaced closes the lanes of the credential and opens them with the new one.
func (p *pacer) replaced(c provider.Credential) {
	p.step(pace.Replaced{Credential: c.ID, Version: c.Version})
	for _, w := range p.order {
		if w.route.Credential != c.ID {
			continue
		}
		p.shut(w)
		p.step(pace.Capacity{Route: w.route})
		p.openWay(w)
	}
}

func (p *pacer) closeLane(w *way, lane provider.Lane) {
	if lane == nil {
		return
	}
	p.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), p.Lanes.config.Close)
		defer cancel()
		if err := lane.Close(ctx); err != nil {
			p.log.Warn("a lane did not close in time", w.named("error", err)...)
		}
	})
}

// look asks every lane for its capacity, tries again what could not be opened,
// and closes what nobody uses.
func (p *pacer) look() {
	now := time.Now()
	p.makeRoom(now)
	p.order = slices.DeleteFunc(p.order, func(w *way) bool {
		if !w.reopen.IsZero() && now.After(w.reopen) {
			p.openWay(w)
		}
		p.lookAt(w)
		switch {
		case len(w.pending) > 0 || !p.machine.Idle(w.route):
			w.idle = time.Time{}
		case w.idle.IsZero():
			w.idle = now
		case now.Sub(w.idle) >= p.Lanes.config.Idle:
			p.forget(w)
			return true
		}
		return false
	})
	if p.fuller {
		p.fuller = false
		a := p.machine.Admission()
		p.admission.Store(&a)
	}
}

// makeRoom ends the time of as many idle ways as others wait for a place, the
// longest idle first.
func (p *pacer) makeRoom(now time.Time) {
	if p.placed < p.Lanes.config.Most {
		return
	}
	waiting, idle := 0, []*way(nil)
	for _, w := range p.order {
		switch {
		case !w.placed && now.After(w.reopen):
			waiting++
		case w.placed && !w.idle.IsZero():
			idle = append(idle, w)
		}
	}
	slices.SortStableFunc(idle, func(a, b *way) int { return a.idle.Compare(b.idle) })
	for _, w := range idle[:min(waiting, len(idle))] {
		w.idle = now.Add(-p.Lanes.config.Idle)
	}
}

func (p *pacer) unplace(w *way) {
	if w.placed {
		w.placed = false
		p.placed--
	}
}

// forget closes the lane of a way that is idle; whoever asks opens it anew.
func (p *pacer) forget(w *way) {
	p.unplace(w)
	p.shut(w)
	delete(p.ways, w.route)
	p.step(pace.Closed{Route: w.route})
}

// shut closes the lane of a way, or lets go of the one that is being opened.
func (p *pacer) shut(w *way) {
	w.version++
	p.mu.Lock()
	delete(p.open, w.route)
	p.mu.Unlock()
	p.closeLane(w, w.lane)
	w.lane, w.capacity = nil, 0
}

func (p *pacer) lookAt(w *way) {
	if w.lane == nil {
		return
	}
	if n := w.lane.Capacity(); n != w.capacity {
		w.capacity = n
		p.step(pace.Capacity{Route: w.route, N: n})
	}
}

func (p *pacer) closeAll() {
	p.tasks.Wait() // lanes still opening
	for _, item := range p.box.take(nil) {
		switch e := item.(type) {
		case opened:
			p.closeLane(e.way, e.lane)
		case consulted:
			p.machine.Step(time.Now(), e.Told)
		}
	}
	for _, w := range p.order {
		p.closeLane(w, w.lane)
	}
	p.tasks.Wait()
}

// lane is the open lane of a route, nil when there is none now or nothing may
// leave there any more, and the version
// of its credential.
func (l *Lanes) lane(r provider.Route) (provider.Lane, uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.open[r]
	if o.held != nil && o.held.ended() {
		return nil, 0
	}
	return o.lane, o.version
}
