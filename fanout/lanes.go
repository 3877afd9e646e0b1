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
	"golang.org/x/sync/singleflight"

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

// Accounts is what lanes read of the accounts.
type Accounts struct {
	Credentials Credentials
	IDs         CredentialIDs
	Weight      func(context.Context, tocsin.ProjectID) (int, error) // of a project; asked for every slice
}

// Lanes holds the lanes of a process, opens them when first asked for, and
// paces all shards through one machine. One Lanes serves all owners.
type Lanes struct {
	config    LanesConfig
	providers map[tocsin.Provider]provider.Provider
	accounts  Accounts
	quotas    *Quotas // nil: all are this process's own
	log       *slog.Logger
	metrics   *metrics
	box       *mailbox[any]
	work      *workQueue
	flights   sync.Pool
	ended     chan struct{} // closed when Run returns
	underWay  atomic.Int64  // ranges granted and not accounted for

	admission atomic.Pointer[pace.Admission]
	stated    atomic.Pointer[stated]
	stating   singleflight.Group

	mu      sync.RWMutex
	open    map[provider.Route]openLane
	refused map[tocsin.CredentialID]time.Time // since when
}

// NewLanes makes the lanes of a process, which shares quotas with others unless
// quotas is nil; nothing is opened before it is asked
// for. It fails when its metrics are registered already.
func NewLanes(config LanesConfig, providers map[tocsin.Provider]provider.Provider, accounts Accounts,
	quotas *Quotas, registerer prometheus.Registerer, log *slog.Logger) (*Lanes, error) {
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, err
	}
	l := &Lanes{
		config: config, providers: providers, accounts: accounts, quotas: quotas, log: log.With("room", "fanout"), metrics: metrics,
		box: newMailbox[any](), work: newWorkQueue(), ended: make(chan struct{}), open: map[provider.Route]openLane{},
		refused: map[tocsin.CredentialID]time.Time{},
	}
	return l, registerer.Register(collector{l})
}

// Busy reports whether any push is under way. Any number may call it at once.
func (l *Lanes) Busy() bool { return l.underWay.Load() > 0 }

// weigh tells pace of the weight that a project has now. What cannot be read
// stays as it was.
func (l *Lanes) weigh(ctx context.Context, project tocsin.ProjectID) {
	weight, err := l.accounts.Weight(ctx, project)
	if err == nil {
		l.box.post(pace.Weighed{Project: project, Weight: weight})
	} else if ctx.Err() == nil {
		l.log.Warn("the weight of a project could not be read", "project", project.String(), "error", err)
	}
}

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
		err error
	}
	replaced struct{ credential provider.Credential }
	departed struct {
		shard tocsin.Shard
		noted chan struct{}
	}
)

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
	held    map[string]*held // by subject
	timer   *time.Timer
	fuller  bool // the admission was not looked at since a shard told what is open

	unshared   int       // failures of the store of quotas that the log does not know
	complained time.Time // when it was told last
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
		owners: map[tocsin.Shard]*mailbox[message]{}, held: map[string]*held{}, timer: time.NewTimer(time.Hour),
	}
	defer p.giveBack()
	defer p.closeAll()
	defer p.timer.Stop()
	look := time.NewTicker(l.config.Look)
	defer look.Stop()
	var items []any
	begin := pace.Started{}
	if l.quotas != nil {
		begin.Process = l.quotas.Process
	}
	p.step(begin)
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
	case pace.Weighed:
		p.step(e)
	case consulted:
		if e.err != nil {
			p.failed(e)
		}
		p.step(e.Told)
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
		w := p.way(e.Route, e.Project, e.Environment)
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
		case pace.Consult:
			p.consult(e)
		case pace.Held:
			p.heldOf(e.Subject).Store(&e)
		case pace.Wake:
			p.timer.Reset(time.Until(e.At))
		}
	}
}
