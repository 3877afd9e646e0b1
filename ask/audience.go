package ask

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Audience answers for the audience of one shard. All of it is as of now, or of
// later. Any number may ask at once; a question ends soon after its ctx does.
type Audience interface {
	Neighbour

	// Await returns once all changes below a position are applied.
	Await(ctx context.Context, changes uint64) error

	// Count counts a target for an instant, or returns the error of ctx.
	Count(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (Count, error)

	// Spread tells on which routes a target is, or returns the error of ctx. The sum
	// is exact, the parts of a large one are from a sample.
	Spread(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) ([]Share, error)

	// Cost is about what a query costs here. What takes longer than most to make
	// ready has no Run.
	Cost(ctx context.Context, project tocsin.ProjectID, q *target.Query, at time.Time, explain bool, most time.Duration) (Cost, error)

	// Explain tells what each clause of a query leaves, with samples of at most so
	// many people, or returns the error of ctx.
	Explain(ctx context.Context, project tocsin.ProjectID, q *target.Query, sample int, at time.Time) (Funnel, error)

	// Preview is a few of those that a target matches at an instant, opted out ones too.
	Preview(ctx context.Context, project tocsin.ProjectID, q *target.Query, limit int, at time.Time) ([]Subscription, error)

	// Verdict tells of every clause of a query whether a subscription matches it at
	// an instant, and what it looked at; nil when it does not live here.
	Verdict(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID, q *target.Query, at time.Time) (*index.Verdict, error)

	// Names lists what subscriptions or people have, and counts live subscriptions.
	Names(ctx context.Context, project tocsin.ProjectID) (Names, error)

	// Survey tells what is under a name, and its most frequent values: at most so
	// many; with 0 no value is looked at.
	Survey(ctx context.Context, project tocsin.ProjectID, name Name, most int) (Survey, error)

	// Used are the names that a target can ask for and find somebody.
	Used(ctx context.Context, project tocsin.ProjectID) (Used, error)

	// Subscription is one that is, or once was, here; nil when it never was.
	Subscription(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID) (*Subscription, error)

	// Profile is the live subscriptions of a profile key.
	Profile(ctx context.Context, project tocsin.ProjectID, key string) ([]Subscription, error)

	// Person is what is known of a profile key; nil when that is nothing.
	Person(ctx context.Context, project tocsin.ProjectID, key string) (*Person, error)

	// EverOf are the subscriptions that were ever a profile's here.
	EverOf(ctx context.Context, project tocsin.ProjectID, key string) ([]tocsin.SubscriptionID, error)

	// Named tells who the ordinals are that were evaluated here, in their order. What
	// nobody has any more is left out.
	Named(ctx context.Context, project tocsin.ProjectID, ordinals []uint32) ([]Named, error)

	// Lists tells of lists by their names; of those that are here.
	Lists(ctx context.Context, project tocsin.ProjectID, names []string) (map[string]List, error)

	// Settled tells whether the shard has nothing of some subscriptions for others
	// and, asked to wait, returns when that is so.
	Settled(ctx context.Context, project tocsin.ProjectID, ids []tocsin.SubscriptionID, wait bool) (atOnce bool, err error)

	// Sightings tells of the changes whose address or identifier is known here. Of a
	// change it looks at nothing but those.
	Sightings(ctx context.Context, project tocsin.ProjectID, changes []*record.Upsert) ([]Sighting, error)

	// Routes tells of some routes which are in use, and how many are.
	Routes(ctx context.Context, project tocsin.ProjectID, some []Route) (RoutesInUse, error)

	// Weights is how many bytes of values and tags each change would leave with the
	// heaviest of those that it is about: a subscription or, where it names none, a
	// person and all subscriptions of hers. What is not applied yet does not count.
	Weights(ctx context.Context, project tocsin.ProjectID, changes []*record.Upsert) ([]int, error)

	// Sizes tells of the memory of all projects, in the order of their identifiers.
	Sizes(ctx context.Context) ([]Sizes, error)
}
