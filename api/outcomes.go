package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/client"
)

// saved is how long a closed send may take until its shard has saved it.
const saved = 10 * time.Second

// sendOutcomes lists how every push of a send ended, once all have.
func (s *Server) sendOutcomes(ctx context.Context, in *struct {
	SendPath
	Outcome string `query:"outcome" enum:"accepted,gone,refused,expired,suppressed,cancelled,in_doubt" doc:"Only those that ended so"`
}) (*huma.StreamResponse, error) {
	project := caller(ctx).Project
	var only tocsin.Outcome
	if in.Outcome != "" {
		if err := only.UnmarshalText([]byte(in.Outcome)); err != nil {
			return nil, err
		}
	}
	row, err := s.listed(ctx, project, in.Send)
	if err != nil {
		return nil, err
	}
	now, err := s.state(ctx, project, row)
	if err != nil {
		return nil, err
	}
	switch {
	case now.Forgotten:
		return nil, fail(http.StatusGone, "forgotten", "the outcomes of this send are not kept any more")
	case !now.Status.Ended():
		return nil, busy(http.StatusConflict, "open", "the send has not ended", time.Second)
	}
	touched := row.touched(s.Shards)
	found, err := s.Ask.Counters(ctx, touched, in.Send)
	if err != nil {
		return nil, err
	}
	var shards []tocsin.Shard // a cancelled send may not have reached all
	for i, c := range found {
		if c != nil {
			shards = append(shards, touched[i])
		}
	}
	if !s.streams.enter(project) {
		return nil, busy(http.StatusTooManyRequests, "too_many", "too many streams of this project at the same time", time.Second)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer s.streams.leave(project)
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := &outcomes{server: s, project: project, only: only, deadline: http.NewResponseController(w), to: bufio.NewWriterSize(w, 64<<10)}
		for _, shard := range shards {
			if err := out.write(ctx.Context(), in.Send, shard); err != nil {
				if ctx.Context().Err() == nil {
					s.log(ctx.Context()).Warn("a list of outcomes broke off", "send", in.Send.String(), "error", err)
				}
				panic(http.ErrAbortHandler) // so that nobody takes it for the whole
			}
		}
		out.to.Flush()
	}}, nil
}

// outcomes is a list of them on its way to a client.
type outcomes struct {
	server   *Server
	project  tocsin.ProjectID
	only     tocsin.Outcome
	deadline *http.ResponseController
	to       *bufio.Writer
}

// write adds those of one shard.
func (o *outcomes) write(ctx context.Context, send tocsin.SendID, shard tocsin.Shard) (err error) {
	var some []ask.Outcome
	each := func(one ask.Outcome) bool {
		if o.only == 0 || one.Outcome == o.only {
			some = append(some, one)
		}
		if len(some) == tocsin.PageSize {
			err = o.lines(ctx, shard, some)
			some = some[:0]
		}
		return err == nil
	}
	for until := o.server.Now().Add(saved); ; {
		closed, readErr := o.server.Ask[shard].Outcomes(ctx, send, each)
		switch {
		case readErr != nil:
			return readErr
		case closed && err == nil:
			return o.lines(ctx, shard, some)
		case closed:
			return err
		case o.server.Now().After(until):
			return unavailable()
		}
		select { // it is saved soon
		case <-time.After(o.server.Poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *outcomes) lines(ctx context.Context, shard tocsin.Shard, some []ask.Outcome) error {
	ordinals := make([]uint32, len(some))
	for i, one := range some {
		ordinals[i] = one.Ordinal
	}
	named, err := o.server.Ask[shard].Named(ctx, o.project, ordinals)
	if err != nil {
		return err
	}
	names := make([]client.RecipientOutcome, 0, len(some))
	for _, who := range named {
		one := &some[who.Of]
		names = append(names, client.RecipientOutcome{Subscription: who.Subscription, User: userOf(who.Profile), Provider: one.Provider,
			Outcome: one.Outcome, Reason: one.Reason, Doubtful: one.Doubt, Attempts: one.Attempt})
	}
	o.deadline.SetWriteDeadline(time.Now().Add(o.server.BodyTime))
	for i := range names {
		line, err := json.Marshal(&names[i])
		if err != nil {
			return err
		}
		if _, err := o.to.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}
