package receipt

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

// gather is how long records of the ledger come together: counters follow what
// was settled by as much.
const gather = 10 * time.Millisecond

// Shell runs one machine and answers questions about it.
type Shell struct {
	config      Config
	shard       tocsin.Shard
	incarnation uint64
	journal     journal.Journal
	store       store.Store
	log         *slog.Logger

	events chan Event
	asks   chan func(*Machine)
	ledger atomic.Uint64
	sent   sent
}

// NewShell makes a shell that has not started. The incarnation is random, not
// 0, and used by nobody else.
func NewShell(config Config, shard tocsin.Shard, incarnation uint64, j journal.Journal, s store.Store, log *slog.Logger) *Shell {
	return &Shell{config: config, shard: shard, incarnation: incarnation, journal: j, store: s,
		log: log.With("room", "receipt", "shard", int(shard)), events: make(chan Event), asks: make(chan func(*Machine)), sent: newSent()}
}

// Durable is how far the ledger of the shard is no longer needed here: its
// trim may not go beyond.
func (s *Shell) Durable() uint64 { return s.ledger.Load() }

// Kept is how long counters and traces are kept after the last record of a send.
func (s *Shell) Kept() time.Duration { return s.config.Retention }

// Status is the counters of a send on this shard, nil when it was not opened
// here, or so long ago that they were forgotten. It needs Run to be running.
func (s *Shell) Status(ctx context.Context, id tocsin.SendID) (*record.Counters, error) {
	var found *record.Counters
	if err := s.ask(ctx, func(m *Machine) { found = m.Status(id) }); err != nil || found != nil {
		return found, err
	}
	read, err := s.stored(ctx, id)
	if err != nil {
		return nil, err
	}
	rows, err := read(countersKey, countersKey+"~")
	if err != nil {
		return nil, err
	}
	return ReadCounters(rows)
}

// Trace is the story of one push, or ErrNotTargeted. It needs Run to be running.
func (s *Shell) Trace(ctx context.Context, id tocsin.SendID, ordinal uint32) (t Trace, err error) {
	// What is on its way to the store is taken down first, so that nothing
	// falls between: it is in the store before the machine forgets it.
	var live Live
	if askErr := s.ask(ctx, func(m *Machine) { live, err = m.Live(id, ordinal) }); askErr != nil || err != nil {
		return t, errors.Join(askErr, err)
	}
	read, err := s.stored(ctx, id)
	if err != nil {
		return t, err
	}
	opens, err := read("open/", "open0")
	if err != nil {
		return t, err
	}
	if err := live.find(ordinal, opens); err != nil {
		return t, err
	}
	rows, err := read(pagePrefix(live.page), pagePrefix(live.page+1))
	if err != nil {
		return t, err
	}
	ends, err := read(endKey(live.page), endKey(live.page+1))
	if err != nil {
		return t, err
	}
	return live.story(append(rows, ends...))
}

// ask runs a function between two steps of the machine.
func (s *Shell) ask(ctx context.Context, f func(*Machine)) error {
	done := make(chan struct{})
	select {
	case s.asks <- func(m *Machine) { defer close(done); f(m) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run follows the ledger until ctx ends, which is no error, or until the
// machine cannot go on. It returns when all that it started has returned. Run
// it once.
func (s *Shell) Run(ctx context.Context) error {
	m := New(s.config, s.shard, s.incarnation)
	rows, err := StateRows(ctx, s.store, s.shard)
	if err == nil {
		err = m.Load(rows)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.ledger.Store(m.Cursor())

	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop(nil)
	from := m.Cursor()
	caughtUp := make(chan struct{})
	running.Go(func() { stop(s.follow(ctx, from, caughtUp)) })
	// What was saved may be older than what was answered before the last end of
	// the process: nobody is answered before it is made up for.
	var asks chan func(*Machine)

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
			case Wake:
				timer.Reset(time.Until(e.At))
			case Durable:
				s.ledger.Store(e.Ledger)
			}
		}
		for event = nil; event == nil; {
			select {
			case event = <-s.events:
			case <-caughtUp:
				asks, caughtUp = s.asks, nil
			case f := <-asks:
				f(m)
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
}

func (s *Shell) send(ctx context.Context, e Event) {
	select {
	case s.events <- e:
	case <-ctx.Done():
	}
}

// follow hands the ledger to the machine until ctx ends, and says when it has
// handed on what was there at the start.
func (s *Shell) follow(ctx context.Context, from uint64, caughtUp chan<- struct{}) error {
	p, at := journal.Partition{Topic: journal.Ledger, Shard: s.shard}, journal.Position(from)
	hand := func(records []Record, next journal.Position) {
		s.send(ctx, LedgerRead{records, uint64(next)})
		at = next
	}
	for {
		read, next, err := s.journal.Read(ctx, p, at, 1<<20)
		if err != nil || len(read) == 0 {
			break // an error comes again below
		}
		records, err := journal.Decode(p, read)
		if err != nil {
			return fmt.Errorf("receipt: %w", err)
		}
		hand(records, next)
	}
	close(caughtUp)
	if err := journal.Follow(ctx, s.journal, p, at, gather, s.config.Again, s.log, hand); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	return nil
}

func (s *Shell) append(ctx context.Context, a Append) Event {
	data := make([][]byte, len(a.Changes))
	for i, e := range a.Changes {
		data[i] = record.Encode(e)
	}
	_, err := s.journal.Append(ctx, journal.Partition{Topic: journal.Changes, Shard: s.shard}, data...)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("appending dead addresses failed, repeated", "error", err)
	}
	return Appended{Failed: err != nil}
}

func (s *Shell) save(ctx context.Context, e Save) Event {
	err := store.Save(ctx, s.store, e.Batches)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("saving rows failed, repeated", "error", err)
	}
	return Saved{Failed: err != nil}
}

func decodeCounters(data []byte) (*record.Counters, error) {
	c := new(record.Counters)
	if err := c.UnmarshalVT(data); err != nil {
		return nil, fmt.Errorf("receipt: row of counters: %w", err)
	}
	return c, nil
}

// StateRows reads what Load and Snapshot take.
func StateRows(ctx context.Context, s store.Store, shard tocsin.Shard) ([]store.Row, error) {
	rows, err := store.AllOf(ctx, s, Place(shard), stateKey)
	if err != nil {
		return nil, fmt.Errorf("receipt: rows of shard %d: %w", shard, err)
	}
	return rows, nil
}

// scan reads all rows of a place between two keys.
func scan(ctx context.Context, s store.Store, at store.Place, from, to string) ([]store.Row, error) {
	rows, err := store.All(ctx, s, at, from, to)
	if err != nil {
		return nil, fmt.Errorf("receipt: rows of %s: %w", at.Partition, err)
	}
	return rows, nil
}
