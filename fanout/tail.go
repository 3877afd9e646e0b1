package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

const (
	tailBytes  = 4 << 20 // of one read
	slicesRead = 256 << 10
)

func (o *Owner) partition(t journal.Topic) journal.Partition {
	return journal.Partition{Topic: t, Shard: o.shard}
}

func encode(records []*record.Envelope) [][]byte {
	data := make([][]byte, len(records))
	for i, e := range records {
		data[i] = record.Encode(e)
	}
	return data
}

// tail follows the ledger. A CatchUp wakes it from its waiting.
type tail struct {
	mu     sync.Mutex
	behind bool               // CatchUp was asked for
	wake   context.CancelFunc // of the waiting under way
	stop   context.CancelFunc

	reading sync.Mutex // until what was read is posted: records keep their order
	from    journal.Position
	over    bool // trimmed away
}

func (t *tail) catchUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.behind = true
	if t.wake != nil {
		t.wake()
	}
}

func (o *Owner) follow(ctx context.Context, from uint64) {
	if o.tail != nil {
		o.tail.stop()
	}
	t := &tail{from: journal.Position(from)}
	ctx, t.stop = context.WithCancel(ctx)
	o.tail = t
	o.tasks.Go(func() { o.readLedger(ctx, t) })
}

// pull posts the records that are there, and what is to come behind them.
func (o *Owner) pull(ctx context.Context, t *tail, then ...message) (found bool, err error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	var records []Record
	if !t.over && ctx.Err() == nil {
		var read []journal.Record
		var next journal.Position
		p := o.partition(journal.Ledger)
		if read, next, err = o.journal.Read(ctx, p, t.from, tailBytes); err == nil {
			records, err = journal.Decode(p, read)
		}
		if err == nil {
			t.from = next
		}
	}
	if found = len(records) > 0; found {
		then = append([]message{{event: LedgerRead{Records: records}}}, then...)
	}
	o.box.post(then...)
	return found, err
}

// others is how late the tail may be with records of other writers, so that it
// does not run for each of ours: whoever appended those has read them back.
const others = time.Millisecond

func (o *Owner) readLedger(ctx context.Context, t *tail) {
	var end journal.Position // to reach for CaughtUp, 0 none
	for ctx.Err() == nil {
		found, err := o.pull(ctx, t)
		if err == nil && end > 0 && t.at() >= end {
			end = 0
			o.box.post(message{event: CaughtUp{}})
		}
		if err == nil && !found {
			end, err = o.waitLedger(ctx, t, end)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, journal.ErrTrimmed):
			t.end()
			o.box.post(message{event: Trimmed{}})
			o.reload(ctx)
			return
		case errors.Is(err, journal.ErrLost), errors.Is(err, journal.ErrClosed), errors.Is(err, record.ErrNewer), errors.Is(err, record.ErrDamaged):
			o.box.post(message{fatal: err})
			return
		default:
			o.log.Warn("reading the ledger failed, repeated", "error", err)
			pause(ctx, o.config.Retake)
		}
	}
}

func (t *tail) at() journal.Position {
	t.reading.Lock()
	defer t.reading.Unlock()
	return t.from
}

func (t *tail) end() {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.over = true
}

// waitLedger waits for a record; when the machine wants to catch up it returns
// the end that is to be reached.
func (o *Owner) waitLedger(ctx context.Context, t *tail, end journal.Position) (journal.Position, error) {
	waiting, wake := context.WithCancel(ctx)
	defer wake()
	t.mu.Lock()
	behind := t.behind
	t.behind = false
	t.wake = wake
	t.mu.Unlock()
	if behind {
		return o.journal.End(ctx, o.partition(journal.Ledger))
	}
	err := o.journal.Wait(waiting, o.partition(journal.Ledger), t.at())
	if waiting.Err() != nil {
		return end, nil
	}
	if err == nil {
		pause(waiting, others)
	}
	return end, err
}

// reload starts from a newer snapshot after the tail was trimmed away.
func (o *Owner) reload(ctx context.Context) {
	for ctx.Err() == nil {
		fold, err := o.snapshot(ctx)
		if err == nil {
			o.box.post(message{event: Assigned{Fold: fold}})
			return
		}
		o.log.Error("no snapshot of the ledger, repeated", "error", err)
		pause(ctx, o.config.Retake)
	}
}

func (o *Owner) readSlices(ctx context.Context, from uint64) {
	p := o.partition(journal.Slices)
	at := journal.Position(from)
	for ctx.Err() == nil {
		read, next, err := o.journal.Read(ctx, p, at, slicesRead)
		if err == nil && len(read) > 0 {
			var records []Record
			if records, err = journal.Decode(p, read); err == nil {
				o.box.post(message{event: SlicesRead{Records: records, Next: uint64(next)}})
				return
			}
		}
		if err == nil {
			at = next
			err = o.journal.Wait(ctx, p, at)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, journal.ErrTrimmed), errors.Is(err, journal.ErrLost), errors.Is(err, journal.ErrClosed), errors.Is(err, record.ErrNewer), errors.Is(err, record.ErrDamaged):
			o.box.post(message{fatal: fmt.Errorf("fanout: %s at %d: %w", p, at, err)})
			return
		default:
			o.log.Warn("reading slices failed, repeated", "error", err)
			pause(ctx, o.config.Retake)
		}
	}
}

func (o *Owner) fetchSlice(ctx context.Context, position uint64) {
	p := o.partition(journal.Slices)
	for ctx.Err() == nil {
		read, _, err := o.journal.Read(ctx, p, journal.Position(position), 1)
		if err == nil || errors.Is(err, journal.ErrTrimmed) {
			event := SliceFetched{Position: position}
			if len(read) > 0 && uint64(read[0].Position) == position {
				event.Envelope, err = record.Decode(read[0].Data)
			}
			if event.Envelope != nil {
				var ok bool
				if event.Envelope, ok = o.withRecipients(ctx, event.Envelope); !ok {
					return
				}
			}
			if event.Envelope == nil {
				o.log.Error("the slice of an open send is not there any more", "position", position, "error", err)
			}
			o.box.post(message{event: event})
			return
		}
		if ctx.Err() == nil {
			o.log.Warn("reading a slice failed, repeated", "error", err)
		}
		pause(ctx, o.config.Retake)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
