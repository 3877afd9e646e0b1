package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/store"
)

// Owner runs the machine of one shard: it reads the logs, keeps the clock,
// appends, and lets ranges leave through the lanes.
type Owner struct {
	config      Config
	shard       tocsin.Shard
	incarnation uint64
	journal     journal.Journal
	store       store.Store
	audience    *audience.Shard
	lanes       *Lanes
	snapshot    func(context.Context) (*ledger.Fold, error)
	log         *slog.Logger

	box      *mailbox[message]
	tail     *tail
	tasks    sync.WaitGroup
	flights  map[ClaimRef]*flight
	contents map[uint64]*contents // of slices
	requests []pace.Event
	fatal    error
}

// message is an event of the machine, and the flight that ends with it.
type message struct {
	event  Event
	flight *flight
	fatal  error // nothing to go on with
}

// NewOwner makes the owner of a shard. The incarnation is random, not 0, and
// used by nobody else. snapshot brings the fold of the newest snapshot of the
// shard's ledger, ledger.New() when there is none.
func NewOwner(config Config, shard tocsin.Shard, incarnation uint64, j journal.Journal, rows store.Store, a *audience.Shard, lanes *Lanes,
	snapshot func(context.Context) (*ledger.Fold, error), log *slog.Logger) *Owner {
	return &Owner{
		config: config, shard: shard, incarnation: incarnation, journal: j, store: rows, audience: a, lanes: lanes, snapshot: snapshot,
		log: log.With("room", "fanout", "shard", int(shard)), box: newMailbox[message](),
		flights: map[ClaimRef]*flight{}, contents: map[uint64]*contents{},
	}
}

// Run owns the shard until ctx ends; then it leaves: what is claimed is settled
// or released, for at most Config.Leave. It returns when all that it started
// has returned. An error means that the logs cannot be followed here.
func (o *Owner) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer o.tasks.Wait()
	defer stop()
	fold, err := o.snapshot(ctx)
	if err != nil {
		return fmt.Errorf("fanout: snapshot of shard %d: %w", o.shard, err)
	}
	m := New(o.config, o.shard, o.incarnation)
	o.tasks.Go(func() { o.watch(inner) })
	o.box.post(message{event: Assigned{Fold: fold}})

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	tell := time.NewTicker(tellEvery)
	defer tell.Stop()
	var told []pace.Load
	limit := time.NewTimer(time.Hour)
	limit.Stop()
	leave := ctx.Done()
	var messages []message
	single := []message{{event: Tick{}}}
	for {
		todo := single
		select {
		case <-o.box.arrive:
			messages = o.box.take(messages)
			todo = messages
		case <-timer.C:
			single[0].event = Tick{}
		case <-tell.C:
			if loads := m.Loads(); !slices.Equal(loads, told) {
				told = loads
				o.requests = append(o.requests, pace.Opened{Shard: o.shard, Loads: slices.Clone(loads)})
			}
			todo = nil
		case <-leave:
			leave = nil
			limit.Reset(o.config.Leave)
			single[0].event = Leave{}
		case <-limit.C:
			single[0].event = Revoked{}
		}
		for _, msg := range todo {
			if msg.fatal != nil {
				o.fatal = msg.fatal
				msg.event = Revoked{}
			}
			if msg.flight != nil {
				o.land(msg)
			}
			if o.run(inner, m.Step(time.Now(), msg.event), timer) {
				o.requests = append(o.requests, pace.Opened{Shard: o.shard})
				o.lanes.box.post(requests{o.box, o.shard, o.requests})
				o.drain(m)
				return o.fatal
			}
		}
		if len(o.requests) > 0 {
			o.lanes.box.post(requests{o.box, o.shard, o.requests})
			o.requests = nil
		}
	}
}

