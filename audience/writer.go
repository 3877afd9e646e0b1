package audience

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// Writer appends changes to one shard's log. Callers that wait at the same
// moment share records and one append, so that many small changes cost few
// syncs. All methods may be called at once.
type Writer struct {
	journal   journal.Journal
	partition journal.Partition
	now       func() time.Time

	mu      sync.Mutex
	waiting []*request
	running bool
	tasks   sync.WaitGroup

	identity *record.Writer // of the one append under way
}

type request struct {
	scope   record.Scope
	changes []*record.Change
	mark    uint64
	err     error
	done    chan struct{}
}

const (
	recordChanges = 1000      // in one record
	recordBytes   = 256 << 10 // about, in one record
	appendBytes   = 4 << 20   // about, in one append
	recordRoom    = 384 << 10 // no single change may need more; an envelope is small
)

// NewWriter makes the writer of a shard. incarnation is random, not 0, and new
// at each start.
func NewWriter(j journal.Journal, number tocsin.Shard, incarnation uint64, now func() time.Time) *Writer {
	return &Writer{journal: j, partition: journal.Partition{Topic: journal.Changes, Shard: number}, now: now,
		identity: record.NewWriter(incarnation)}
}

// Append returns once the changes are durable, in the order given, with the
// mark that a reader waits for to see them (Shard.Await). Up to 1,000 changes
// that are small enough for one record are applied all at once. After an error
// other than journal.ErrFull and journal.ErrClosed, or when ctx ends first,
// they may still be applied; changes may be appended again.
func (w *Writer) Append(ctx context.Context, scope record.Scope, changes ...*record.Change) (mark uint64, err error) {
	for _, c := range changes {
		if size := proto.Size(c); size > recordRoom {
			return 0, fmt.Errorf("audience: a change of %d bytes: %w", size, journal.ErrTooLarge)
		}
	}
	if len(changes) == 0 {
		return 0, nil
	}
	r := &request{scope: scope, changes: changes, done: make(chan struct{})}
	w.mu.Lock()
	w.waiting = append(w.waiting, r)
	if !w.running {
		w.running = true
		w.tasks.Go(w.run)
	}
	w.mu.Unlock()
	select {
	case <-r.done:
		return r.mark, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Close waits for the appends under way. Nobody may call Append any more.
func (w *Writer) Close() { w.tasks.Wait() }

// run appends until nobody waits.
func (w *Writer) run() {
	for {
		w.mu.Lock()
		batch := w.waiting
		w.waiting = nil
		w.running = len(batch) > 0
		w.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		w.append(batch)
	}
}

// group is the content of one record and the requests that end with it.
type group struct {
	scope   record.Scope
	changes []*record.Change
	bytes   int
	ends    []*request
}

// cut packs requests into records. One that fits a record is never divided.
func cut(batch []*request) (groups []*group) {
	var open *group
	for _, r := range batch {
		sizes, all := make([]int, len(r.changes)), 0
		for i, c := range r.changes {
			sizes[i] = proto.Size(c) + 4
			all += sizes[i]
		}
		full := func(changes, bytes int) bool {
			return len(open.changes)+changes > recordChanges || len(open.changes) > 0 && open.bytes+bytes > recordBytes
		}
		if open == nil || open.scope != r.scope || full(len(r.changes), all) {
			open = &group{scope: r.scope}
			groups = append(groups, open)
		}
		for i, c := range r.changes {
			if full(1, sizes[i]) {
				open = &group{scope: r.scope}
				groups = append(groups, open)
			}
			open.changes = append(open.changes, c)
			open.bytes += sizes[i]
		}
		open.ends = append(open.ends, r)
	}
	return groups
}

func (w *Writer) append(batch []*request) {
	groups := cut(batch)
	for len(groups) > 0 {
		var data [][]byte
		n, size := 0, 0
		for n < len(groups) && (n == 0 || size+groups[n].bytes <= appendBytes) {
			size += groups[n].bytes
			e := &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: groups[n].changes}}}
			data = append(data, record.Encode(w.identity.Next(e, w.now(), groups[n].scope)))
			n++
		}
		positions, err := w.journal.Append(context.Background(), w.partition, data...)
		for i, g := range groups[:n] {
			for _, r := range g.ends {
				if r.err == nil && err != nil {
					r.err = fmt.Errorf("audience: %w", err)
				}
				if r.err == nil {
					r.mark = uint64(positions[i]) + 1
				}
				close(r.done)
			}
		}
		if err != nil { // a request that began in this append and ends in a later one failed too
			for _, g := range groups[n:] {
				for _, r := range g.ends {
					r.err = fmt.Errorf("audience: %w", err)
					close(r.done)
				}
			}
			return
		}
		groups = groups[n:]
	}
}
