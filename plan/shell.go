package plan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// gather is how long records of the ledger come together: the retries in it wait
// for longer.
const gather = 10 * time.Millisecond

// Shell runs one machine: it reads the logs, keeps the clock and does what the
// machine asks for.
type Shell struct {
	config      Config
	shard       tocsin.Shard
	incarnation uint64
	journal     journal.Journal
	store       store.Store
	log         *slog.Logger

	events        chan Event
	sends, ledger atomic.Uint64
	failing       sync.Map // shards to which appends failed of late
}

// NewShell makes a shell that has not started. The incarnation is random, not
// 0, and used by nobody else.
func NewShell(config Config, shard tocsin.Shard, incarnation uint64, j journal.Journal, s store.Store, log *slog.Logger) *Shell {
	return &Shell{config: config, shard: shard, incarnation: incarnation, journal: j, store: s,
		log: log.With("room", "plan", "shard", int(shard)), events: make(chan Event)}
}

// Durable is how far sends and the ledger of this shard number are no longer
// needed here: their trim may not go beyond.
func (s *Shell) Durable() (sends, ledger uint64) { return s.sends.Load(), s.ledger.Load() }

// Replaced says that a credential was replaced. It returns when Run has taken
// note, or ctx has ended.
func (s *Shell) Replaced(ctx context.Context, id tocsin.CredentialID) {
	s.send(ctx, Replaced{Credential: id})
}

func (s *Shell) send(ctx context.Context, e Event) {
	select {
	case s.events <- e:
	case <-ctx.Done():
	}
}

// Run plans until ctx ends, which is no error, or until the machine cannot go
// on. It returns when all that it started has returned. Run it once.
func (s *Shell) Run(ctx context.Context) error {
	m := New(s.config, s.shard, s.incarnation)
	rows, err := StateRows(ctx, s.store, s.shard)
	if err == nil {
		err = m.Load(time.Now(), rows)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("plan: shard %d: %w", s.shard, err)
	}
	sends, ledger := m.Cursors()
	s.sends.Store(sends)
	s.ledger.Store(ledger)

	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop(nil)
	running.Go(func() {
		stop(s.follow(ctx, journal.Sends, sends, 0, func(r []Record, next uint64) Event { return SendsRead{r, next} }))
	})
	running.Go(func() {
		stop(s.follow(ctx, journal.Ledger, ledger, gather, func(r []Record, next uint64) Event { return LedgerRead{r, next} }))
	})

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var event Event = Tick{}
	for {
		for _, effect := range m.Step(time.Now(), event) {
			switch e := effect.(type) {
			case Append:
				running.Go(func() { s.send(ctx, s.append(ctx, e)) })
			case Save:
				running.Go(func() { s.send(ctx, s.save(ctx, e)) })
			case Recall:
				running.Go(func() { s.send(ctx, s.recall(ctx, e)) })
			case Ends:
				running.Go(func() { s.send(ctx, s.ends(ctx)) })
			case Wake:
				timer.Reset(until(time.Now(), e.At))
			case Durable:
				s.sends.Store(e.Sends)
				s.ledger.Store(e.Ledger)
			}
		}
		select {
		case event = <-s.events:
		case <-timer.C:
			event = Tick{}
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		}
	}
}

// until is how long to wait for an instant, at most a second at a time: a clock
// that is set forward, or a machine that was suspended, moves no timer under way.
func until(now, at time.Time) time.Duration { return min(at.Sub(now), time.Second) }

// follow hands the records of a log to the machine until ctx ends.
func (s *Shell) follow(ctx context.Context, topic journal.Topic, from uint64, gather time.Duration, event func([]Record, uint64) Event) error {
	err := journal.Follow(ctx, s.journal, journal.Partition{Topic: topic, Shard: s.shard}, journal.Position(from), gather, s.config.Again, s.log,
		func(records []Record, next journal.Position) { s.send(ctx, event(records, uint64(next))) })
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

func (s *Shell) append(ctx context.Context, a Append) Event {
	data := make([][]byte, len(a.Slices))
	for i, e := range a.Slices {
		data[i] = record.Encode(e)
	}
	_, err := s.journal.Append(ctx, journal.Partition{Topic: journal.Slices, Shard: a.Shard}, data...)
	if err == nil {
		s.failing.Delete(a.Shard)
	} else if _, known := s.failing.LoadOrStore(a.Shard, true); !known && ctx.Err() == nil { // once, it may last
		s.log.Warn("appending slices failed, repeated until it succeeds", "to", int(a.Shard), "error", err)
	}
	return Appended{Shard: a.Shard, Failed: err != nil}
}

func (s *Shell) save(ctx context.Context, e Save) Event {
	err := store.Save(ctx, s.store, e.Batches)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("saving rows failed, repeated", "error", err)
	}
	return Saved{Failed: err != nil}
}

func (s *Shell) recall(ctx context.Context, e Recall) Event {
	rows, err := store.All(ctx, s.store, e.Place, e.From, e.To)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("reading what was planned failed, repeated", "error", err)
	}
	return Recalled{Minute: e.Minute, Rows: rows, Failed: err != nil}
}

// ends asks for the end of changes of every shard, twice.
func (s *Shell) ends(ctx context.Context) Event {
	var asked [2][]uint64
	for k := range asked {
		for i := range s.config.Shards {
			end, err := s.journal.End(ctx, journal.Partition{Topic: journal.Changes, Shard: tocsin.Shard(i)})
			if err != nil {
				if ctx.Err() == nil {
					s.log.Warn("asking for the end of changes failed, repeated", "error", err)
				}
				return Ended{}
			}
			asked[k] = append(asked[k], uint64(end))
		}
	}
	return Ended{Before: asked[0], Ends: asked[1]}
}
