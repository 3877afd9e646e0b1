package ask

import (
	"context"

	"github.com/tocsin-push/tocsin"
)

// Registration is an address that a shard has, to be held against the others.
type Registration struct {
	ID       tocsin.SubscriptionID
	Profile  string
	Provider tocsin.Provider
	Address  []byte // must not be changed
	Since    int64
	Said     bool
}

// Rival is a live subscription of a shard that has the address or the
// identifier of a registration on another.
type Rival struct {
	Of      int // which registration
	Shard   tocsin.Shard
	ID      tocsin.SubscriptionID
	Profile string
	Since   int64
	Leaving bool // for another shard
}

// Neighbour is a shard as the others need it.
type Neighbour interface {
	// Rivals finds who has what was registered on another shard, once all changes
	// below a position are applied.
	Rivals(ctx context.Context, below uint64, project tocsin.ProjectID, some []Registration) ([]Rival, error)

	// Paid returns once the shard owes others nothing that it owed when it was asked.
	Paid(ctx context.Context) error

	// Rewrite returns once snapshots and log hold nothing that was taken away before
	// it was asked.
	Rewrite(ctx context.Context) error
}

func (f farAudience) Rivals(ctx context.Context, below uint64, project tocsin.ProjectID, some []Registration) ([]Rival, error) {
	if a, here := f.near(); here {
		return a.Rivals(ctx, below, project, some)
	}
	return toldAudience[[]Rival](ctx, f, question{Kind: "rivals", Project: project, Position: below, Registrations: some})
}

func (f farAudience) Paid(ctx context.Context) error {
	if a, here := f.near(); here {
		return a.Paid(ctx)
	}
	_, err := toldAudience[any](ctx, f, question{Kind: "paid"})
	return err
}

func (f farAudience) Rewrite(ctx context.Context) error {
	if a, here := f.near(); here {
		return a.Rewrite(ctx)
	}
	_, err := toldAudience[any](ctx, f, question{Kind: "rewrite"})
	return err
}
