package ask

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin/record"
)

// answerAudience answers a question about the audience of a shard that lives here.
func answerAudience(ctx context.Context, a Audience, q *question) (any, error) {
	t, err := q.Query.read()
	if err != nil {
		return nil, err
	}
	people, err := q.recipients()
	if err != nil {
		return nil, err
	}
	changes, err := q.upserts()
	if err != nil {
		return nil, err
	}
	switch q.Kind {
	case "await":
		return nil, a.Await(ctx, q.Position)
	case "count":
		return a.Count(ctx, q.Project, t, people, q.At)
	case "spread":
		return a.Spread(ctx, q.Project, t, people, q.At)
	case "survey":
		if q.Name != nil {
			return a.Survey(ctx, q.Project, *q.Name, int(q.Most))
		}
	case "names":
		return a.Names(ctx, q.Project)
	case "used":
		return a.Used(ctx, q.Project)
	case "subscription":
		return a.Subscription(ctx, q.Project, q.Subscription)
	case "profile":
		return a.Profile(ctx, q.Project, q.Profile)
	case "person":
		return a.Person(ctx, q.Project, q.Profile)
	case "ever-of":
		return a.EverOf(ctx, q.Project, q.Profile)
	case "named":
		return a.Named(ctx, q.Project, q.Ordinals)
	case "lists":
		return a.Lists(ctx, q.Project, q.Names)
	case "settled":
		return a.Settled(ctx, q.Project, q.IDs, q.Wait)
	case "sightings":
		return a.Sightings(ctx, q.Project, changes)
	case "routes":
		return a.Routes(ctx, q.Project, q.Routes)
	case "weights":
		return a.Weights(ctx, q.Project, changes)
	case "sizes":
		return a.Sizes(ctx)
	case "rivals":
		return a.Rivals(ctx, q.Position, q.Project, q.Registrations)
	case "paid":
		return nil, a.Paid(ctx)
	case "rewrite":
		return nil, a.Rewrite(ctx)
	}
	if t == nil {
		return nil, fmt.Errorf("ask: this build knows no question %.40q of such a form", q.Kind)
	}
	switch q.Kind {
	case "cost":
		return a.Cost(ctx, q.Project, t, q.At, q.Explain, time.Duration(q.Most))
	case "preview":
		return a.Preview(ctx, q.Project, t, int(q.Most), q.At)
	case "explain":
		f := funnel{}
		if f.Funnel, err = a.Explain(ctx, q.Project, t, int(q.Most), q.At); err == nil {
			f.Nodes, err = number(t, f.clauses(), ofClause)
		}
		return f, err
	case "verdict":
		v := verdict{}
		if v.Verdict, err = a.Verdict(ctx, q.Project, q.Subscription, t, q.At); err == nil && v.Verdict != nil {
			v.Nodes, err = number(t, verdictsOf(v.Verdict), ofVerdict)
		}
		return v, err
	}
	return nil, fmt.Errorf("ask: this build knows no question %.40q", q.Kind)
}

// answerReceipts is the same for its receipts. some takes a piece of a long answer.
func answerReceipts(ctx context.Context, r Receipts, q *question, some func([]Outcome) error) (any, error) {
	switch q.Kind {
	case "counters":
		found, err := r.Counters(ctx, q.Send)
		if err != nil || found == nil {
			return nil, err
		}
		return found.MarshalVT()
	case "trace":
		if len(q.Ordinals) == 1 {
			return r.Trace(ctx, q.Send, q.Ordinals[0])
		}
	case "reached":
		rows, err := r.Reached(ctx, q.Project, q.Send)
		if err != nil {
			return nil, err
		}
		return encodeRows(rows), nil
	case "outcomes":
		var page []Outcome
		var failed error
		closed, err := r.Outcomes(ctx, q.Send, func(o Outcome) bool {
			if page = append(page, o); len(page) == outcomesPage {
				failed = some(page)
				page = page[:0]
			}
			return failed == nil
		})
		if err == nil && failed == nil && len(page) > 0 {
			failed = some(page)
		}
		if err == nil {
			err = failed
		}
		return closing{closed}, err
	}
	return nil, fmt.Errorf("ask: this build knows no question %.40q of such a form", q.Kind)
}

// outcomesPage is how many outcomes go together.
const outcomesPage = 1024

func countersOf(data []byte) (*record.Counters, error) {
	if data == nil {
		return nil, nil
	}
	c := new(record.Counters)
	return c, c.UnmarshalVT(data)
}
