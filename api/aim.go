package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/target"
)

// aimTable holds the query of each send that has one, for as long as its traces are
// kept, so that it can be told why somebody was in its audience or not. The row is
// written with that of the list.
const aimTable = "send_aim"

// aimLife is how long it is kept after the send was due: as long as a send lives, a
// day at most as a rule, and then as long as its traces are kept.
const aimLife = 31 * 24 * time.Hour

func aimPlace(project tocsin.ProjectID, month time.Time) store.Place {
	return store.Place{Table: aimTable, Partition: sendPlace(project, month).Partition}
}

// aimOf is the row of a send; not ok when its recipients are explicit.
func aimOf(send *record.Send) (w store.Write, ok bool) {
	kept := record.Send{Query: send.Query, Segments: send.Segments}
	value, err := kept.MarshalVT()
	return store.Write{Key: newestFirst(tocsin.SendID(send.Send)), Value: value, Version: 1, Expires: fromNanos(send.Due).Add(aimLife)},
		err == nil && len(send.Query) > 0
}

// aim is the query of a send; nil when it has none, or none any more.
func (s *Server) aim(ctx context.Context, project tocsin.ProjectID, row *sendRow) (*target.Query, error) {
	// Its row in the list may be there first, with a forecast.
	if err := s.caughtUp(ctx, row.home(project, s.Shards)); err != nil {
		return nil, err
	}
	kept, err := s.Store.Get(ctx, aimPlace(project, row.ID.Time()), newestFirst(row.ID))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	send := new(record.Send)
	if err == nil {
		err = send.UnmarshalVT(kept.Value)
	}
	if err != nil {
		return nil, err
	}
	return audience.Query(send.Query, send.Segments)
}

// judge adds to a trace what the send's target says of a subscription for the
// instant at which it was due, by what is known of it now, and says why it is in the
// stored audience, or not.
func (s *Server) judge(ctx context.Context, project tocsin.ProjectID, row *sendRow, at tocsin.Shard, found *ask.Subscription, out *client.Trace) error {
	q, err := s.aim(ctx, project, row)
	if q == nil || err != nil {
		return err
	}
	due := fromNanos(row.Due)
	v, err := s.Ask[at].Verdict(ctx, project, found.ID, q, due)
	if err != nil {
		return err
	}
	if v == nil {
		out.Explanation += "; the subscription is deleted by now"
		return nil
	}
	verdict := verdictBody(v, found.Since)
	out.Verdict = &verdict
	switch {
	case out.Targeted && !v.Matches:
		out.Explanation += "; by what is known of it now it would not have been in: " + because(v)
	case out.Targeted:
	case !v.Matches:
		out.Explanation += ": " + because(v)
	case !found.OptedIn:
		out.Explanation += ": it has opted out"
	case found.Created.Add(-time.Second).After(due): // kept in whole seconds, rounded up
		out.Explanation += ": it registered afterwards"
	case found.Created.After(due):
		out.Explanation += ": it registered in that second, or what is known of it has changed since"
	case found.Since.Add(-time.Second).After(due): // in whole seconds too
		out.Explanation += ": what is known of it has changed since, for the last time at " + found.Since.Format(time.RFC3339)
	default:
		out.Explanation += ": what is known of it has changed since"
	}
	return nil
}

// because names the first clause for which a target does not match.
func because(v *index.Verdict) string {
	switch v.Node.Op {
	case target.And:
		for i := range v.Inner {
			if !v.Inner[i].Matches {
				return because(&v.Inner[i])
			}
		}
	case target.Or:
		return "none of the clauses of $or holds"
	case target.Not:
		return "what stands in $not holds: " + clauseText(v.Inner[0].Node)
	}
	text := clauseText(v.Node) + " does not hold"
	switch {
	case v.Value.Kind != 0:
		text += fmt.Sprintf(", it is %.100s", v.Value)
	case len(v.Tags) > 0:
		text += fmt.Sprintf(", it has %.100s", v.Tags)
	}
	return text
}
