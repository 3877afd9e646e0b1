package api

import (
	"context"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// fresh returns once every shard has applied what was acknowledged before the
// request arrived, so that a caller sees its own writes.
func (s *Server) fresh(ctx context.Context) error {
	ends, err := s.marks.take(ctx)
	if err != nil {
		return err
	}
	return s.Ask.Await(ctx, ends)
}

// find looks for a subscription of a project on every shard, first where an
// anonymous one would be. A deleted one is found too, unless a live one is
// elsewhere.
func (s *Server) find(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID) (found ask.Subscription, at tocsin.Shard, ok bool, err error) {
	return s.Ask.Find(ctx, project, id, tocsin.ShardOf(project, audience.AnonymousKey(id), s.Shards))
}

// live is find for those that are not deleted, as of now.
func (s *Server) live(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID) (ask.Subscription, tocsin.Shard, error) {
	if err := s.fresh(ctx); err != nil {
		return ask.Subscription{}, 0, err
	}
	found, at, ok, err := s.find(ctx, project, id)
	if err == nil && (!ok || !found.Live) {
		err = notFound("subscription")
	}
	return found, at, err
}

// route fills in the profile, and so the shard, of recipients that are named
// by their subscription alone. One that nobody knows stays unknown.
func (s *Server) routeRecipients(ctx context.Context, project tocsin.ProjectID, recipients []*record.Recipient) error {
	asked := false
	for _, r := range recipients {
		if r.Profile != "" {
			continue
		}
		if !asked {
			asked = true
			if err := s.fresh(ctx); err != nil {
				return err
			}
		}
		id := tocsin.SubscriptionID(r.Subscription)
		found, _, ok, err := s.find(ctx, project, id)
		if err != nil {
			return err
		}
		if ok && found.Live {
			r.Profile = found.Profile
		} else {
			r.Profile = audience.AnonymousKey(id)
		}
	}
	return nil
}

// selection reads a target that was checked, as it would be evaluated now.
func (s *Server) selection(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient) (ask.Target, error) {
	if q != nil {
		return ask.Target{At: s.Now(), Query: q}, nil
	}
	err := s.routeRecipients(ctx, project, recipients)
	return ask.Target{At: s.Now(), Explicit: byShard(project, recipients, s.Shards)}, err
}
