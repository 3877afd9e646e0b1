package api

import (
	"context"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// explainTarget is the funnel of a query.
func (s *Server) explainTarget(ctx context.Context, in *body[client.ExplainRequest]) (*body[client.Explained], error) {
	project := caller(ctx).Project
	sel, err := s.chooseQuery(ctx, project, &in.Body.Target)
	if err != nil {
		return nil, err
	}
	var f ask.Funnel
	err = s.ponder(ctx, project, sel, explaining, func() (err error) {
		f, err = s.Ask.Explain(ctx, project, sel.Query, in.Body.Sample, sel.At)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := client.Explained{Live: int64(f.Live), Steps: []client.ExplainedStep{}, Matched: int64(f.Matched), OptedOut: int64(f.Matched - f.Reachable),
		Reachable: int64(f.Reachable), In: sampledBody(f.In)}
	before := f.Live
	for i := range f.Steps {
		step := &f.Steps[i]
		out.Steps = append(out.Steps, client.ExplainedStep{ExplainedClause: clauseBody(&step.Clause), Left: int64(step.Left),
			Excluded: int64(before - step.Left), Only: int64(step.Only), Out: sampledBody(step.Out)})
		before = step.Left
	}
	out.Hints, err = s.hints(ctx, project, sel)
	return &body[client.Explained]{out}, err
}

// chooseQuery is choose for what only a query has.
func (s *Server) chooseQuery(ctx context.Context, project tocsin.ProjectID, t *client.Target) (ask.Target, error) {
	if len(t.Query) == 0 {
		return ask.Target{}, invalid("target", "give query")
	}
	return s.choose(ctx, project, t)
}

func clauseBody(c *ask.Clause) client.ExplainedClause {
	out := client.ExplainedClause{Clause: clauseText(c.Node), Matched: int64(c.Matched)}
	for i := range c.Inner {
		out.Inner = append(out.Inner, clauseBody(&c.Inner[i]))
	}
	return out
}

// clauseText is a clause for people, who do not read thousands of values.
func clauseText(n *target.Node) string {
	const most = 300
	text := n.String()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

func sampledBody(people []ask.Sampled) (out []client.Sampled) {
	for _, one := range people {
		out = append(out, client.Sampled{Subscription: one.Subscription, User: userOf(one.Profile)})
	}
	return out
}

// judgeTarget is the verdict of a query for some subscriptions.
func (s *Server) judgeTarget(ctx context.Context, in *body[client.VerdictRequest]) (*body[client.Verdicts], error) {
	project, asked := caller(ctx).Project, in.Body
	if (asked.User == "") == asked.Subscription.IsZero() {
		return nil, invalid("user", "give user or subscription")
	}
	sel, err := s.chooseQuery(ctx, project, &asked.Target)
	if err != nil {
		return nil, err
	}
	const most = 100 // subscriptions of a user
	var about []ask.Subscription
	var shard tocsin.Shard
	if asked.User != "" {
		key := audience.UserKey(asked.User)
		shard = tocsin.ShardOf(project, key, s.Shards)
		about, err = s.Ask[shard].Profile(ctx, project, key)
	} else {
		about = make([]ask.Subscription, 1)
		about[0], shard, _, err = s.find(ctx, project, asked.Subscription)
	}
	if err != nil {
		return nil, err
	}
	out := &body[client.Verdicts]{}
	err = s.ponder(ctx, project, sel, judging, func() error {
		for _, one := range about[:min(len(about), most)] {
			v, err := s.Ask[shard].Verdict(ctx, project, one.ID, sel.Query, sel.At)
			if err != nil {
				return err
			}
			if v != nil {
				out.Body.Subscriptions = append(out.Body.Subscriptions, client.SubscriptionVerdict{
					Sampled: client.Sampled{Subscription: one.ID, User: userOf(one.Profile)}, OptedIn: one.OptedIn, Verdict: verdictBody(v, one.Since)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out.Body.Subscriptions) == 0 {
		return nil, notFound("live subscription")
	}
	return out, nil
}

func verdictBody(v *index.Verdict, since time.Time) client.Verdict {
	out := client.Verdict{Clause: clauseText(v.Node), Matches: v.Matches, Tags: v.Tags, Members: v.Members, Segment: v.Segment}
	if v.Value.Kind != 0 {
		seen := valueOf(v.Value)
		out.Value = &seen
	}
	if n := v.Node; n.Op > target.Not && n.Op != target.Did && !n.Native.Membership() && n.Native != target.Created && n.Native != target.LastActive {
		out.Since = since
	}
	for i := range v.Inner {
		out.Inner = append(out.Inner, verdictBody(&v.Inner[i], since))
	}
	return out
}
