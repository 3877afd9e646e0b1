package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/target"
)

func (s *Server) targetRoutes() {
	read := access{scope: account.Read, question: true}
	route(s, operation{id: "count-target", method: http.MethodPost, path: "/v1/targets/count", tag: "Targets",
		summary: "Count whom a target reaches now", need: read}, s.countTarget)
	route(s, operation{id: "explain-target", method: http.MethodPost, path: "/v1/targets/explain", tag: "Targets",
		summary: "What each clause of a target leaves, and whom it alone excludes", need: read}, s.explainTarget)
	route(s, operation{id: "judge-target", method: http.MethodPost, path: "/v1/targets/verdict", tag: "Targets",
		summary: "Why a target matches a user or a subscription, or does not: every clause, and what it looked at", need: read}, s.judgeTarget)
	route(s, operation{id: "preview-target", method: http.MethodPost, path: "/v1/targets/preview", tag: "Targets",
		summary: "A few of a target's recipients, with the message as they would get it", need: read}, s.previewTarget)
}

func (s *Server) countTarget(ctx context.Context, in *body[client.CountRequest]) (*body[client.Count], error) {
	project := caller(ctx).Project
	sel, err := s.choose(ctx, project, &in.Body.Target)
	if err != nil {
		return nil, err
	}
	var out client.Count
	err = s.ponder(ctx, project, sel, counting, func() (err error) {
		out, err = s.count(ctx, project, sel)
		return err
	})
	if err == nil {
		out.Hints, err = s.hints(ctx, project, sel)
	}
	return &body[client.Count]{out}, err
}

// hints names what a query asks for and no subscription has, or nobody did, with
// the name that may have been meant.
func (s *Server) hints(ctx context.Context, project tocsin.ProjectID, t ask.Target) (hints []string, err error) {
	if t.Query == nil {
		return nil, nil
	}
	used, err := s.Ask.Used(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, of := range [...]struct {
		asked, known []string
		hint         string
	}{
		{t.Query.Names(), used.Known, "no subscription has a value for "},
		{t.Query.Events(), used.Events, "nobody did "},
	} {
		for _, name := range of.asked {
			if _, found := slices.BinarySearch(of.known, name); found {
				continue
			}
			hint := of.hint + name
			if meant, ok := target.Nearest(name, of.known); ok {
				hint += "; did you mean " + meant + "?"
			}
			hints = append(hints, hint)
		}
	}
	return hints, nil
}

// choose checks a target and waits until the shards have applied what was
// acknowledged before.
func (s *Server) choose(ctx context.Context, project tocsin.ProjectID, t *client.Target) (ask.Target, error) {
	q, _, recipients, err := targetRecord(s.reader(ctx, project), t)
	if err != nil {
		return ask.Target{}, err
	}
	sel, err := s.selection(ctx, project, q, recipients)
	if err != nil {
		return sel, err
	}
	return sel, s.fresh(ctx)
}

func (s *Server) count(ctx context.Context, project tocsin.ProjectID, t ask.Target) (client.Count, error) {
	sum, err := s.Ask.Count(ctx, project, t)
	return client.Count{Count: int64(sum.Reachable), Matched: int64(sum.Matched), Unknown: int64(sum.Unknown)}, err
}

func (s *Server) previewTarget(ctx context.Context, in *body[client.PreviewRequest]) (*body[client.Preview], error) {
	project, limit := caller(ctx).Project, in.Body.Limit
	if limit == 0 {
		limit = 10
	}
	var compiled *content.Compiled
	if m := in.Body.Message; m != nil {
		message, err := messageRecord(m)
		if err == nil {
			compiled, err = compile(message, project, tocsin.SendID{}, defaultTTL, tocsin.Normal)
		}
		if err != nil {
			return nil, err
		}
	}
	sel, err := s.choose(ctx, project, &in.Body.Target)
	if err != nil {
		return nil, err
	}
	out := &body[client.Preview]{client.Preview{Recipients: []client.PreviewRecipient{}}}
	return out, s.ponder(ctx, project, sel, counting, func() error {
		total, err := s.count(ctx, project, sel)
		out.Body.Count = total.Count
		for shard := 0; err == nil && shard < s.Shards && len(out.Body.Recipients) < limit; shard++ {
			var some []sampled
			some, err = s.sample(ctx, project, sel, tocsin.Shard(shard), limit-len(out.Body.Recipients))
			for _, one := range some {
				out.Body.Recipients = append(out.Body.Recipients, previewBody(one, compiled))
			}
		}
		return err
	})
}

// sampled is a recipient with the values that came with it.
type sampled struct {
	ask.Subscription
	values map[string]string
}

// sample is a few recipients of one shard.
func (s *Server) sample(ctx context.Context, project tocsin.ProjectID, sel ask.Target, shard tocsin.Shard, limit int) (found []sampled, err error) {
	if sel.Query != nil {
		some, err := s.Ask[shard].Preview(ctx, project, sel.Query, limit, sel.At)
		for _, one := range some {
			found = append(found, sampled{one, nil})
		}
		return found, err
	}
	for _, r := range sel.Explicit[shard] {
		if len(r.Subscription) > 0 {
			one, err := s.Ask[shard].Subscription(ctx, project, tocsin.SubscriptionID(r.Subscription))
			if err != nil {
				return nil, err
			}
			if one != nil && one.Live {
				found = append(found, sampled{*one, r.Values})
			}
		} else {
			some, err := s.Ask[shard].Profile(ctx, project, r.Profile)
			if err != nil {
				return nil, err
			}
			for _, one := range some {
				found = append(found, sampled{one, r.Values})
			}
		}
		if len(found) >= limit {
			return found[:max(limit, 0)], nil
		}
	}
	return found, nil
}

func previewBody(one sampled, compiled *content.Compiled) client.PreviewRecipient {
	out := client.PreviewRecipient{Subscription: one.ID, User: userOf(one.Profile), Provider: one.Route.Provider,
		Language: one.Language, Zone: one.Zone, OptedIn: one.OptedIn}
	if compiled == nil {
		return out
	}
	payload, err := compiled.Variant(one.Route.Provider, one.Language).Append(nil, func(name string) (string, bool) {
		if text, ok := one.values[name]; ok {
			return text, true
		}
		if v, ok := one.Attributes[name]; ok {
			return v.String(), true
		}
		return "", false
	})
	if one.Route.Provider == tocsin.FCM { // compiled as members, which the token joins
		payload = append(append([]byte{'{'}, payload...), '}')
	}
	out.Payload = string(payload)
	if err != nil {
		out.Payload, out.Error = "", err.Error()
	}
	return out
}
