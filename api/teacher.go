package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/store"
)

// teacher looks at how large sends went, tells how wrong their forecasts were,
// and keeps what the next ones stand on.
type teacher struct {
	shards ask.Shards
	store  store.Store
	log    *slog.Logger
	now    func() time.Time
	lesson chan *lesson

	mu    sync.Mutex
	known ask.Measured
}

// lesson is a send whose end is awaited.
type lesson struct {
	project  tocsin.ProjectID
	row      *sendRow
	forecast *forecast
	look     time.Time
}

const (
	lessons   = 64               // awaited at a time
	lookAgain = time.Second      // at least, until a send has ended
	giveUp    = 30 * time.Minute // after a forecast's last push
)

// measuredPlace holds one row, of the highest version: Unix nanoseconds.
var measuredPlace = store.Place{Table: "forecast", Partition: "measured"}

const measuredKey = "node"

func newTeacher(shards ask.Shards, st store.Store, log *slog.Logger, now func() time.Time) *teacher {
	return &teacher{shards: shards, store: st, log: log, now: now, lesson: make(chan *lesson, lessons), known: ask.Unmeasured()}
}

func (t *teacher) measured() ask.Measured {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known
}

// await has a send looked at once it has ended. When many are awaited already
// it is left out.
func (t *teacher) await(project tocsin.ProjectID, row *sendRow, f *forecast) {
	l := &lesson{project, row, f, fromNanos(row.Due).Add(time.Duration(f.Last * 1e6))}
	select {
	case t.lesson <- l:
	default:
	}
}

// run looks until ctx ends.
func (t *teacher) run(ctx context.Context) error {
	found, err := t.store.Get(ctx, measuredPlace, measuredKey)
	if err == nil {
		t.mu.Lock()
		err = json.Unmarshal(found.Value, &t.known)
		t.mu.Unlock()
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return ended(ctx, err)
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	var waiting []*lesson
	for {
		select {
		case <-ctx.Done():
			return nil
		case l := <-t.lesson:
			for _, other := range waiting {
				other.forecast.alone = false
			}
			if l.forecast.alone = l.forecast.alone && len(waiting) == 0; len(waiting) < lessons {
				waiting = append(waiting, l)
			}
		case <-tick.C:
			kept := waiting[:0]
			for _, l := range waiting {
				if now := t.now(); now.Before(l.look) || !t.learn(ctx, l) && now.Before(l.look.Add(giveUp)) {
					kept = append(kept, l)
				}
			}
			clear(waiting[len(kept):])
			waiting = kept
		}
	}
}

// learn reports whether a send had ended.
func (t *teacher) learn(ctx context.Context, l *lesson) bool {
	found, err := t.shards.Counters(ctx, l.row.touched(len(t.shards)), l.row.ID)
	if err != nil {
		return ctx.Err() == nil // one less to learn from
	}
	for _, c := range found {
		if c == nil || !c.Closed {
			return c != nil && c.Cancelled
		}
	}
	sum := receipt.Merge(found...)
	if sum.FirstWrite.IsZero() || sum.Cancelled {
		return true
	}
	due := fromNanos(l.row.Due)
	came := ask.Came{Subject: l.forecast.subject, Pushes: int(sum.Audience), First: sum.FirstWrite.Sub(due), Last: sum.Decided.Last,
		Waited: sum.Quota.Last, Alone: l.forecast.alone && sum.Attempts == sum.Audience}
	t.log.Info("a send has ended", "project", l.project.String(), "environment", l.row.Environment.String(), "class", l.row.Class.String(),
		"send", l.row.ID.String(), "pushes", sum.Audience, "last", sum.Decided.Last, "forecast", time.Duration(l.forecast.Last*1e6), "reason", l.forecast.Reason)
	t.mu.Lock()
	t.known = t.known.Learn(came)
	value, err := json.Marshal(t.known)
	t.mu.Unlock()
	if err == nil {
		err = t.store.Write(ctx, measuredPlace, store.Write{Key: measuredKey, Value: value, Version: uint64(t.now().UnixNano())})
	}
	if err != nil && ctx.Err() == nil {
		t.log.Warn("what was measured is not kept", "error", err)
	}
	return true
}
