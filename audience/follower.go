package audience

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
	"github.com/tocsin-push/tocsin/snapshot"
)

// Follower keeps a shard up with its log, and the log short: it writes a
// snapshot now and then, keeps the two newest that were read back, and trims
// the log below the older of them.
type Follower struct {
	config    Config
	journal   journal.Journal
	partition journal.Partition
	log       *slog.Logger
	shard     *Shard
	ready     chan struct{}

	busy    atomic.Bool // a snapshot that follow asked for is under way
	writing sync.Mutex  // held while a snapshot is made
	kept    *snapshot.Kept
	tasks   sync.WaitGroup
}

// Open loads the newest good snapshot of a shard, or starts with nobody. From then
// on its snapshots are this follower's to write. A damaged one is passed over, and
// the log says so.
func Open(ctx context.Context, config Config, number tocsin.Shard, j journal.Journal, snapshots *snapshot.Keeper, log *slog.Logger) (*Follower, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	f := &Follower{config: config, journal: j, partition: journal.Partition{Topic: journal.Changes, Shard: number},
		log: log.With("shard", int(number)), ready: make(chan struct{})}
	var err error
	f.kept, err = snapshots.Open(ctx, number, f.log, func(saved *snapshot.Saved) (err error) {
		f.shard, err = restoreShard(saved)
		return err
	})
	if err != nil {
		return nil, err
	}
	if f.shard == nil {
		f.shard = NewShard(number)
	}
	return f, nil
}

// Shard is the audience that the follower keeps up.
func (f *Follower) Shard() *Shard { return f.shard }

// Ready is closed once everything is applied that the log held when Run began.
func (f *Follower) Ready() <-chan struct{} { return f.ready }

// Run applies the log until ctx ends, which is no error. It returns when a
// snapshot under way has stopped too. A read that failed is repeated: while the
// log is away the shard stays as it is. Any other error is the end of the shard
// in this process: records that are damaged or gone, or that were trimmed and
// are in no good snapshot.
func (f *Follower) Run(ctx context.Context) error {
	defer f.tasks.Wait()
	following, stop := context.WithCancel(ctx)
	defer stop()
	f.tasks.Go(func() { f.catchUp(following) })
	err := f.follow(ctx)
	if err != nil && ctx.Err() != nil {
		return nil
	}
	return err
}

func (f *Follower) follow(ctx context.Context) error {
	start, err := f.journal.End(ctx, f.partition)
	for err != nil {
		if err = f.failed(ctx, err); err != nil {
			return err
		}
		start, err = f.journal.End(ctx, f.partition)
	}
	from, reader := journal.Position(f.shard.Applied()), new(record.Reader)
	ready := f.ready
	pending, last := int64(0), time.Now() // log bytes since the last snapshot, and its time
	for {
		records, next, err := f.journal.Read(ctx, f.partition, from, f.config.ReadBytes)
		if err != nil {
			if err = f.failed(ctx, err); err != nil {
				return err
			}
			continue
		}
		for _, r := range records {
			e, err := reader.Decode(r.Data)
			if err == nil {
				err = f.shard.Apply(uint64(r.Position), e)
			}
			if err != nil {
				return fmt.Errorf("audience: record %d of %v: %w", r.Position, f.partition, err)
			}
			pending += int64(len(r.Data))
		}
		f.shard.Advance(uint64(next))
		from = next
		if ready != nil && from >= start {
			close(ready)
			ready = nil
		}
		due := pending > 0 && (pending >= f.config.after(int64(f.kept.Wrote())) || time.Since(last) >= f.config.SnapshotEvery)
		if due {
			last = time.Now()
		}
		if due && f.busy.CompareAndSwap(false, true) { // else it is asked for again with the next record, or after a while
			pending = 0
			f.tasks.Go(func() {
				defer f.busy.Store(false)
				if err := f.Snapshot(ctx); err != nil && ctx.Err() == nil {
					f.log.Error("snapshot was not written; the log is kept", "error", err)
				}
			})
		}
		if len(records) == 0 {
			if err := f.wait(ctx, from, pending > 0, last); err != nil {
				if err = f.failed(ctx, err); err != nil {
					return err
				}
			}
		}
	}
}

// readAgain is the pause before a failed read of the log is repeated.
const readAgain = time.Second

// failed returns what no repeating helps against, and for all else nil after a pause.
func (f *Follower) failed(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, journal.ErrTrimmed):
		return fmt.Errorf("audience: no good snapshot of %v reaches the part of the log that is kept; put a backup of the whole data folder back: %w", f.partition, err)
	case ctx.Err() != nil || journal.Hopeless(err):
		return fmt.Errorf("audience: %w", err)
	}
	f.log.Warn("reading the log failed, repeated", "error", err)
	select {
	case <-time.After(readAgain):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait returns when there is something to read, or a snapshot is due.
func (f *Follower) wait(ctx context.Context, from journal.Position, pending bool, last time.Time) error {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if pending {
		waiting, cancel = context.WithDeadline(ctx, last.Add(f.config.SnapshotEvery))
	}
	defer cancel()
	err := f.journal.Wait(waiting, f.partition, from)
	if waiting.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// Snapshot writes one now, and forgets what is older than the last two. It may
// be called at any time while Run runs, or after.
func (f *Follower) Snapshot(ctx context.Context) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	return f.snapshot(ctx, false)
}

// Rewrite writes two snapshots now that share nothing with any before, and trims
// the log below the first: what was taken away by changes that are applied when
// it is called is then in no snapshot, and the log begins behind those changes.
func (f *Follower) Rewrite(ctx context.Context) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	f.shard.wipe()
	for range 2 {
		if err := f.snapshot(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// snapshot writes one, unless nothing was applied since the last; anew: it does
// in any case, and shares nothing with what is there.
func (f *Follower) snapshot(ctx context.Context, anew bool) error {
	below, err := f.kept.Save(ctx, func() snapshot.Moment { return f.shard.begin() }, anew)
	if err != nil || below == 0 {
		return err
	}
	if err := f.journal.Trim(ctx, f.partition, journal.Position(below)); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}

// catchUp keeps segments from lagging behind. It takes a fiftieth of a core at
// most: after each piece of work it rests so much longer.
func (f *Follower) catchUp(ctx context.Context) {
	const share = 50
	for ctx.Err() == nil {
		began := time.Now()
		worked, err := f.shard.CatchUp(ctx)
		if err != nil {
			return // ctx ended
		}
		rest := time.After(time.Millisecond + (share-1)*time.Since(began))
		if !worked {
			select {
			case <-f.shard.Lags():
			case <-ctx.Done():
			}
		}
		select {
		case <-rest:
		case <-ctx.Done():
		}
	}
}
