package api

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// answers are those of a shard that lives in this process.
type answers struct {
	audience *audience.Shard
	receipt  *receipt.Shell
}

func (a answers) Await(ctx context.Context, changes uint64) error {
	return a.audience.Await(ctx, changes)
}

func (a answers) Count(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (c ask.Count, err error) {
	if q != nil {
		found, err := a.audience.Count(ctx, project, q, at)
		return ask.Count{Reachable: found.Reachable, Matched: found.Matched}, err
	}
	found, _ := a.audience.Explicit(project, recipients, at, audience.Cut{})
	for _, lot := range found.Lots {
		c.Matched += lot.Ordinals.GetCardinality()
	}
	c.Reachable, c.Unknown = c.Matched, found.Unknown
	return c, ctx.Err()
}

func (a answers) Spread(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) ([]ask.Share, error) {
	return a.audience.Spread(ctx, project, q, recipients, at)
}

func (a answers) Cost(ctx context.Context, project tocsin.ProjectID, q *target.Query, at time.Time, explain bool, most time.Duration) (ask.Cost, error) {
	return a.audience.Cost(ctx, project, q, at, explain, most)
}

func (a answers) Explain(ctx context.Context, project tocsin.ProjectID, q *target.Query, sample int, at time.Time) (ask.Funnel, error) {
	return a.audience.Explain(ctx, project, q, sample, at)
}

func (a answers) Names(project tocsin.ProjectID) ([]ask.Name, int) { return a.audience.Names(project) }

func (a answers) Survey(ctx context.Context, project tocsin.ProjectID, name ask.Name, most int) (ask.Survey, error) {
	return a.audience.Survey(ctx, project, name, most)
}

func (a answers) Counters(ctx context.Context, send tocsin.SendID) (*record.Counters, error) {
	return a.receipt.Status(ctx, send)
}
