package fanout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Quotas is where the processes that work on one store share quotas.
type Quotas struct {
	Store   store.Store
	Process string // another one at each start
}

const (
	quotaTable = "quota"
	quotaKey   = "shares"
	// consulting is the limit of one look at the row of a quota, or one write.
	consulting = time.Second
	// forgotten is how long a row stays that nobody writes.
	forgotten = 24 * time.Hour
	// complaint is the pause between two lines of the log about a store that fails.
	complaint = 30 * time.Second
)

// held is until when this process may let anything of a quota leave; nil: it
// shares it with nobody.
type held struct{ atomic.Pointer[pace.Held] }

func (h *held) ended() bool {
	now := h.Load()
	return now != nil && now.Ended(time.Now())
}

func (p *pacer) heldOf(subject string) *held {
	h := p.held[subject]
	if h == nil {
		h = &held{}
		p.held[subject] = h
	}
	return h
}

// consulted is what pace asked for, and why there is no answer, if there is none.
type consulted struct {
	pace.Told
	err error
}

// consult does what pace wants of the row of a quota, off this goroutine.
func (p *pacer) consult(e pace.Consult) {
	p.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(p.ctx, consulting)
		defer cancel()
		p.box.post(p.quotas.consult(ctx, e))
	})
}

// failed counts a row that could not be read or written. That may be every tenth
// of a second for each subject, so the log tells at once, and then now and then.
func (p *pacer) failed(c consulted) {
	if p.ctx.Err() != nil {
		return
	}
	p.metrics.unshared.Inc()
	p.unshared++
	if now := time.Now(); p.complained.IsZero() || now.Sub(p.complained) >= complaint {
		p.log.Warn("shares of quotas could not be read or written; nothing leaves on a share that has ended",
			"failures", p.unshared, "latest", c.Subject, "error", c.err)
		p.complained, p.unshared = now, 0
	}
}

// quotaPlace is where the row of a subject is. No subject begins like a sum.
func quotaPlace(subject string) store.Place {
	if len(subject) > store.MaxPartition {
		subject = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(subject)))
	}
	return store.Place{Table: quotaTable, Partition: subject}
}

func (q *Quotas) consult(ctx context.Context, e pace.Consult) consulted {
	told := pace.Told{Subject: e.Subject}
	at := quotaPlace(e.Subject)
	var row store.Row
	var err error
	if e.New == nil {
		if row, err = q.Store.GetLatest(ctx, at, quotaKey); errors.Is(err, store.ErrNotFound) {
			row, err = store.Row{}, nil
		}
	} else {
		value := encodeQuota(*e.New)
		told.Wrote, row, err = q.Store.PutIf(ctx, at, quotaKey, e.Old.Raw, value, time.Now().Add(forgotten))
		if row.Value == nil && told.Wrote {
			row.Value = value
		}
	}
	if err == nil {
		told.Row, err = decodeQuota(row.Value)
	}
	if err != nil {
		return consulted{pace.Told{Subject: e.Subject, Failed: true}, err}
	}
	return consulted{told, nil}
}

func encodeQuota(r pace.Row) []byte {
	q := &record.Quota{
		Edition: r.Edition, Slow: r.Slow.Serial, SlowLeft: int64(r.Slow.Left), SlowWait: int64(r.Slow.Wait), Allowed: r.Slow.Allowed,
	}
	for _, s := range r.Shares {
		share := &record.QuotaShare{
			Process: s.Process, Serial: s.Serial, Part: uint32(s.Part), Quota: uint32(s.Quota), Level: s.Level, Gone: s.Gone,
		}
		for _, n := range s.Want {
			share.Want = append(share.Want, uint64(n))
		}
		q.Shares = append(q.Shares, share)
	}
	value, err := q.MarshalVT()
	if err != nil {
		panic(err) // it cannot fail
	}
	return value
}

func decodeQuota(value []byte) (pace.Row, error) {
	if value == nil {
		return pace.Row{}, nil
	}
	var q record.Quota
	if err := q.UnmarshalVT(value); err != nil {
		return pace.Row{}, err
	}
	r := pace.Row{Edition: q.Edition, Raw: value,
		Slow: pace.Slow{Serial: q.Slow, Left: time.Duration(q.SlowLeft), Wait: time.Duration(q.SlowWait), Allowed: q.Allowed}}
	for _, s := range q.Shares {
		share := pace.Share{Process: s.Process, Serial: s.Serial, Part: int(s.Part), Quota: int(s.Quota), Level: s.Level, Gone: s.Gone}
		for class := range min(len(s.Want), len(share.Want)) {
			share.Want[class] = int(s.Want[class])
		}
		r.Shares = append(r.Shares, share)
	}
	return r, nil
}

// giveBack gives the shares of quotas back, when all lanes are closed. It is
// tried again where another process wrote meanwhile: else they wait for the
// share until it ends by itself.
func (p *pacer) giveBack() {
	if p.quotas == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), consulting)
	defer cancel()
	for ctx.Err() == nil {
		asked := false
		for _, effect := range p.machine.Step(time.Now(), pace.Stopped{}) {
			if e, ok := effect.(pace.Consult); ok {
				p.machine.Step(time.Now(), p.quotas.consult(ctx, e).Told)
				asked = true
			}
		}
		if !asked {
			return
		}
	}
}
