package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
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
	due      time.Time
	look     time.Time // when it is worth looking whether it has ended
	end      time.Time // when its last push had an outcome; zero: it has not ended
	came     *ask.Came // nil: there is nothing to learn from it
}

// beside reports whether two sends were under way at the same time.
func (l *lesson) beside(o *lesson) bool {
	return l != o && (l.end.IsZero() || o.due.Before(l.end)) && (o.end.IsZero() || l.due.Before(o.end))
}

const (
	lessons   = 64                     // awaited at a time
	lookAgain = 250 * time.Millisecond // at least, until a send has ended
	giveUp    = 30 * time.Minute       // after a forecast's last push; what begins later is not awaited
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
	l := &lesson{project: project, row: row, forecast: f, due: fromNanos(row.Due), look: fromNanos(row.Due)}
	if l.due.After(t.now().Add(giveUp)) {
		return
	}
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
			if len(waiting) < lessons {
				waiting = append(waiting, l)
			}
		case <-tick.C:
			waiting = t.look(ctx, waiting)
		}
	}
}

// look learns from what has ended, and returns what has not. All are looked at
// together: whoever was not alone tells nothing of what this node can do.
func (t *teacher) look(ctx context.Context, waiting []*lesson) (left []*lesson) {
	now := t.now()
	if !slices.ContainsFunc(waiting, func(l *lesson) bool { return !now.Before(l.look) }) {
		return waiting
	}
	var over []*lesson
	for _, l := range waiting {
		if t.ended(ctx, l) {
			over = append(over, l)
		} else if now.Before(l.due.Add(time.Duration(l.forecast.Last * 1e6)).Add(giveUp)) {
			l.look = now.Add(now.Sub(l.due) / 4)
			left = append(left, l)
		}
	}
	for _, l := range over {
		for _, other := range waiting {
			if l.beside(other) {
				l.forecast.alone, other.forecast.alone = false, false
			}
		}
	}
	for _, l := range over {
		if l.came != nil && ctx.Err() == nil {
			l.came.Alone = l.came.Alone && l.forecast.alone
			t.learn(ctx, l)
		}
	}
	return left
}

// ended reports whether a send has ended, and takes down what came of it.
func (t *teacher) ended(ctx context.Context, l *lesson) bool {
	found, err := t.shards.Counters(ctx, l.row.touched(len(t.shards)), l.row.ID)
	if err != nil {
		return true // one less to learn from
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
	l.end = l.due.Add(sum.Decided.Last)
	l.came = &ask.Came{Subject: l.forecast.subject, Pushes: int(sum.Audience), First: sum.FirstWrite.Sub(l.due), Last: sum.Decided.Last,
		Waited: sum.Quota.Last, Alone: sum.Attempts == sum.Audience}
	return true
}

func (t *teacher) learn(ctx context.Context, l *lesson) {
	t.log.Info("a send has ended", "project", l.project.String(), "environment", l.row.Environment.String(), "class", l.row.Class.String(),
		"send", l.row.ID.String(), "pushes", l.came.Pushes, "last", l.came.Last, "forecast", time.Duration(l.forecast.Last*1e6), "reason", l.forecast.Reason)
	t.mu.Lock()
	t.known = t.known.Learn(*l.came)
	value, err := json.Marshal(t.known)
	t.mu.Unlock()
	if err == nil {
		err = t.store.Write(ctx, measuredPlace, store.Write{Key: measuredKey, Value: value, Version: uint64(t.now().UnixNano())})
	}
	if err != nil && ctx.Err() == nil {
		t.log.Warn("what was measured is not kept", "error", err)
	}
}
