package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

type why struct {
	remote
	Send         tocsin.SendID         `arg:"" name:"send-id"`
	Subscription tocsin.SubscriptionID `arg:"" optional:""`
	User         string                `help:"Instead of a subscription: all those that this user has now." placeholder:"ID"`
}

func (c *why) Run(s *session) error {
	if c.Subscription.IsZero() == (c.User == "") {
		return fmt.Errorf("%w: give either a subscription or --user", errUsage)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.User == "" {
		trace, err := api.Trace(s.ctx, c.Send, c.Subscription)
		if err != nil {
			return err
		}
		return c.print(s, trace, func(w io.Writer) { printTrace(w, trace) })
	}
	const most = 100 // of one user
	found, err := api.Preview(s.ctx, client.PreviewRequest{Target: client.Target{Recipients: []client.Recipient{{User: c.User}}}, Limit: most})
	if err != nil {
		return err
	}
	if len(found.Recipients) == 0 {
		return fmt.Errorf("user %s has no subscription", c.User)
	}
	traces := make([]client.Trace, len(found.Recipients))
	for i, r := range found.Recipients {
		if traces[i], err = api.Trace(s.ctx, c.Send, r.Subscription); err != nil {
			return err
		}
	}
	return c.print(s, traces, func(w io.Writer) {
		for _, t := range traces {
			fmt.Fprintf(w, "%s over %s: ", t.Subscription, t.Provider)
			printTrace(w, t)
		}
	})
}

func printTrace(w io.Writer, t client.Trace) {
	fmt.Fprintln(w, t.Explanation)
	if t.Page != nil {
		fmt.Fprintf(w, "  shard %d, page %d\n", t.Shard, *t.Page)
	}
	for _, a := range t.Attempts {
		fmt.Fprintf(w, "  attempt %d: %s", a.Number, a.Result)
		if a.Reason != 0 {
			fmt.Fprintf(w, " (%s)", a.Reason)
		}
		for _, step := range []struct {
			name string
			at   time.Time
		}{{"claimed", a.ClaimedAt}, {"written", a.WrittenAt}, {"settled", a.SettledAt}, {"not before", a.NotBefore}} {
			if !step.at.IsZero() {
				fmt.Fprintf(w, ", %s %s", step.name, step.at.Format(time.RFC3339Nano))
			}
		}
		fmt.Fprintln(w)
	}
	if t.Verdict != nil {
		fmt.Fprintln(w, "  the target, by what is known of it now:")
		printVerdict(w, *t.Verdict, 2)
	}
}
