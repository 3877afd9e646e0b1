package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

type lists struct {
	List   listAll    `cmd:"" default:"withargs" help:"List all lists with their sizes."`
	Upload listUpload `cmd:"" help:"Replace a list by the users or subscriptions in a file, add them or take them out."`
	Delete listDelete `cmd:"" help:"Delete a list."`
}

type listAll struct{ remote }

func (c *listAll) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	all, err := api.Lists(s.ctx)
	if err != nil {
		return err
	}
	return c.print(s, all, func(w io.Writer) {
		for _, one := range all.Lists {
			fmt.Fprintf(w, "%-24s  %9d entries  %9d known  updated %s\n", one.Name, one.Entries, one.Known, one.UpdatedAt.Format(time.RFC3339))
		}
	})
}

type listUpload struct {
	Name string `arg:"" help:"Name of the list: 1 to 64 characters of a-z, 0-9 and _."`
	upload
	Mode    client.ListMode `help:"replace, add or remove." enum:"replace,add,remove" default:"replace"`
	Confirm bool            `help:"Let a list that is replaced become less than half of what it is."`
}

func (c *listUpload) Run(s *session) error {
	c.confirm = c.Confirm
	return c.send(s, "tocsin lists upload "+quoted(c.Name), func(api *client.Client, r client.ImportRequest) (client.Import, error) {
		return api.OpenList(s.ctx, c.Name, c.Mode, r, c.Confirm)
	})
}

type listDelete struct {
	remote
	Name string `arg:"" help:"Name of the list."`
}

func (c *listDelete) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return api.DeleteList(s.ctx, c.Name)
}
