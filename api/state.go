package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
)

// cancelSettles is how long after a durable cancel a shard that has not opened
// the send is taken for one that never will.
const cancelSettles = 3 * time.Second

// state is how a send stands now, with its counters.
func (s *Server) state(ctx context.Context, project tocsin.ProjectID, row *sendRow) (client.Send, error) {
	out, now := sendBody(row), s.Now()
	steered, err := s.steering.obeyed(ctx, project, row)
	if err != nil {
		return out, err
	}
	out.Rate, out.Paused, out.SteeredAt = steered.Rate, steered.Paused, fromNanos(steered.At)
	found, err := s.Ask.Counters(ctx, row.touched(s.Shards), row.ID)
	if err != nil {
		return out, err
	}
	opened, ended := 0, 0
	var known []*record.Counters
	var finished int64
	for _, c := range found {
		if c == nil {
			continue
		}
		known = append(known, c)
		opened++
		if c.Closed {
			ended++
			finished = max(finished, c.Ended)
		}
	}
	cancelled := row.Cancelled != 0
	// Nothing of a send happens so long after it was due: what is not there was.
	if opened < len(found) && now.Sub(fromNanos(row.Due)) > s.Kept {
		out.Forgotten, out.Status = true, client.SendFinished
		if cancelled {
			out.Status = client.SendCancelled
		}
		return out, nil
	}
	unopened := cancelled && (row.Scheduled && row.Cancelled < row.Due || now.Sub(fromNanos(row.Cancelled)) > cancelSettles)
	switch all := len(found); {
	case ended == all, ended == opened && unopened:
		out.Status = client.SendFinished
		if cancelled {
			out.Status = client.SendCancelled
			finished = max(finished, row.Cancelled)
		}
		out.FinishedAt = fromNanos(finished)
	case opened == all:
		out.Status = client.SendSending
	case row.Scheduled && now.UnixNano() < row.Due:
	default:
		out.Status = client.SendAccepted
	}
	sum := receipt.Merge(known...)
	out.Counters = counterBody(&sum)
	if !sum.FirstWrite.IsZero() {
		out.Drift = driftBody(&sum, fromNanos(row.Due))
	}
	out.Forecast = judged(row.Forecast, &out)
	return out, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// driftBody keeps the order of what it tells: the first is exact, and the
// others may be a little too low by the width of a histogram's bucket.
func driftBody(s *receipt.Status, due time.Time) *client.Drift {
	first := max(0, s.FirstWrite.Sub(due))
	return &client.Drift{First: milliseconds(first), P50: milliseconds(max(s.Decided.P50, first)), P99: milliseconds(max(s.Decided.P99, first)),
		Last: milliseconds(max(s.Decided.Last, first)), QuotaWait: milliseconds(s.Quota.Last)}
}

func counterBody(s *receipt.Status) *client.Counters {
	c := &client.Counters{Audience: int64(s.Audience), Pending: int64(s.Open()), Later: int64(s.Later), Unknown: int64(s.Unknown)}
	for outcome, into := range map[tocsin.Outcome]*int64{tocsin.Accepted: &c.Accepted, tocsin.Gone: &c.Gone, tocsin.Refused: &c.Refused,
		tocsin.Expired: &c.Expired, tocsin.Suppressed: &c.Suppressed, tocsin.Cancelled: &c.Cancelled, tocsin.InDoubt: &c.InDoubt} {
		*into = int64(s.Outcomes[outcome])
		c.Doubtful += int64(s.Doubtful[outcome])
	}
	if once := s.Audience - s.Unclaimed; s.Attempts > once {
		c.Retried = int64(s.Attempts - once)
	}
	for why, n := range s.Reasons {
		if why.Reason != 0 && n > 0 {
			if c.Reasons == nil {
				c.Reasons = map[string]int64{}
			}
			c.Reasons[why.Reason.String()] += int64(n)
		}
	}
	return c
}

// followSend writes the send whenever it has changed.
func (s *Server) followSend(ctx context.Context, in *SendPath) (*huma.StreamResponse, error) {
	project := caller(ctx).Project
	row, err := s.listed(ctx, project, in.Send)
	if err != nil {
		return nil, err
	}
	return s.follow(project, func(ctx context.Context) (any, bool, error) {
		if row.Cancelled == 0 { // it may have been cancelled meanwhile
			if now, err := s.listed(ctx, project, in.Send); err == nil {
				row = now
			}
		}
		out, err := s.state(ctx, project, row)
		return out, out.Status.Ended(), err
	})
}

// tracePath names one push.
type tracePath struct {
	SendPath
	Subscription tocsin.SubscriptionID `path:"subscription"`
}

func (s *Server) traceSend(ctx context.Context, in *tracePath) (*body[client.Trace], error) {
	project := caller(ctx).Project
	row, err := s.listed(ctx, project, in.Send)
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	found, at, ok, err := s.find(ctx, project, in.Subscription)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("subscription")
	}
	// Asked first, so that an audience stored in between is not taken for one
	// without this subscription.
	c, err := s.Ask[at].Counters(ctx, in.Send)
	if err != nil {
		return nil, err
	}
	t, err := s.Ask[at].Trace(ctx, in.Send, found.Ordinal)
	if err != nil {
		return nil, err
	}
	targeted := t != nil
	out := client.Trace{Send: in.Send, Subscription: in.Subscription, Targeted: targeted, Provider: found.Route.Provider, Shard: int(at)}
	if !targeted {
		switch {
		case c != nil || !slices.Contains(row.touched(s.Shards), at):
			out.Explanation = "not in the audience of this send"
			err = s.judge(ctx, project, row, at, &found, &out)
		case row.Cancelled != 0:
			out.Explanation = "the send was cancelled before its audience was stored"
		case s.Now().UnixNano() < row.Due:
			out.Explanation = "the send is not due yet: its audience is not stored"
		default:
			out.Explanation = "the audience of this send is not stored yet, or not any more"
		}
		return &body[client.Trace]{out}, err
	}
	// As of the send: a dead address has none any more.
	out.Provider = t.Provider
	out.Page, out.Reason, out.Doubtful = &t.Page, t.Reason, t.Doubt
	out.Outcome = t.State.Outcome()
	for _, a := range t.Attempts {
		out.Attempts = append(out.Attempts, attemptBody(a))
	}
	out.Explanation = explain(t, out.Outcome)
	err = s.judge(ctx, project, row, at, &found, &out)
	return &body[client.Trace]{out}, err
}

