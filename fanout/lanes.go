package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
)

// LanesConfig holds the settings of the ways out of a process.
type LanesConfig struct {
	Pace    pace.Config
	Look    time.Duration // how often lanes are asked for their capacity
	Warm    time.Duration // limit for bringing up a lane's connections
	Reopen  time.Duration // wait after a lane that could not be opened
	Close   time.Duration // limit for the answers that a lane which closes waits for
	Idle    time.Duration // after which a lane that nobody used is closed
	Most    int           // lanes open at a time; the next one waits until one is idle
	Workers int           // goroutines that load, render and account for ranges; 0: one a processor
}

// DefaultLanes are the settings for production.
func DefaultLanes() LanesConfig {
	return LanesConfig{Pace: pace.Default(), Look: 20 * time.Millisecond, Warm: 10 * time.Second, Reopen: 5 * time.Second, Close: 10 * time.Second, Idle: time.Hour, Most: 2048}
}

// Validate says what is wrong with the settings.
func (c LanesConfig) Validate() error {
	if c.Look <= 0 || c.Warm <= 0 || c.Reopen <= 0 || c.Close <= 0 || c.Idle <= 0 || c.Workers < 0 {
		return fmt.Errorf("fanout: times of lanes must be above 0, workers not below")
	}
	if c.Most < 1 {
		return fmt.Errorf("fanout: at least 1 lane must be allowed")
	}
	return c.Pace.Validate()
}

// Credentials finds the credentials of a project, in clear.
type Credentials func(context.Context, tocsin.ProjectID) ([]provider.Credential, error)

// CredentialIDs names them by provider. It is asked for every slice.
type CredentialIDs func(context.Context, tocsin.ProjectID) (map[tocsin.Provider]tocsin.CredentialID, error)

// Lanes holds the lanes of a process, opens them when first asked for, and
// paces all shards through one machine. One Lanes serves all owners.
type Lanes struct {
	config      LanesConfig
	providers   map[tocsin.Provider]provider.Provider
	credentials Credentials
	ids         CredentialIDs
	log         *slog.Logger
	metrics     *metrics
	box         *mailbox[any]
	work        *workQueue
	flights     sync.Pool
	ended       chan struct{} // closed when Run returns
	underWay    atomic.Int64  // ranges granted and not accounted for

	admission atomic.Pointer[pace.Admission]

	mu      sync.RWMutex
	open    map[provider.Route]openLane
	refused map[tocsin.CredentialID]time.Time // since when
}

// NewLanes makes the lanes of a process; nothing is opened before it is asked
// for. It fails when its metrics are registered already.
func NewLanes(config LanesConfig, providers map[tocsin.Provider]provider.Provider, credentials Credentials, ids CredentialIDs,
	registerer prometheus.Registerer, log *slog.Logger) (*Lanes, error) {
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, err
	}
	l := &Lanes{
		config: config, providers: providers, credentials: credentials, ids: ids, log: log.With("room", "fanout"), metrics: metrics,
		box: newMailbox[any](), work: newWorkQueue(), ended: make(chan struct{}), open: map[provider.Route]openLane{},
		refused: map[tocsin.CredentialID]time.Time{},
	}
	return l, registerer.Register(collector{l})
}

// Busy reports whether any push is under way. Any number may call it at once.
func (l *Lanes) Busy() bool { return l.underWay.Load() > 0 }

// Replaced tells of a new credential. Its lanes close once they have their
// answers, and open anew.
func (l *Lanes) Replaced(c provider.Credential) { l.box.post(replaced{c}) }

// What is posted to the goroutine that runs the pace machine.
type (
	requests struct { // of one owner's step
		owner *mailbox[message]
		shard tocsin.Shard
		all   []pace.Event
	}
	opened struct {
		way     *way
		version uint64 // of the way when opening began
		openLane
		subject string
		quota   int
		ramp    time.Duration
		err     error
	}
	replaced struct{ credential provider.Credential }
	departed struct {
		shard tocsin.Shard
		noted chan struct{}
	}
)

// openLane is a lane and the version of the credential that it was opened with.
type openLane struct {
	lane    provider.Lane
	version uint64
}

// way is a route in use.
type way struct {
	route    provider.Route
	project  tocsin.ProjectID
	lane     provider.Lane
	version  uint64 // raised by every replacement
	subject  string // "" until it was opened once
	pending  []pace.Ask
	capacity int
	placed   bool      // counts among LanesConfig.Most
	reopen   time.Time // after a failure, or for want of a place; zero while opening or open
	idle     time.Time // since when nothing was asked or under way; zero: something is
}

// pacer is the state of the goroutine that runs the machine.
type pacer struct {
	*Lanes
	ctx     context.Context
	tasks   sync.WaitGroup
	machine *pace.Machine
	ways    map[provider.Route]*way
	order   []*way
	placed  int // ways that hold a place
	pending int // asks of ways that were not open yet
	owners  map[tocsin.Shard]*mailbox[message]
	timer   *time.Timer
	fuller  bool // the admission was not looked at since a shard told what is open
}

