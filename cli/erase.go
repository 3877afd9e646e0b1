package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

type erase struct {
	remote
	User         string                `help:"Your identifier of the person." placeholder:"ID"`
	Subscription tocsin.SubscriptionID `help:"Instead of a user, for a person without one." placeholder:"ID"`
	Now          bool                  `help:"Take what is left off the disk at once, not within 24 hours, and wait for it."`
}

func (c *erase) Run(s *session) error {
	if (c.User == "") == c.Subscription.IsZero() {
		return fmt.Errorf("%w: give either --user or --subscription", errUsage)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	e, err := api.Erase(s.ctx, client.ErasureRequest{User: c.User, Subscription: c.Subscription, Now: c.Now})
	if err != nil {
		return err
	}
	if c.Now {
		told := ""
		for now, err := range api.WatchErasure(s.ctx, e.ID) {
			if err != nil {
				return &unfinished{err, "It goes on without this command; see how far it is with: tocsin erasures"}
			}
			if e = now; e.Step != told && e.Step != "" {
				told = e.Step
				fmt.Fprintf(s.err, "%s: %s\n", e.ID, told)
			}
		}
	}
	return c.print(s, e, func(w io.Writer) { printErasure(w, e) })
}

func printErasure(w io.Writer, e client.Erasure) {
	fmt.Fprintf(w, "%s  %s", e.ID, e.Status)
	switch e.Status {
	case client.ErasureDone:
		fmt.Fprintf(w, " at %s: nothing is left on the disk\n", e.DoneAt.Format(time.RFC3339))
	case client.ErasurePending:
		fmt.Fprintf(w, ": out of every answer; off the disk from %s on\n", e.DueAt.Format(time.RFC3339))
	default:
		fmt.Fprintf(w, ": %s\n", e.Step)
	}
}

type erasures struct{ remote }

func (c *erasures) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	const most = 100
	found, err := api.Erasures(s.ctx, tocsin.ErasureID{}, most)
	if err != nil {
		return err
	}
	return c.print(s, found, func(w io.Writer) {
		for _, e := range found.Erasures {
			printErasure(w, e)
		}
	})
}

type export struct {
	remote
	User string `arg:"" help:"Your identifier of the person."`
}

func (c *export) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	person, err := api.Export(s.ctx, c.User)
	if err != nil {
		return err
	}
	c.JSON = true // it is for machines, and to be handed on
	return c.print(s, person, nil)
}
