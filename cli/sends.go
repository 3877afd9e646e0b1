package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/tocsin-push/tocsin"
)

type sends struct {
	remote
	Limit  int           `help:"How many, 1 to 100." default:"50"`
	Before tocsin.SendID `help:"Only those that are older than this one." placeholder:"ID"`
}

func (c *sends) Run(s *session) error {
	if c.Limit < 1 || c.Limit > 100 {
		return fmt.Errorf("%w: --limit is 1 to 100", errUsage)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	page, err := api.Sends(s.ctx, c.Before, c.Limit)
	if err != nil {
		return err
	}
	return c.print(s, page, func(w io.Writer) {
		for _, one := range page.Sends {
			fmt.Fprintf(w, "%s  %-9s  due %s  %-13s  %s\n", one.ID, one.Status, one.DueAt.Format(time.RFC3339), one.Class, one.Name)
		}
		if page.Next != "" {
			fmt.Fprintf(s.err, "There are more: tocsin sends --before %s\n", page.Next)
		}
	})
}
