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
	now      func() time.Time
}

func (a answers) Await(ctx context.Context, changes uint64) error {
	return a.audience.Await(ctx, changes)
}

func (a answers) Count(project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient) (c ask.Count) {
	if q != nil {
		found := a.audience.Count(project, q)
		return ask.Count{Reachable: found.Reachable, Matched: found.Matched}
	}
	found, _ := a.audience.Explicit(project, recipients, a.now())
	for _, lot := range found.Lots {
		c.Matched += lot.Ordinals.GetCardinality()
	}
	c.Reachable, c.Unknown = c.Matched, found.Unknown
	return c
}

func (a answers) Spread(project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient) []ask.Share {
	return a.audience.Spread(project, q, recipients)
}

func (a answers) Counters(ctx context.Context, send tocsin.SendID) (*record.Counters, error) {
	return a.receipt.Status(ctx, send)
}