// Run paces until ctx ends, which is no error; owners must have stopped before.
// It returns when all lanes are closed.
func (l *Lanes) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	n := l.config.Workers
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		workers.Go(l.work.run)
	}
	defer close(l.ended)
	defer workers.Wait()
	defer l.work.close()
	p := &pacer{
		Lanes: l, ctx: ctx, machine: pace.New(l.config.Pace), ways: map[provider.Route]*way{},
		owners: map[tocsin.Shard]*mailbox[message]{}, timer: time.NewTimer(time.Hour),
	}
	defer p.closeAll()
	defer p.timer.Stop()
	look := time.NewTicker(l.config.Look)
	defer look.Stop()
	var items []any
	p.step(pace.Started{})
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.box.arrive:
			items = l.box.take(items)
			for _, item := range items {
				p.do(item)
			}
		case <-p.timer.C:
			p.step(pace.Tick{})
		case <-look.C:
			p.look()
		}
	}
}

func (p *pacer) do(item any) {
	switch e := item.(type) {
	case requests:
		if e.owner != nil {
			p.owners[e.shard] = e.owner
		}
		for _, event := range e.all {
			p.request(event)
		}
	case pace.Left:
		p.request(e)
	case question:
		e.answer <- p.machine.State(time.Now())
	case opened:
		p.opened(e)
	case replaced:
		p.replaced(e.credential)
	case departed:
		delete(p.owners, e.shard)
		close(e.noted)
	}
}

func (p *pacer) request(event pace.Event) {
	switch e := event.(type) {
	case pace.Ask:
		w := p.way(e.Route, e.Project)
		if w.subject == "" {
			w.pending = append(w.pending, e)
			p.pending++
			return
		}
		e.Subject = w.subject
		p.step(e)
	case pace.Drop:
		if !p.unpend(e.Ticket) {
			p.step(e)
		}
	case pace.Left, pace.Steered, pace.Unsteered:
		p.step(e)
	case pace.Opened:
		for i := range e.Loads {
			if w := p.ways[e.Loads[i].Route]; w != nil {
				e.Loads[i].Subject = w.subject
			}
		}
		p.step(e)
		p.fuller = true
	case pace.Finished:
		if w := p.ways[e.Route]; w != nil {
			p.heard(w, e)
			p.step(e)
			p.lookAt(w) // a first answer may have opened the lane wide
		}
	}
}

// unpend takes an ask back that waits for its lane, and reports whether it did.
func (p *pacer) unpend(t pace.Ticket) bool {
	if p.pending == 0 {
		return false
	}
	for _, w := range p.order {
		for i, ask := range w.pending {
			if ask.Ticket == t {
				w.pending = slices.Delete(w.pending, i, i+1)
				p.pending--
				return true
			}
		}
	}
	return false
}

func (p *pacer) step(e pace.Event) {
	for _, effect := range p.machine.Step(time.Now(), e) {
		switch e := effect.(type) {
		case pace.Grant:
			owner := p.owners[e.Ticket.Shard]
			if owner == nil {
				p.request(pace.Finished{Route: e.Route, Send: e.Send, N: e.N, Unused: e.N})
				continue
			}
			owner.post(message{event: Granted{Grant: e}})
		case pace.Quiet:
			for _, w := range p.order {
				if w.subject == e.Subject {
					for _, owner := range p.owners {
						owner.post(message{event: Quiet{Route: w.route, Until: e.Until}})
					}
				}
			}
		case pace.Wake:
			p.timer.Reset(time.Until(e.At))
		}
	}
}

func (p *pacer) way(r provider.Route, project tocsin.ProjectID) *way {
	w := p.ways[r]
	if w == nil {
		w = &way{route: r, project: project}
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
	version, route, project := w.version, w.route, w.project
	p.tasks.Go(func() {
		result := opened{way: w, version: version}
		result.err = p.openLane(route, project, &result)
		p.box.post(result)
	})
}

func (p *pacer) openLane(r provider.Route, project tocsin.ProjectID, o *opened) error {
	all, err := p.credentials(p.ctx, project)
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
		if o.lane, err = by.Lane(r, c); err != nil {
			return err
		}
		o.openLane.version, o.subject, o.quota, o.ramp = c.Version, by.Subject(r, c), c.Quota, by.Ramp()
		if o.quota == 0 {
			o.quota = by.Quota()
		}
		warm, cancel := context.WithTimeout(p.ctx, p.Lanes.config.Warm)
		defer cancel()
		if err := o.lane.Warm(warm); err != nil && p.ctx.Err() == nil {
			p.log.Warn("a lane is not warm yet", "provider", r.Provider.String(), "project", project.String(), "host", r.Host, "error", err)
		}
		return nil
	}
	if err == nil {
		err = fmt.Errorf("fanout: project %s has no such %s credential", project, r.Provider)
	}
	return err
}

func (p *pacer) opened(e opened) {
	w := e.way
	if e.version != w.version { // replaced meanwhile
		p.closeLane(e.way, e.lane)
		return
	}
	if e.err != nil {
		p.log.Warn("a lane could not be opened", "provider", w.route.Provider.String(), "project", w.project.String(), "error", e.err)
		w.reopen = time.Now().Add(p.Lanes.config.Reopen)
		p.unplace(w)
		return
	}
	w.lane, w.subject = e.lane, e.subject
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
			p.log.Warn("a lane did not close in time", "provider", w.route.Provider.String(), "project", w.project.String(), "error", err)
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
		if e, ok := item.(opened); ok {
			p.closeLane(e.way, e.lane)
		}
	}
	for _, w := range p.order {
		p.closeLane(w, w.lane)
	}
	p.tasks.Wait()
}

// lane is the open lane of a route, nil when there is none now, and the version
// of its credential.
func (l *Lanes) lane(r provider.Route) (provider.Lane, uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	o := l.open[r]
	return o.lane, o.version
}
