package ask

import (
	"context"
	"encoding/json"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// far is the audience or the receipts of a shard, wherever they live: here they are
// asked directly, elsewhere over the network.
type far struct {
	*Network
	shard tocsin.Shard
}

// told asks for an answer that comes in one piece.
func told[A any](ctx context.Context, f far, seat Seat, q question) (a A, err error) {
	data, err := f.Network.ask(ctx, f.shard, seat, &q, nil)
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	return a, err
}

type farAudience struct{ far }

var _ Audience = farAudience{}

func (f farAudience) near() (Audience, bool) { return f.local.Audience(f.shard) }

func toldAudience[A any](ctx context.Context, f farAudience, q question) (A, error) {
	return told[A](ctx, f.far, AudienceOf(f.shard), q)
}

func (f farAudience) Await(ctx context.Context, changes uint64) error {
	if a, here := f.near(); here {
		return a.Await(ctx, changes)
	}
	_, err := toldAudience[json.RawMessage](ctx, f, question{Kind: "await", Position: changes})
	return err
}

func (f farAudience) Count(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) (Count, error) {
	if a, here := f.near(); here {
		return a.Count(ctx, project, q, recipients, at)
	}
	people, err := encoded(recipients)
	if err != nil {
		return Count{}, err
	}
	return toldAudience[Count](ctx, f, question{Kind: "count", Project: project, Query: queryOf(q), Recipients: people, At: at})
}

func (f farAudience) Spread(ctx context.Context, project tocsin.ProjectID, q *target.Query, recipients []*record.Recipient, at time.Time) ([]Share, error) {
	if a, here := f.near(); here {
		return a.Spread(ctx, project, q, recipients, at)
	}
	people, err := encoded(recipients)
	if err != nil {
		return nil, err
	}
	return toldAudience[[]Share](ctx, f, question{Kind: "spread", Project: project, Query: queryOf(q), Recipients: people, At: at})
}

func (f farAudience) Cost(ctx context.Context, project tocsin.ProjectID, q *target.Query, at time.Time, explain bool, most time.Duration) (Cost, error) {
	if a, here := f.near(); here {
		return a.Cost(ctx, project, q, at, explain, most)
	}
	return toldAudience[Cost](ctx, f, question{Kind: "cost", Project: project, Query: queryOf(q), At: at, Explain: explain, Most: int64(most)})
}

func (f farAudience) Explain(ctx context.Context, project tocsin.ProjectID, q *target.Query, sample int, at time.Time) (Funnel, error) {
	if a, here := f.near(); here {
		return a.Explain(ctx, project, q, sample, at)
	}
	out, err := toldAudience[funnel](ctx, f, question{Kind: "explain", Project: project, Query: queryOf(q), At: at, Most: int64(sample)})
	if err == nil {
		err = name(q, out.Nodes, out.clauses(), ofClause)
	}
	return out.Funnel, err
}

func (f farAudience) Preview(ctx context.Context, project tocsin.ProjectID, q *target.Query, limit int, at time.Time) ([]Subscription, error) {
	if a, here := f.near(); here {
		return a.Preview(ctx, project, q, limit, at)
	}
	return toldAudience[[]Subscription](ctx, f, question{Kind: "preview", Project: project, Query: queryOf(q), At: at, Most: int64(limit)})
}

func (f farAudience) Verdict(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID, q *target.Query, at time.Time) (*index.Verdict, error) {
	if a, here := f.near(); here {
		return a.Verdict(ctx, project, id, q, at)
	}
	out, err := toldAudience[verdict](ctx, f, question{Kind: "verdict", Project: project, Query: queryOf(q), At: at, Subscription: id})
	if err == nil && out.Verdict != nil {
		err = name(q, out.Nodes, verdictsOf(out.Verdict), ofVerdict)
	}
	return out.Verdict, err
}

func (f farAudience) Names(ctx context.Context, project tocsin.ProjectID) (Names, error) {
	if a, here := f.near(); here {
		return a.Names(ctx, project)
	}
	return toldAudience[Names](ctx, f, question{Kind: "names", Project: project})
}

func (f farAudience) Survey(ctx context.Context, project tocsin.ProjectID, name Name, most int) (Survey, error) {
	if a, here := f.near(); here {
		return a.Survey(ctx, project, name, most)
	}
	return toldAudience[Survey](ctx, f, question{Kind: "survey", Project: project, Name: &name, Most: int64(most)})
}

func (f farAudience) Used(ctx context.Context, project tocsin.ProjectID) (Used, error) {
	if a, here := f.near(); here {
		return a.Used(ctx, project)
	}
	return toldAudience[Used](ctx, f, question{Kind: "used", Project: project})
}

func (f farAudience) Subscription(ctx context.Context, project tocsin.ProjectID, id tocsin.SubscriptionID) (*Subscription, error) {
	if a, here := f.near(); here {
		return a.Subscription(ctx, project, id)
	}
	return toldAudience[*Subscription](ctx, f, question{Kind: "subscription", Project: project, Subscription: id})
}

func (f farAudience) Profile(ctx context.Context, project tocsin.ProjectID, key string) ([]Subscription, error) {
	if a, here := f.near(); here {
		return a.Profile(ctx, project, key)
	}
	return toldAudience[[]Subscription](ctx, f, question{Kind: "profile", Project: project, Profile: key})
}

func (f farAudience) Person(ctx context.Context, project tocsin.ProjectID, key string) (*Person, error) {
	if a, here := f.near(); here {
		return a.Person(ctx, project, key)
	}
	return toldAudience[*Person](ctx, f, question{Kind: "person", Project: project, Profile: key})
}

func (f farAudience) EverOf(ctx context.Context, project tocsin.ProjectID, key string) ([]tocsin.SubscriptionID, error) {
	if a, here := f.near(); here {
		return a.EverOf(ctx, project, key)
	}
	return toldAudience[[]tocsin.SubscriptionID](ctx, f, question{Kind: "ever-of", Project: project, Profile: key})
}

func (f farAudience) Named(ctx context.Context, project tocsin.ProjectID, ordinals []uint32) ([]Named, error) {
	if a, here := f.near(); here {
		return a.Named(ctx, project, ordinals)
	}
	return toldAudience[[]Named](ctx, f, question{Kind: "named", Project: project, Ordinals: ordinals})
}

func (f farAudience) Lists(ctx context.Context, project tocsin.ProjectID, names []string) (map[string]List, error) {
	if a, here := f.near(); here {
		return a.Lists(ctx, project, names)
	}
	return toldAudience[map[string]List](ctx, f, question{Kind: "lists", Project: project, Names: names})
}

func (f farAudience) Settled(ctx context.Context, project tocsin.ProjectID, ids []tocsin.SubscriptionID, wait bool) (bool, error) {
	if a, here := f.near(); here {
		return a.Settled(ctx, project, ids, wait)
	}
	return toldAudience[bool](ctx, f, question{Kind: "settled", Project: project, IDs: ids, Wait: wait})
}

func (f farAudience) Sightings(ctx context.Context, project tocsin.ProjectID, changes []*record.Upsert) ([]Sighting, error) {
	if a, here := f.near(); here {
		return a.Sightings(ctx, project, changes)
	}
	brief := make([]*record.Upsert, len(changes))
	for i, u := range changes {
		brief[i] = &record.Upsert{Subscription: u.Subscription, Provider: u.Provider, Address: u.Address}
	}
	some, err := encoded(brief)
	if err != nil {
		return nil, err
	}
	return toldAudience[[]Sighting](ctx, f, question{Kind: "sightings", Project: project, Upserts: some})
}

func (f farAudience) Routes(ctx context.Context, project tocsin.ProjectID, some []Route) (RoutesInUse, error) {
	if a, here := f.near(); here {
		return a.Routes(ctx, project, some)
	}
	return toldAudience[RoutesInUse](ctx, f, question{Kind: "routes", Project: project, Routes: some})
}

func (f farAudience) Weights(ctx context.Context, project tocsin.ProjectID, changes []*record.Upsert) ([]int, error) {
	if a, here := f.near(); here {
		return a.Weights(ctx, project, changes)
	}
	some, err := encoded(changes)
	if err != nil {
		return nil, err
	}
	return toldAudience[[]int](ctx, f, question{Kind: "weights", Project: project, Upserts: some})
}

func (f farAudience) Sizes(ctx context.Context) ([]Sizes, error) {
	if a, here := f.near(); here {
		return a.Sizes(ctx)
	}
	return toldAudience[[]Sizes](ctx, f, question{Kind: "sizes"})
}

type farReceipts struct{ far }

var _ Receipts = farReceipts{}

func (f farReceipts) near() (Receipts, bool) { return f.local.Receipts(f.shard) }

func toldReceipts[A any](ctx context.Context, f farReceipts, q question) (A, error) {
	return told[A](ctx, f.far, ReceiptsOf(f.shard), q)
}

func (f farReceipts) Counters(ctx context.Context, send tocsin.SendID) (*record.Counters, error) {
	if r, here := f.near(); here {
		return r.Counters(ctx, send)
	}
	data, err := toldReceipts[[]byte](ctx, f, question{Kind: "counters", Send: send})
	if err != nil {
		return nil, err
	}
	return countersOf(data)
}

func (f farReceipts) Trace(ctx context.Context, send tocsin.SendID, ordinal uint32) (*Trace, error) {
	if r, here := f.near(); here {
		return r.Trace(ctx, send, ordinal)
	}
	return toldReceipts[*Trace](ctx, f, question{Kind: "trace", Send: send, Ordinals: []uint32{ordinal}})
}

func (f farReceipts) Reached(ctx context.Context, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error) {
	if r, here := f.near(); here {
		return r.Reached(ctx, project, send)
	}
	data, err := toldReceipts[[]byte](ctx, f, question{Kind: "reached", Project: project, Send: send})
	if err != nil {
		return nil, err
	}
	return decodeRows(data)
}

func (f farReceipts) Outcomes(ctx context.Context, send tocsin.SendID, each func(Outcome) bool) (bool, error) {
	if r, here := f.near(); here {
		return r.Outcomes(ctx, send, each)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	more := true
	data, err := f.ask(ctx, f.shard, ReceiptsOf(f.shard), &question{Kind: "outcomes", Send: send}, func(some []Outcome) bool {
		for _, o := range some {
			if more = more && each(o); !more {
				return false
			}
		}
		return true
	})
	if !more {
		return true, nil // the caller has had enough
	}
	var end closing
	if err == nil {
		err = json.Unmarshal(data, &end)
	}
	return end.Closed, err
}
