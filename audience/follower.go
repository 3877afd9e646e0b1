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
)

// Follower keeps a shard up with its log, and the log short: it writes a
// snapshot now and then, keeps the two newest that were read back, and trims
// the log below the older of them.
type Follower struct {
	config    Config
	journal   journal.Journal
	partition journal.Partition
	folder    *Folder
	log       *slog.Logger
	shard     *Shard
	ready     chan struct{}

	busy    atomic.Bool  // a snapshot that follow asked for is under way
	writing sync.Mutex   // held while a snapshot is made
	good    []*manifest  // snapshots that were read back, the newest first, two at most; guarded by writing
	base    *manifest    // that the next one shares parts with; nil when it is written whole
	wrote   atomic.Int64 // bytes of the last one
	tasks   sync.WaitGroup
}

// Open loads the newest good snapshot of a shard, or starts with nobody. A
// damaged one is passed over, and the log says so.
func Open(config Config, number tocsin.Shard, j journal.Journal, folder *Folder, log *slog.Logger) (*Follower, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	f := &Follower{config: config, journal: j, partition: journal.Partition{Topic: journal.Changes, Shard: number},
		folder: folder, log: log.With("shard", int(number)), ready: make(chan struct{})}
	ids, err := folder.list(number)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if f.shard != nil { // is there one before it, that the next may go on from?
			if m, err := folder.manifest(number, id); err == nil && m.apart(f.good[0]) {
				f.base = m
				break
			}
			continue
		}
		shard, m, err := folder.load(number, id)
		if err != nil {
			folder.metrics.fails.WithLabelValues("read").Inc()
			f.log.Error("snapshot is not usable, falling back to an older one or the log", "error", err)
			continue
		}
		f.shard, f.good = shard, []*manifest{m}
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
// snapshot under way has stopped too. Any other error is the end of the shard
// in this process: records that cannot be read, or that were trimmed and are
// in no good snapshot.
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
	if err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	from, reader := journal.Position(f.shard.Applied()), new(record.Reader)
	ready := f.ready
	pending, last := int64(0), time.Now() // log bytes since the last snapshot, and its time
	for {
		records, next, err := f.journal.Read(ctx, f.partition, from, f.config.ReadBytes)
		if errors.Is(err, journal.ErrTrimmed) {
			return fmt.Errorf("audience: no good snapshot of %v reaches the part of the log that is kept; put a backup of the whole data folder back: %w", f.partition, err)
		}
		if err != nil {
			return fmt.Errorf("audience: %w", err)
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
		due := pending > 0 && (pending >= f.config.after(f.wrote.Load()) || time.Since(last) >= f.config.SnapshotEvery)
		if due {
			last = time.Now()
		}
		if due && f.busy.CompareAndSwap(false, true) { // else it is asked for again with the next record, or after a while
			pending = 0
			f.tasks.Go(func() {
				defer f.busy.Store(false)
				if err := f.Snapshot(ctx); err != nil && ctx.Err() == nil {
					f.folder.metrics.fails.WithLabelValues("write").Inc()
					f.log.Error("snapshot was not written; the log is kept", "error", err)
				}
			})
		}
		if len(records) == 0 {
			if err := f.wait(ctx, from, pending > 0, last); err != nil {
				return err
			}
		}
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
	if err != nil && waiting.Err() == nil || ctx.Err() != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
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
	done, err := f.folder.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	number, began := f.partition.Shard, time.Now()
	files, err := f.folder.list(number)
	if err != nil {
		return err
	}
	m := f.shard.begin()
	ended := sync.OnceValue(m.end)
	defer ended()
	id := snapshotID{applied: m.applied}
	for _, file := range files {
		if file.applied == m.applied {
			id.again = max(id.again, file.again+1)
		}
	}
	base := f.base
	if anew {
		base = nil
	} else if len(f.good) > 0 && f.good[0].id.applied == m.applied {
		return nil
	}
	list, cost, err := f.folder.write(ctx, number, m, id, base)
	if err != nil {
		return err
	}
	f.good = append([]*manifest{list}, f.good...)[:min(2, len(f.good)+1)]
	f.wrote.Store(int64(cost.bytes))
	f.tell(id, cost, ended(), time.Since(began))
	if len(f.good) < 2 {
		return nil
	}
	f.base = f.good[1]
	if err := f.forget(files); err != nil {
		return err
	}
	if err := f.journal.Trim(ctx, f.partition, journal.Position(f.base.id.applied)); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}

func (f *Follower) tell(id snapshotID, cost written, pause, took time.Duration) {
	f.log.Info("snapshot written", "position", id.applied, "bytes", cost.bytes, "shared", cost.shared, "pause", pause, "took", took)
	m := f.folder.metrics
	m.bytes.WithLabelValues("written").Add(float64(cost.bytes))
	m.bytes.WithLabelValues("shared").Add(float64(cost.shared))
	m.pause.Observe(pause.Seconds())
	m.took.Observe(took.Seconds())
}

// forget removes files that neither of the two good snapshots needs.
func (f *Follower) forget(files []snapshotID) error {
	needed := make(map[snapshotID]bool)
	for _, m := range f.good {
		for _, file := range m.files {
			needed[file.id] = true
		}
	}
	for _, id := range files {
		if !needed[id] {
			if err := f.folder.remove(f.partition.Shard, id); err != nil {
				return err
			}
		}
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