// drain waits for what is still on its way after the end, so that pace hears of
// it: ranges in their lanes, and grants that crossed with their Drop.
func (o *Owner) drain(m *Machine) {
	gone := make(chan struct{})
	o.lanes.box.post(departed{o.shard, gone})
	var messages []message
	for len(o.flights) > 0 || gone != nil {
		select {
		case <-o.box.arrive:
		case <-gone:
			gone = nil
		case <-o.lanes.ended:
			return
		}
		messages = o.box.take(messages)
		var finished []pace.Event
		for _, msg := range messages {
			if msg.flight != nil {
				o.land(msg)
			}
			for _, e := range m.Step(time.Now(), msg.event) {
				if p, ok := e.(Pace); ok {
					finished = append(finished, p.Event)
				}
			}
		}
		o.lanes.box.post(requests{nil, o.shard, finished})
	}
}

// run does what the machine asks for, and reports whether it stopped.
func (o *Owner) run(ctx context.Context, effects []Effect, timer *time.Timer) (stopped bool) {
	var few []Evaluate // that one goroutine does: each costs less than to start one
	for _, effect := range effects {
		switch e := effect.(type) {
		case Follow:
			o.follow(ctx, e.From)
		case CatchUp:
			o.tail.catchUp()
		case ReadSlices:
			o.tasks.Go(func() { o.readSlices(ctx, e.From) })
		case FetchSlice:
			o.tasks.Go(func() { o.fetchSlice(ctx, e.Position) })
		case Evaluate:
			if toFew(e.Envelope.GetSlice()) {
				few = append(few, e)
				continue
			}
			o.tasks.Go(func() { o.evaluate(ctx, e) })
		case Append:
			t := o.tail
			o.tasks.Go(func() { o.append(ctx, t, e) })
		case Pace:
			o.requests = append(o.requests, e.Event)
		case Deliver:
			o.takeOff(e)
		case Halt:
			if f := o.flights[e.Claim]; f != nil {
				f.batch.Stop.Store(true)
			}
		case Forget:
			delete(o.contents, e.Slice)
		case Wake:
			timer.Reset(time.Until(e.At))
		case Stopped:
			if !e.Clean {
				o.log.Warn("left the shard with pushes claimed: they are in doubt")
			}
			stopped = true
		}
	}
	if len(few) > 0 {
		o.tasks.Go(func() {
			for _, e := range few {
				o.evaluate(ctx, e)
			}
		})
	}
	return stopped
}

func (o *Owner) takeOff(e Deliver) {
	c, left := o.contents[e.Slice], timeLeft(e.Send.Due, e.Send.Expiry, time.Now())
	if c == nil || c.ttl > left {
		c = newContents(e.Content, e.Send, left)
		o.contents[e.Slice] = c
	}
	f, _ := o.lanes.flights.Get().(*flight)
	if f == nil {
		f = newFlight()
	}
	f.load(o, c, e)
	o.lanes.underWay.Add(1)
	o.flights[e.Claim] = f
	if len(f.ordinals) <= atOnce {
		f.leave()
		return
	}
	o.lanes.work.post(f.leave)
}

// atOnce is how many pushes are loaded, rendered and accounted for by whoever
// comes by them: it costs less than another goroutine.
const atOnce = 4

func (o *Owner) land(msg message) {
	delete(o.flights, msg.flight.claim)
	msg.flight.clear()
	o.lanes.flights.Put(msg.flight)
}

// watch tells how far the audience has applied its changes.
func (o *Owner) watch(ctx context.Context) {
	for {
		applied := o.audience.Applied()
		o.box.post(message{event: Applied{Changes: applied}})
		if o.audience.Await(ctx, applied+1) != nil {
			return
		}
		// Under an import it moves with every record; the machine needs less.
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// append adds records to the ledger and reads them back at once.
func (o *Owner) append(ctx context.Context, t *tail, e Append) {
	_, err := o.journal.Append(ctx, o.partition(journal.Ledger), encode(e.Records)...)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, journal.ErrClosed) {
			o.log.Error("append to the ledger failed, the shard is taken again", "error", err)
		}
		o.box.post(message{event: AppendFailed{}})
		return
	}
	o.pull(ctx, t, message{event: Appended{}}) // what fails here fails again where the ledger is followed
}
