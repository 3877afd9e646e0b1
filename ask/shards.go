package ask

import (
	"context"
	"errors"
	"slices"
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

// Shard is who answers for one shard.
type Shard struct {
	Audience
	Receipts
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

// All asks every shard at once.
func (s Shards) All(ask func(shard tocsin.Shard) error) error {
	return Each(s.of(Target{Query: new(target.Query)}), func(_ int, shard tocsin.Shard) error { return ask(shard) })
}

// Await returns once every shard has applied its changes below its position.
func (s Shards) Await(ctx context.Context, changes []uint64) error {
	return s.All(func(shard tocsin.Shard) error { return s[shard].Await(ctx, changes[shard]) })
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

// Find looks for a subscription on every shard, on one of them first. A deleted one
// is found too, unless a live one is elsewhere.
func (s Shards) Find(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID, first tocsin.Shard) (found Subscription, at tocsin.Shard, ok bool, err error) {
	each := make([]*Subscription, len(s))
	if each[first], err = s[first].Subscription(ctx, project, id); err == nil && (each[first] == nil || !each[first].Live) {
		err = s.All(func(shard tocsin.Shard) (err error) {
			if shard != first {
				each[shard], err = s[shard].Subscription(ctx, project, id)
			}
			return err
		})
	}
	for i := range each {
		shard := (int(first) + i) % len(each)
		if one := each[shard]; one != nil && (!ok || one.Live) {
			found, at, ok = *one, tocsin.Shard(shard), true
		}
		if found.Live {
			break
		}
	}
	return found, at, ok, err
}

// Used are the names that some shard has, in order, with repeats.
func (s Shards) Used(ctx context.Context, project tocsin.ProjectID) (all Used, err error) {
	each := make([]Used, len(s))
	err = s.All(func(shard tocsin.Shard) (err error) {
		each[shard], err = s[shard].Used(ctx, project)
		return err
	})
	for _, one := range each {
		all.Known, all.Events = append(all.Known, one.Known...), append(all.Events, one.Events...)
	}
	slices.Sort(all.Known)
	slices.Sort(all.Events)
	return all, err
}

// Lists is what each shard knows of some lists.
func (s Shards) Lists(ctx context.Context, project tocsin.ProjectID, names ...string) ([]map[string]List, error) {
	each := make([]map[string]List, len(s))
	err := s.All(func(shard tocsin.Shard) (err error) {
		each[shard], err = s[shard].Lists(ctx, project, names)
		return err
	})
	return each, err
}

// Settled returns once no shard has anything of some subscriptions for others, and
// whether that was so at once.
func (s Shards) Settled(ctx context.Context, project tocsin.ProjectID, ids []tocsin.SubscriptionID) (bool, error) {
	each := make([]bool, len(s))
	err := s.All(func(shard tocsin.Shard) (err error) {
		each[shard], err = s[shard].Settled(ctx, project, ids, true)
		return err
	})
	return !slices.Contains(each, false), err
}
