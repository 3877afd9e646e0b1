package audience

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// Ways run the Mover and the Directory of one shard: by them what happens on it
// reaches the others.
type Ways struct {
	shard    *Shard
	shards   int
	ask      AskRivals
	journal  journal.Journal
	identity func() uint64
	log      *slog.Logger
}

// AskRivals asks another shard for Rivals once it has applied everything below a
// position.
type AskRivals func(ctx context.Context, shard tocsin.Shard, below uint64, page Page) ([]ask.Rival, error)

// NewWays is for one shard of so many. identity draws a number that no other writer
// has.
func NewWays(shard *Shard, shards int, ask AskRivals, j journal.Journal, identity func() uint64, log *slog.Logger) *Ways {
	return &Ways{shard, shards, ask, j, identity, log.With("shard", int(shard.number))}
}

// Run works until ctx ends, which is no error, and returns when nothing of it is
// under way any more.
func (w *Ways) Run(ctx context.Context) error {
	var both sync.WaitGroup
	both.Go(func() { w.move(ctx) })
	both.Go(func() { w.direct(ctx) })
	both.Wait()
	return nil
}

// writers stamp the records of one machine; its appends to a log never overlap
// where they have the same name.
type writers struct {
	ways  *Ways
	named map[tocsin.Shard]*record.Writer
}

func (w *Ways) writers() writers { return writers{w, map[tocsin.Shard]*record.Writer{}} }

func (s *writers) of(name tocsin.Shard) *record.Writer {
	if s.named[name] == nil {
		s.named[name] = record.NewWriter(s.ways.identity())
	}
	return s.named[name]
}

// append writes records to the log of a shard and reports whether they are durable.
func (w *Ways) append(ctx context.Context, to tocsin.Shard, by *record.Writer, bodies []*record.Envelope, scopes []record.Scope) bool {
	data := make([][]byte, len(bodies))
	for i, body := range bodies {
		data[i] = record.Encode(by.Next(body, time.Now(), scopes[i]))
	}
	_, err := w.journal.Append(ctx, journal.Partition{Topic: journal.Changes, Shard: to}, data...)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("what a shard has for another could not be written, repeated", "to", int(to), "error", err)
	}
	return err == nil
}

// move runs the Mover.
func (w *Ways) move(ctx context.Context) {
	shard, machine := w.shard, NewMover()
	results := make(chan MoverEvent)
	var under sync.WaitGroup
	defer under.Wait()
	do := func(work func() MoverEvent) {
		under.Go(func() {
			e := work()
			select {
			case results <- e:
			case <-ctx.Done():
			}
		})
	}
	bring, depart := w.writers(), w.writers()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		changed := shard.Changed()
		var event MoverEvent = Pending{shard.Outbox()}
		for event != nil {
			for _, effect := range machine.Step(time.Now(), event) {
				switch e := effect.(type) {
				case Bring:
					by := bring.of(e.To)
					do(func() MoverEvent {
						bodies, scopes := Records(e.Messages)
						return Brought{e, !w.append(ctx, e.To, by, bodies, scopes)}
					})
				case Depart:
					by := depart.of(e.To)
					do(func() MoverEvent {
						bodies, scopes := Leaves(e)
						return Left{e, !w.append(ctx, shard.number, by, bodies, scopes)}
					})
				case MoverWake:
					timer.Reset(time.Until(e.At))
				}
			}
			select {
			case event = <-results:
			case <-timer.C:
				event = MoverTick{}
			case <-changed:
				event = nil // look again what there is
			case <-ctx.Done():
				return
			}
		}
	}
}

const (
	directoryGather = 20 * time.Millisecond // in which registrations come together before they are looked for
	directoryPage   = 1024                  // of them at a time
)

// direct runs the Directory.
func (w *Ways) direct(ctx context.Context) {
	shard, machine, by := w.shard, NewDirectory(w.shard.number), w.writers()
	for ctx.Err() == nil {
		changed := shard.Changed()
		page := shard.Fresh(directoryPage)
		if page.Entries == 0 {
			select {
			case <-changed:
				wait(ctx, directoryGather)
			case <-ctx.Done():
			}
			continue
		}
		var event DirectoryEvent = Registered{page}
		for event != nil && ctx.Err() == nil {
			switch e := machine.Step(time.Now(), event).(type) {
			case Look:
				rivals, err := w.rivals(ctx, e.Page)
				event = Looked{rivals, err != nil}
			case Decide:
				body := &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: e.Changes}}}
				event = Decided{!w.append(ctx, e.Shard, by.of(e.Shard), []*record.Envelope{body}, []record.Scope{e.Scope})}
			case RetryAt:
				wait(ctx, time.Until(e.At))
				event = DirectoryTick{}
			case Settled:
				shard.Checked(e.Page)
				event = nil
			default:
				event = nil
			}
		}
	}
}

// rivals asks the other shards behind the ends that their logs have now.
func (w *Ways) rivals(ctx context.Context, page Page) (all []ask.Rival, err error) {
	for i := range w.shards {
		shard := tocsin.Shard(i)
		if shard == w.shard.number {
			continue
		}
		end, err := w.journal.End(ctx, journal.Partition{Topic: journal.Changes, Shard: shard})
		if err != nil {
			return nil, err
		}
		some, err := w.ask(ctx, shard, uint64(end), page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
