package node

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// answers puts questions about a shard to who lives here; when that one leaves
// before it has answered, nobody has.
type answers struct {
	local *local
	shard tocsin.Shard
}

var _ ask.Local = (*local)(nil)

// Audience is that of a shard that lives here.
func (l *local) Audience(shard tocsin.Shard) (ask.Audience, bool) {
	return answers{l, shard}, l.audiences.has(shard)
}

// Receipts are those of a shard that live here.
func (l *local) Receipts(shard tocsin.Shard) (ask.Receipts, bool) {
	return answers{l, shard}, l.receipts.has(shard)
}

func (a answers) left(here bool, err error) error {
	if !here {
		return &ask.Unanswered{Shard: a.shard, State: "it is handed over"}
	}
	return err
}

func (a answers) people(ctx context.Context, question func(context.Context, audience.Answers) error) error {
	return a.left(a.local.audiences.ask(ctx, a.shard, func(ctx context.Context, f *audience.Follower) error {
		return question(ctx, audience.Answers{Shard: f.Shard(), Follower: f})
	}))
}

func (a answers) counts(ctx context.Context, question func(context.Context, receipt.Answers) error) error {
	return a.left(a.local.receipts.ask(ctx, a.shard, func(ctx context.Context, s *receipt.Shell) error {
		return question(ctx, receipt.Answers{Shell: s})
	}))
}

func (a answers) Rivals(ctx context.Context, below uint64, project tocsin.ProjectID, some []ask.Registration) (found []ask.Rival, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Rivals(ctx, below, project, some)
		return err
	})
	return found, err
}

func (a answers) Paid(ctx context.Context) error {
	return a.people(ctx, func(ctx context.Context, of audience.Answers) error { return of.Paid(ctx) })
}

func (a answers) Rewrite(ctx context.Context) error {
	return a.people(ctx, func(ctx context.Context, of audience.Answers) error { return of.Rewrite(ctx) })
}

func (a answers) Await(ctx context.Context, changes uint64) error {
	return a.people(ctx, func(ctx context.Context, of audience.Answers) error { return of.Await(ctx, changes) })
}

func (a answers) Count(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (found ask.Count, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Count(ctx, project, q, recipients, at)
		return err
	})
	return found, err
}

func (a answers) Spread(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (found []ask.Share, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Spread(ctx, project, q, recipients, at)
		return err
	})
	return found, err
}

func (a answers) Cost(ctx context.Context, project tocsin.ProjectID, q *target.Query, at time.Time, explain bool, most time.Duration) (found ask.Cost, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Cost(ctx, project, q, at, explain, most)
		return err
	})
	return found, err
}

func (a answers) Explain(ctx context.Context, project tocsin.ProjectID, q *target.Query, sample int, at time.Time) (found ask.Funnel, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Explain(ctx, project, q, sample, at)
		return err
	})
	return found, err
}

func (a answers) Preview(ctx context.Context, project tocsin.ProjectID, q *target.Query, limit int, at time.Time) (found []ask.Subscription, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Preview(ctx, project, q, limit, at)
		return err
	})
	return found, err
}

func (a answers) Verdict(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID, q *target.Query, at time.Time) (found *index.Verdict, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Verdict(ctx, project, id, q, at)
		return err
	})
	return found, err
}

func (a answers) Names(ctx context.Context, project tocsin.ProjectID) (found ask.Names, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Names(ctx, project)
		return err
	})
	return found, err
}

func (a answers) Survey(ctx context.Context, project tocsin.ProjectID, name ask.Name, most int) (found ask.Survey, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Survey(ctx, project, name, most)
		return err
	})
	return found, err
}

func (a answers) Used(ctx context.Context, project tocsin.ProjectID) (found ask.Used, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Used(ctx, project)
		return err
	})
	return found, err
}

func (a answers) Subscription(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID) (found *ask.Subscription, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Subscription(ctx, project, id)
		return err
	})
	return found, err
}

func (a answers) Profile(ctx context.Context, project tocsin.ProjectID, key string) (found []ask.Subscription, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Profile(ctx, project, key)
		return err
	})
	return found, err
}

func (a answers) Person(ctx context.Context, project tocsin.ProjectID, key string) (found *ask.Person, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Person(ctx, project, key)
		return err
	})
	return found, err
}

func (a answers) EverOf(ctx context.Context, project tocsin.ProjectID, key string) (found []tocsin.SubscriptionID, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.EverOf(ctx, project, key)
		return err
	})
	return found, err
}

func (a answers) Named(ctx context.Context, project tocsin.ProjectID, ordinals []uint32) (found []ask.Named, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Named(ctx, project, ordinals)
		return err
	})
	return found, err
}

func (a answers) Lists(ctx context.Context, project tocsin.ProjectID, names []string) (found map[string]ask.List, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Lists(ctx, project, names)
		return err
	})
	return found, err
}

func (a answers) Settled(ctx context.Context, project tocsin.ProjectID, ids []tocsin.SubscriptionID, wait bool) (found bool, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Settled(ctx, project, ids, wait)
		return err
	})
	return found, err
}

func (a answers) Sightings(ctx context.Context, project tocsin.ProjectID, changes []*record.Upsert) (found []ask.Sighting, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Sightings(ctx, project, changes)
		return err
	})
	return found, err
}

func (a answers) Routes(ctx context.Context, project tocsin.ProjectID, some []ask.Route) (found ask.RoutesInUse, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Routes(ctx, project, some)
		return err
	})
	return found, err
}

func (a answers) Weights(ctx context.Context, project tocsin.ProjectID, changes []*record.Upsert) (found []int, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Weights(ctx, project, changes)
		return err
	})
	return found, err
}

func (a answers) Sizes(ctx context.Context) (found []ask.Sizes, err error) {
	err = a.people(ctx, func(ctx context.Context, of audience.Answers) (err error) {
		found, err = of.Sizes(ctx)
		return err
	})
	return found, err
}

func (a answers) Counters(ctx context.Context, send tocsin.SendID) (found *record.Counters, err error) {
	err = a.counts(ctx, func(ctx context.Context, of receipt.Answers) (err error) {
		found, err = of.Counters(ctx, send)
		return err
	})
	return found, err
}

func (a answers) Trace(ctx context.Context, send tocsin.SendID, ordinal uint32) (found *ask.Trace, err error) {
	err = a.counts(ctx, func(ctx context.Context, of receipt.Answers) (err error) {
		found, err = of.Trace(ctx, send, ordinal)
		return err
	})
	return found, err
}

func (a answers) Outcomes(ctx context.Context, send tocsin.SendID, each func(ask.Outcome) bool) (found bool, err error) {
	err = a.counts(ctx, func(ctx context.Context, of receipt.Answers) (err error) {
		found, err = of.Outcomes(ctx, send, each)
		return err
	})
	return found, err
}

func (a answers) Reached(ctx context.Context, project tocsin.ProjectID, send tocsin.SendID) (found *index.Rows, err error) {
	err = a.counts(ctx, func(ctx context.Context, of receipt.Answers) (err error) {
		found, err = of.Reached(ctx, project, send)
		return err
	})
	return found, err
}
