package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

type explain struct {
	remote
	Query        string                `required:"" help:"Target query as JSON, or @file." placeholder:"JSON"`
	Sample       int                   `help:"Name so many of those who are in, and of those whom each clause excludes." default:"0"`
	Subscription tocsin.SubscriptionID `help:"Why this one is in or not, clause by clause." xor:"whom"`
	User         string                `help:"The same for all subscriptions of a user." xor:"whom" placeholder:"ID"`
}

func (c *explain) Run(s *session) error {
	target, err := (&aim{Query: c.Query}).target()
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.User != "" || !c.Subscription.IsZero() {
		found, err := api.Verdicts(s.ctx, client.VerdictRequest{Target: target, User: c.User, Subscription: c.Subscription})
		if err != nil {
			return err
		}
		return c.print(s, found, func(w io.Writer) {
			for _, one := range found.Subscriptions {
				printSubscription(w, one)
			}
		})
	}
	found, err := api.Explain(s.ctx, client.ExplainRequest{Target: target, Sample: c.Sample})
	if err != nil {
		return err
	}
	for _, hint := range found.Hints {
		fmt.Fprintln(s.err, hint)
	}
	return c.print(s, found, func(w io.Writer) { printFunnel(w, found) })
}

func printFunnel(w io.Writer, f client.Explained) {
	const row = "%12d %12s %12s  %s\n"
	fmt.Fprintf(w, "%12s %12s %12s\n", "left", "excluded", "only by it")
	fmt.Fprintf(w, row, f.Live, "", "", "live")
	for _, step := range f.Steps {
		fmt.Fprintf(w, row, step.Left, fmt.Sprint(step.Excluded), fmt.Sprint(step.Only), step.Clause)
		printInner(w, step.Inner, 1)
		printSample(w, "out", step.Out)
	}
	fmt.Fprintf(w, row, f.Reachable, fmt.Sprint(f.OptedOut), "", "opted in")
	printSample(w, "in", f.In)
}

func printInner(w io.Writer, inner []client.ExplainedClause, depth int) {
	for _, c := range inner {
		fmt.Fprintf(w, "%12d %12s %12s  %s%s\n", c.Matched, "", "", strings.Repeat("  ", depth), c.Clause)
		printInner(w, c.Inner, depth+1)
	}
}

func printSample(w io.Writer, what string, people []client.Sampled) {
	for _, p := range people {
		fmt.Fprintf(w, "%40s%s: %s %s\n", "", what, p.Subscription, p.User)
	}
}

func printSubscription(w io.Writer, s client.SubscriptionVerdict) {
	text := "matches"
	switch {
	case !s.Verdict.Matches:
		text = "does not match"
	case !s.OptedIn:
		text = "matches, and has opted out"
	}
	fmt.Fprintf(w, "%s %s: %s\n", s.Subscription, s.User, text)
	printVerdict(w, s.Verdict, 1)
}

// printVerdict marks what holds.
func printVerdict(w io.Writer, v client.Verdict, depth int) {
	mark := "no "
	if v.Matches {
		mark = "yes"
	}
	fmt.Fprintf(w, "%s%s %s", strings.Repeat("  ", depth), mark, v.Clause)
	if v.Segment != "" {
		fmt.Fprintf(w, ", which segment %s is", v.Segment)
	}
	if seen := seen(v); seen != "" {
		if !v.Since.IsZero() {
			seen += ", at least since " + v.Since.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "  [%s]", seen)
	}
	fmt.Fprintln(w)
	for _, inner := range v.Inner {
		printVerdict(w, inner, depth+1)
	}
}

// seen is what a clause looked at.
func seen(v client.Verdict) string {
	switch {
	case v.Value != nil:
		text, err := v.Value.MarshalJSON()
		if err != nil {
			return ""
		}
		return "is " + string(text)
	case len(v.Tags) > 0:
		return "has " + strings.Join(v.Tags, ", ")
	case len(v.Members) > 0:
		return "in " + strings.Join(v.Members, ", ")
	case len(v.Inner) == 0:
		return "none"
	}
	return ""
}
