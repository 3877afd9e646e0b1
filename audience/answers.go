package audience

import (
	"context"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Answers is a shard as it is asked by whoever does not hold it. What it does not
// say here the shard answers itself.
type Answers struct {
	*Shard
	Follower *Follower // who writes its snapshots
}

var _ ask.Audience = Answers{}

// Rivals finds who has what was registered on another shard.
func (a Answers) Rivals(ctx context.Context, below uint64, project tocsin.ProjectID, some []ask.Registration) ([]ask.Rival, error) {
	if err := a.Await(ctx, below); err != nil {
		return nil, err
	}
	return a.Shard.Rivals(Page{Scope: record.Scope{Project: project}, Registrations: some}), nil
}

// Paid returns once the shard owes others nothing that it owes now.
func (a Answers) Paid(ctx context.Context) error {
	for owed := a.Outbox(); ; {
		changed := a.Changed()
		now := a.Outbox()
		owed = slices.DeleteFunc(owed, func(one Message) bool {
			return !slices.ContainsFunc(now, func(m Message) bool {
				return m.To == one.To && m.Scope.Project == one.Scope.Project && m.Arrive.Number == one.Arrive.Number
			})
		})
		if len(owed) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Rewrite writes snapshots anew and trims the log below them.
func (a Answers) Rewrite(ctx context.Context) error { return a.Follower.Rewrite(ctx) }

// Count counts a target for an instant, or returns the error of ctx.
func (a Answers) Count(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (c ask.Count, err error) {
	if q != nil {
		found, err := a.Shard.Count(ctx, project, q, at)
		return ask.Count{Reachable: found.Reachable, Matched: found.Matched}, err
	}
	found, _ := a.Explicit(project, recipients, at, Cut{})
	for _, lot := range found.Lots {
		c.Reachable += lot.Ordinals.GetCardinality()
	}
	c.Matched, c.Unknown = c.Reachable, found.Unknown
	return c, ctx.Err()
}

// Verdict tells of every clause of a query whether a subscription matches it; nil
// when it does not live here.
func (a Answers) Verdict(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID, q *target.Query, at time.Time) (*index.Verdict, error) {
	v, live, err := a.Shard.Verdict(ctx, project, id, q, at)
	if !live || err != nil {
		return nil, err
	}
	return &v, nil
}

// Names lists what subscriptions or people have, and counts live subscriptions.
func (a Answers) Names(_ context.Context, project tocsin.ProjectID) (all ask.Names, _ error) {
	all.Names, all.Live = a.Shard.Names(project)
	return all, nil
}

// Used are the names that a target can ask for and find somebody.
func (a Answers) Used(_ context.Context, project tocsin.ProjectID) (ask.Used, error) {
	return ask.Used{Known: a.Known(project), Events: a.Events(project)}, nil
}

// Subscription is one that is, or once was, here; nil when it never was.
func (a Answers) Subscription(_ context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID) (*ask.Subscription, error) {
	if found, ok := a.Find(project, id); ok {
		return &found, nil
	}
	return nil, nil
}

// Profile is the live subscriptions of a profile key.
func (a Answers) Profile(_ context.Context, project tocsin.ProjectID, key string) ([]ask.Subscription, error) {
	return a.FindProfile(project, key), nil
}

// Person is what is known of a profile key; nil when that is nothing.
func (a Answers) Person(_ context.Context, project tocsin.ProjectID, key string) (*ask.Person, error) {
	if found, ok := a.FindPerson(project, key); ok {
		return &found, nil
	}
	return nil, nil
}

// EverOf are the subscriptions that were ever a profile's here.
func (a Answers) EverOf(_ context.Context, project tocsin.ProjectID, key string) ([]tocsin.SubscriptionID, error) {
	return a.Shard.EverOf(project, key), nil
}

// Named tells who the ordinals are that were evaluated here.
func (a Answers) Named(_ context.Context, project tocsin.ProjectID, ordinals []uint32) (all []ask.Named, _ error) {
	a.Shard.Named(project, ordinals, func(i int, id tocsin.SubscriptionID, profile string) {
		all = append(all, ask.Named{Of: i, Subscription: id, Profile: profile})
	})
	return all, nil
}

// Lists tells of lists by their names; of those that are here.
func (a Answers) Lists(_ context.Context, project tocsin.ProjectID, names []string) (map[string]ask.List, error) {
	all := make(map[string]ask.List, len(names))
	for _, name := range names {
		if found, ok := a.List(project, name); ok {
			all[name] = found
		}
	}
	return all, nil
}

// Settled tells whether the shard has nothing of some subscriptions for others
// and, asked to wait, returns when that is so.
func (a Answers) Settled(ctx context.Context, project tocsin.ProjectID, ids []tocsin.SubscriptionID, wait bool) (atOnce bool, err error) {
	atOnce = true
	for _, id := range ids {
		for {
			changed := a.Changed()
			if !a.Owes(project, id) {
				break
			}
			if atOnce = false; !wait {
				return false, nil
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}
	}
	return atOnce, nil
}

// Sizes tells of the memory of all projects.
func (a Answers) Sizes(context.Context) ([]ask.Sizes, error) { return a.Shard.Sizes(), nil }
