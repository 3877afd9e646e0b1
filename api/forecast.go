package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

// forecast is what is expected of a send, and what must be known of it to learn
// from how it went.
type forecast struct {
	client.Forecast
	subject string // of the way that nearly all of it takes; "" several
	alone   bool   // nothing else is open
}

// foretell works out a forecast until ctx ends; nil when nothing is known by
// then. It leaves alone what accepting the send changes meanwhile, such as its
// recipients and its due time.
func (s *Server) foretell(ctx context.Context, who record.Scope, send *record.Send, due time.Time, explicit map[tocsin.Shard][]*record.Recipient) *forecast {
	t := ask.Target{At: due, Explicit: explicit}
	if len(send.Query) > 0 {
		q, err := audience.Query(send.Query, send.Segments)
		if err != nil {
			return nil
		}
		t.Query = q
	}
	counting := ctx
	if deadline, ok := ctx.Deadline(); ok { // what is not counted by half of the time is estimated
		var stop context.CancelFunc
		counting, stop = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer stop()
	}
	shares, partial := s.Ask.Spread(counting, s.tasks, who.Project, t)
	o, err := s.Outlook(ctx, who.Project, who.Class, shares, send.Scheduled)
	if err != nil {
		return nil
	}
	o.PerMinute, o.Measured = int(send.GetSteer().GetRate()), s.teacher.measured()
	e := ask.Forecast(o)
	out := &forecast{alone: o.Ahead == 0, Forecast: client.Forecast{Pushes: int64(e.Pushes), Partial: partial, First: milliseconds(e.First), P99: milliseconds(e.P99),
		Last: milliseconds(e.Last), Reason: e.Cause.String()}}
	for _, w := range o.Ways {
		i := slices.IndexFunc(out.Audience, func(r client.Reach) bool { return r.Provider == w.Provider })
		if i < 0 {
			i = len(out.Audience)
			out.Audience = append(out.Audience, client.Reach{Provider: w.Provider})
		}
		out.Audience[i].Pushes += int64(w.Pushes)
		out.alone = out.alone && w.Ahead == 0
		if w.Pushes*20 > e.Pushes*19 {
			out.subject = w.Subject
		}
	}
	return out
}

// foretold begins a forecast beside the acceptance of a send, which goes out
// meanwhile. A send to few, which opens in one record, goes without.
func (s *Server) foretold(ctx context.Context, who record.Scope, send *record.Send) <-chan *forecast {
	if len(send.Query) == 0 && len(send.Recipients) <= tocsin.PageSize {
		return nil
	}
	told, due, explicit := make(chan *forecast, 1), time.Unix(0, send.Due), byShard(who.Project, send.Recipients, s.Shards)
	s.tasks.Go(func() {
		ctx, stop := context.WithTimeout(ctx, s.Forecast)
		defer stop()
		told <- s.foretell(ctx, who, send, due, explicit)
	})
	return told
}

// dryRun answers as if the send had been made.
func (s *Server) dryRun(ctx context.Context, send *record.Send, sel ask.Target) (*sendAnswer, error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	who, due := scope(ctx, tocsin.Class(send.Options.Class)), time.Unix(0, send.Due)
	var told *forecast
	err := s.ponder(ctx, who.Project, sel, counting, func() error {
		if told = s.foretell(ctx, who, send, due, byShard(who.Project, send.Recipients, s.Shards)); told == nil {
			return unavailable()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := sendBody(mustRow(who, &record.Envelope{Body: &record.Envelope_Send{Send: send}}, s.Shards))
	out.ID, out.Status, out.Forecast = tocsin.SendID{}, client.SendDryRun, &told.Forecast
	return &sendAnswer{Status: http.StatusOK, Body: out}, nil
}

// judged is a forecast beside what came, once the send has ended as it was
// asked for.
func judged(f *client.Forecast, s *client.Send) *client.Forecast {
	if f == nil || s.Status != client.SendFinished || s.Drift == nil || s.Drift.Last <= 0 || !s.SteeredAt.IsZero() {
		return f
	}
	out := *f
	wrong := (s.Drift.Last - f.Last) / s.Drift.Last
	out.Error = &wrong
	return &out
}

func byShard(project tocsin.ProjectID, recipients []*record.Recipient, shards int) map[tocsin.Shard][]*record.Recipient {
	all := map[tocsin.Shard][]*record.Recipient{}
	for _, r := range recipients {
		shard := tocsin.ShardOf(project, r.Profile, shards)
		all[shard] = append(all[shard], r)
	}
	return all
}

// wait is the forecast if it is there in time.
func wait(told <-chan *forecast, limit time.Duration) *forecast {
	select {
	case f := <-told:
		return f
	case <-time.After(limit):
		return nil
	}
}
