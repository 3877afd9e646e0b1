package client

import (
	"context"
	"net/http"
	"time"

	"github.com/tocsin-push/tocsin"
)

// ExplainRequest asks what the clauses of a target leave.
type ExplainRequest struct {
	Target Target `json:"target"`
	Sample int    `json:"sample,omitempty" minimum:"0" maximum:"10" doc:"How many people to name of those who are in, and of those whom each step excludes"`
}

// Explained is the funnel of a target: what its clauses leave of all live
// subscriptions, in the order in which they are written. Each step's left and
// excluded are what the one before left; the last leaves matched, which is
// opted_out and reachable.
type Explained struct {
	Live      int64           `json:"live"`
	Steps     []ExplainedStep `json:"steps" doc:"The clauses that must all hold: the keys of the target, or the parts of its $and"`
	Matched   int64           `json:"matched"`
	OptedOut  int64           `json:"opted_out" doc:"Of the matched: a send does not go to these"`
	Reachable int64           `json:"reachable"`
	In        []Sampled       `json:"in,omitempty" doc:"Some of the matched"`
	Hints     []string        `json:"hints,omitempty" doc:"Names that no subscription has a value for, with the ones that may have been meant"`
}

// ExplainedStep is one of the clauses that must all hold.
type ExplainedStep struct {
	ExplainedClause
	Left     int64     `json:"left" doc:"Match it and all before it"`
	Excluded int64     `json:"excluded" doc:"Match all before it, and not this one"`
	Only     int64     `json:"only" doc:"Of the excluded: match all other steps, so that they are missing for this one alone"`
	Out      []Sampled `json:"out,omitempty" doc:"Some of the excluded"`
}

// ExplainedClause is a clause, or logic, and how many match it.
type ExplainedClause struct {
	Clause  string            `json:"clause" doc:"As JSON, cut off where it is long; of logic $and, $or or $not, with its clauses in inner"`
	Matched int64             `json:"matched" doc:"Of those that came to the step"`
	Inner   []ExplainedClause `json:"inner,omitempty"`
}

// Sampled is one of a sample.
type Sampled struct {
	Subscription tocsin.SubscriptionID `json:"subscription"`
	User         string                `json:"user,omitempty"`
}

// VerdictRequest asks whether a target matches a user, or one subscription.
type VerdictRequest struct {
	Target       Target                `json:"target"`
	User         string                `json:"user,omitempty" maxLength:"256"`
	Subscription tocsin.SubscriptionID `json:"subscription,omitzero"`
}

// Verdicts are those for the subscriptions that were asked about.
type Verdicts struct {
	Subscriptions []SubscriptionVerdict `json:"subscriptions"`
}

// SubscriptionVerdict is what a target says of one subscription.
type SubscriptionVerdict struct {
	Sampled
	OptedIn bool    `json:"opted_in" doc:"Whoever is not gets nothing from a send"`
	Verdict Verdict `json:"verdict"`
}

// Verdict is what a clause says of a subscription, and what it looked at.
type Verdict struct {
	Clause  string    `json:"clause" doc:"As JSON, cut off where it is long; of logic $and, $or or $not, with its clauses in inner"`
	Matches bool      `json:"matches"`
	Value   *Value    `json:"value,omitempty" doc:"Absent where there is none"`
	Since   time.Time `json:"since,omitzero" doc:"The value, or that there is none, has stood at least since then: no value, tag or opt-in of the subscription has changed after. Absent for times that are kept for everybody, for events and sets"`
	Tags    []string  `json:"tags,omitempty" doc:"Of the set that was asked about"`
	Members []string  `json:"members,omitempty" doc:"Of the lists, segments or sends that were asked about: those that it is in"`
	Segment string    `json:"segment,omitempty" doc:"Whose definition this is"`
	Inner   []Verdict `json:"inner,omitempty"`
}

// Explain tells what the clauses of a target leave.
func (c *Client) Explain(ctx context.Context, r ExplainRequest) (out Explained, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/targets/explain", body: r}, &out)
	return out, err
}

// Verdicts tells why a target matches a user or a subscription, or does not.
func (c *Client) Verdicts(ctx context.Context, r VerdictRequest) (out Verdicts, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/targets/verdict", body: r}, &out)
	return out, err
}