func attemptBody(a ask.Attempt) client.Attempt {
	out := client.Attempt{Number: a.Number, ClaimedAt: a.Claimed, SettledAt: a.Settled, WrittenAt: a.Written, Reason: a.Reason, NotBefore: a.NotBefore, Result: "under way"}
	switch {
	case !a.Settled.IsZero() && a.Result == ledger.Later:
		out.Result = "later"
	case !a.Settled.IsZero() && a.Result == ledger.Released:
		out.Result = "released"
	case !a.Settled.IsZero():
		out.Result = tocsin.Outcome(a.Result).String()
	case !a.TakenOver.IsZero():
		out.Result = "taken over"
	}
	return out
}

// explain says it in a sentence, for people.
func explain(t *ask.Trace, outcome tocsin.Outcome) string {
	n, left := len(t.Attempts), 0
	for _, a := range t.Attempts {
		if a.Settled.IsZero() || !a.Written.IsZero() || a.Doubt {
			left++
		}
	}
	after := fmt.Sprintf(" after %d attempts", left)
	if left == 1 {
		after = " after 1 attempt"
	}
	text := ""
	switch outcome {
	case tocsin.Accepted:
		text = "taken by the provider" + after
	case tocsin.Gone:
		text = "the provider says that the address is dead"
	case tocsin.Refused:
		text = "refused for good"
	case tocsin.Expired:
		text = "its time to live ran out before it could be sent"
		if left > 0 {
			text = "its time to live ran out" + after
		}
	case tocsin.Suppressed:
		text = "opted out or erased before it left"
	case tocsin.Cancelled:
		text = "the send was cancelled before it left"
	case tocsin.InDoubt:
		text = "its bytes left and no answer came; it must not be sent again"
	default:
		switch {
		case n == 0:
			text = "in the audience, waits for its turn"
		case !t.Attempts[n-1].NotBefore.IsZero():
			text = "waits for another attempt after " + t.Attempts[n-1].NotBefore.UTC().Format(time.RFC3339)
		default:
			text = "under way"
		}
	}
	if t.Reason != 0 {
		text += " (" + t.Reason.String() + ")"
	}
	if t.Doubt && outcome != tocsin.InDoubt {
		text += "; an earlier attempt may have been taken too"
	}
	return text
}

// follow makes a stream of server-sent events: look is asked every Poll, and
// what it returns is written when it differs from the time before. The stream
// ends after the event for which look says so.
func (s *Server) follow(project tocsin.ProjectID, look func(context.Context) (value any, end bool, err error)) (*huma.StreamResponse, error) {
	if !s.streams.enter(project) {
		return nil, busy(http.StatusTooManyRequests, "too_many", "too many streams of this project at the same time", time.Second)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer s.streams.leave(project)
		_, w := humago.Unwrap(ctx)
		s.writeEvents(ctx.Context(), w, look)
	}}, nil
}
