package ask

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Target is whom a question is about: a query, or explicit recipients by the
// shard that holds them.
type Target struct {
	At       time.Time // when the send is due: relative times of the query count from it
	Query    *target.Query
	Explicit map[tocsin.Shard][]*record.Recipient
}

// Count is how many subscriptions a target has.
type Count struct {
	Reachable uint64 // matching and opted in; of explicit recipients all that are known
	Matched   uint64 // those who opted out included
	Unknown   uint64 // explicit recipients that nobody knows
}

// Share is the part of a target on one route. The credential is that which the
// subscriptions name; zero: the project's.
type Share struct {
	Route  provider.Route
	Pushes uint64
}

// Shard answers for one shard. All of it is as of now, or of later.
type Shard interface {
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

	// Names lists what subscriptions or people have, and counts live subscriptions.
	Names(project tocsin.ProjectID) (names []Name, live int)

	// Survey tells what is under a name, and its most frequent values: at most so
	// many; with 0 no value is looked at.
	Survey(ctx context.Context, project tocsin.ProjectID, name Name, most int) (Survey, error)

	// Counters are those of a send; nil where it was not opened.
	Counters(context.Context, tocsin.SendID) (*record.Counters, error)
}

// Shards answer for all, by number.
type Shards []Shard

// Each asks some shards at once.
func Each(shards []tocsin.Shard, ask func(i int, shard tocsin.Shard) error) error {
	errs := make([]error, len(shards))
	var all sync.WaitGroup
	for i, shard := range shards {
		all.Go(func() { errs[i] = ask(i, shard) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// of lists the shards that a target can have somebody on.
func (s Shards) of(t Target) (some []tocsin.Shard) {
	for i := range s {
		if shard := tocsin.Shard(i); t.Query != nil || len(t.Explicit[shard]) > 0 {
			some = append(some, shard)
		}
	}
	return some
}

// Await returns once every shard has applied its changes below its position.
func (s Shards) Await(ctx context.Context, changes []uint64) error {
	for i, below := range changes {
		if err := s[i].Await(ctx, below); err != nil {
			return err
		}
	}
	return nil
}

// Count adds up what the shards count.
func (s Shards) Count(ctx context.Context, project tocsin.ProjectID, t Target) (sum Count, err error) {
	shards := s.of(t)
	each := make([]Count, len(shards))
	err = Each(shards, func(i int, shard tocsin.Shard) (err error) {
		each[i], err = s[shard].Count(ctx, project, t.Query, t.Explicit[shard], t.At)
		return err
	})
	for _, c := range each {
		sum.Reachable += c.Reachable
		sum.Matched += c.Matched
		sum.Unknown += c.Unknown
	}
	return sum, err
}

// Counters reads what some shards know of a send, in their order.
func (s Shards) Counters(ctx context.Context, shards []tocsin.Shard, send tocsin.SendID) ([]*record.Counters, error) {
	found := make([]*record.Counters, len(shards))
	err := Each(shards, func(i int, shard tocsin.Shard) (err error) {
		found[i], err = s[shard].Counters(ctx, send)
		return err
	})
	return found, err
}

// Spread adds up on which routes a target is, until ctx ends: then those that
// have not answered are taken to be like the others, since people are spread
// over shards by a hash. partial says so; nothing is known when nobody has
// answered. The questions run in tasks, and end soon after ctx does.
func (s Shards) Spread(ctx context.Context, tasks *sync.WaitGroup, project tocsin.ProjectID, t Target) (shares []Share, partial bool) {
	shards := s.of(t)
	answers := make(chan []Share, len(shards))
	for _, shard := range shards {
		tasks.Go(func() {
			if some, err := s[shard].Spread(ctx, project, t.Query, t.Explicit[shard], t.At); err == nil {
				answers <- some
			}
		})
	}
	at := map[provider.Route]int{}
	answered := 0
	for ; answered < len(shards) && !partial; answered++ {
		select {
		case some := <-answers:
			for _, one := range some {
				i, known := at[one.Route]
				if !known {
					i = len(shares)
					at[one.Route] = i
					shares = append(shares, Share{Route: one.Route})
				}
				shares[i].Pushes += one.Pushes
			}
		case <-ctx.Done():
			partial = true
			answered--
		}
	}
	if partial {
		for i := range shares {
			shares[i].Pushes = shares[i].Pushes * uint64(len(shards)) / uint64(max(answered, 1))
		}
	}
	return shares, partial
}
