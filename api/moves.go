package api

import (
	"context"
	"net/http"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

func (s *Server) identityRoutes() {
	write, device := access{scope: account.Audience}, access{scope: account.Device}
	const path, ofDevice = "/v1/subscriptions/{subscription}/user", "/v1/device/subscriptions/{subscription}/user"
	route(s, operation{id: "identify-subscription", method: http.MethodPut, path: path, tag: "Subscriptions",
		summary: "Give a subscription to a user, with all that is known of it", status: http.StatusNoContent, need: write}, s.identify)
	route(s, operation{id: "forget-user", method: http.MethodDelete, path: path, tag: "Subscriptions",
		summary: "Make a subscription anonymous again", status: http.StatusNoContent, need: write}, s.logOut)
	route(s, operation{id: "identify-device", method: http.MethodPut, path: ofDevice, tag: "Device",
		summary: "Tell who has logged in on this install", status: http.StatusNoContent, need: device}, s.identifyDevice)
	route(s, operation{id: "forget-device-user", method: http.MethodDelete, path: ofDevice, tag: "Device",
		summary: "Tell that nobody is logged in on this install any more", status: http.StatusNoContent, need: device}, s.logOutDevice)
}

func (s *Server) identify(ctx context.Context, in *struct {
	SubscriptionPath
	Body client.Identity
}) (*empty, error) {
	return nil, s.give(ctx, in.Subscription, audience.UserKey(in.Body.User))
}

func (s *Server) logOut(ctx context.Context, in *SubscriptionPath) (*empty, error) {
	return nil, s.give(ctx, in.Subscription, audience.AnonymousKey(in.Subscription))
}

func (s *Server) identifyDevice(ctx context.Context, in *struct {
	Install
	Body client.Identity
}) (*empty, error) {
	if _, _, err := s.own(ctx, &in.Install); err != nil {
		return nil, err
	}
	return nil, s.give(ctx, in.Subscription, audience.UserKey(in.Body.User))
}

func (s *Server) logOutDevice(ctx context.Context, in *Install) (*empty, error) {
	if _, _, err := s.own(ctx, in); err != nil {
		return nil, err
	}
	return nil, s.give(ctx, in.Subscription, audience.AnonymousKey(in.Subscription))
}

// give gives a live subscription a profile and returns once it is there, and
// nowhere else: every send that is asked for from then on finds it once.
func (s *Server) give(ctx context.Context, id tocsin.SubscriptionID, key string) error {
	project := caller(ctx).Project
	found, at, err := s.live(ctx, project, id)
	if err != nil {
		return err
	}
	settled, err := s.Ask[at].Settled(ctx, project, []tocsin.SubscriptionID{id}, false)
	if err != nil {
		return err
	}
	if found.Profile != key || !settled {
		move := &record.Move{Subscription: id.Bytes(), Profile: key, Shard: uint32(tocsin.ShardOf(project, key, s.Shards))}
		if err := s.change(ctx, at, &record.Change{Change: &record.Change_Move{Move: move}}); err != nil {
			return err
		}
	}
	return s.moved(ctx, project, id)
}

// tell makes a change durable that takes a subscription away from sends, and
// returns once what it left behind on other shards knows of it too.
func (s *Server) tell(ctx context.Context, id tocsin.SubscriptionID, at tocsin.Shard, change *record.Change) error {
	if err := s.change(ctx, at, change); err != nil {
		return err
	}
	return s.moved(ctx, caller(ctx).Project, id)
}

// moved returns once no shard has anything of the subscriptions for another.
func (s *Server) moved(ctx context.Context, project tocsin.ProjectID, ids ...tocsin.SubscriptionID) error {
	if len(ids) == 0 {
		return nil
	}
	for quiet := 0; quiet < 2; quiet++ { // what was owed the first time is applied by the second
		if err := s.fresh(ctx); err != nil {
			return err
		}
		settled, err := s.Ask.Settled(ctx, project, ids)
		if err != nil {
			return err
		}
		if !settled {
			quiet = -1
		}
	}
	return nil
}
