package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// steerTable holds one row for each send that was ever steered, in the
// partitions of sendTable. Its conditional puts give the changes of a send their
// order, whoever takes them: that is the version by which every shard decides.
const steerTable = "send_steering"

// steerRow is how fast a send goes: as was asked for last, and as is durable
// everywhere.
type steerRow struct {
	Asked  steered `json:"asked"`
	Obeyed steered `json:"obeyed"`
}

type steered struct {
	Version uint64 `json:"version"`
	Rate    int    `json:"rate,omitempty"` // pushes a minute; 0 as fast as possible
	Paused  bool   `json:"paused,omitempty"`
	At      int64  `json:"at"` // Unix nanoseconds
}

type steering struct{ store store.Store }

// obeyed is how a send is steered now.
func (t steering) obeyed(ctx context.Context, project tocsin.ProjectID, row *sendRow) (steered, error) {
	found, err := t.store.Get(ctx, steerPlace(project, row.ID), newestFirst(row.ID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return steered{}, err
	}
	now, err := readSteer(found.Value, row)
	return now.Obeyed, err
}

// readSteer reads a row; where there is none, a send goes as it began.
func readSteer(value []byte, row *sendRow) (now steerRow, err error) {
	if value == nil {
		began := steered{Rate: row.Rate}
		return steerRow{began, began}, nil
	}
	err = json.Unmarshal(value, &now)
	return now, err
}

func steerPlace(project tocsin.ProjectID, id tocsin.SendID) store.Place {
	place := sendPlace(project, id.Time())
	place.Table = steerTable
	return place
}

// steerTries bounds how often a put that lost against another, or whose outcome
// is not known, is decided again.
const steerTries = 6

// change puts what change makes of the row. It may be called again, with what
// stands there by then, and must come to the same.
func (t steering) change(ctx context.Context, project tocsin.ProjectID, row *sendRow, change func(*steerRow)) error {
	place, key := steerPlace(project, row.ID), newestFirst(row.ID)
	for range steerTries {
		found, err := t.store.GetLatest(ctx, place, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		now, err := readSteer(found.Value, row)
		if err != nil {
			return err
		}
		change(&now)
		value, err := json.Marshal(now)
		if err != nil {
			return err
		}
		if bytes.Equal(value, found.Value) {
			return nil
		}
		done, _, err := t.store.PutIf(ctx, place, key, found.Value, value, fromNanos(row.Due).Add(sendLife))
		if done || err != nil && !errors.Is(err, store.ErrAmbiguous) {
			return err
		}
	}
	return unavailable()
}

// settle notes that a steering is durable everywhere.
func (t steering) settle(ctx context.Context, project tocsin.ProjectID, row *sendRow, to steered) error {
	return t.change(ctx, project, row, func(r *steerRow) {
		if to.Version > r.Obeyed.Version {
			r.Obeyed = to
		}
		if to.Version > r.Asked.Version {
			r.Asked = to
		}
	})
}

func (t steered) record(id tocsin.SendID) *record.Envelope {
	steer := ledger.Steering{Version: t.Version, PerMinute: t.Rate, Paused: t.Paused}.Record()
	steer.Send = id.Bytes()
	return &record.Envelope{Body: &record.Envelope_Steer{Steer: steer}}
}

// steerSend answers once the change is durable in the ledger of every shard that
// may hold a recipient, and in the log of sends, where plan finds it for a send
// that is not cut yet.
func (s *Server) steerSend(ctx context.Context, in *struct {
	SendPath
	Body client.SendUpdate
}) (*body[client.Send], error) {
	project := caller(ctx).Project
	row, err := s.listed(ctx, project, in.Send)
	if err != nil {
		return nil, err
	}
	before, err := s.state(ctx, project, row)
	switch {
	case err != nil:
		return nil, err
	case in.Body.Rate.IsZero() && in.Body.Paused == nil:
		return nil, invalid("body", "give rate or paused")
	case before.Status == client.SendFinished:
		return nil, fail(http.StatusConflict, "finished", "every push of the send has its outcome already")
	case row.Cancelled != 0:
		return nil, fail(http.StatusConflict, "cancelled", "the send is cancelled")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.RequestTime)
	defer cancel()
	now := s.Now()
	var to steered
	if err := s.steering.change(ctx, project, row, func(r *steerRow) {
		r.Asked.Version++
		r.Asked.At = now.UnixNano()
		if in.Body.Rate.Given {
			r.Asked.Rate = in.Body.Rate.PerMinute
		}
		if in.Body.Paused != nil {
			r.Asked.Paused = *in.Body.Paused
		}
		to = r.Asked
	}); err != nil {
		return nil, err
	}
	if err := s.appendSteer(ctx, row, to, now); err != nil {
		return nil, err
	}
	if err := s.steering.settle(ctx, project, row, to); err != nil {
		return nil, err
	}
	out, err := s.state(ctx, project, row)
	return &body[client.Send]{out}, err
}

// appendSteer writes to sends last: from there on the change is listed, and by
// then every shard obeys it.
func (s *Server) appendSteer(ctx context.Context, row *sendRow, to steered, now time.Time) error {
	in := scope(ctx, row.Class)
	in.Environment = row.Environment
	if err := s.appendLedgers(ctx, row, func() *record.Envelope { return to.record(row.ID) }, now, in); err != nil {
		return err
	}
	return s.sends[row.home(in.Project, s.Shards)].append(ctx, to.record(row.ID), now, in)
}
