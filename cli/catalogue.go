package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tocsin-push/tocsin/client"
)

type catalogue struct {
	List   catalogueList   `cmd:"" default:"withargs" help:"List attributes, sets of tags and events in use."`
	Rename catalogueRename `cmd:"" help:"Give an attribute or a set of tags another name, for everybody; with a key of scope admin."`
	Delete catalogueDelete `cmd:"" help:"Take an attribute or a set of tags away from everybody; with a key of scope admin."`
}

type catalogueList struct {
	remote
	Top int `help:"Values of each name, 0 to 100." default:"3"`
}

func (c *catalogueList) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	all, err := api.Catalogue(s.ctx, c.Top)
	if err != nil {
		return err
	}
	return c.print(s, all, func(w io.Writer) {
		fmt.Fprintf(w, "%d subscriptions\n", all.Subscriptions)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, kind := range []struct {
			name  string
			most  int
			names []client.NameInUse
		}{{"attributes", all.Ceilings.Attributes, all.Attributes}, {"tags", all.Ceilings.Tags, all.Tags}, {"events", all.Ceilings.Events, all.Events}} {
			fmt.Fprintf(table, "%s\t%d of %d\n", kind.name, len(kind.names), kind.most)
			for _, n := range kind.names {
				fmt.Fprintf(table, "  %s\t%s\t%.1f %%\t%s\t%s\n", n.Name, n.Type, 100*n.Coverage, values(&n), since(&n))
			}
		}
		table.Flush()
	})
}

// values are how many there are, and the most frequent.
func values(n *client.NameInUse) string {
	about := ""
	if !n.Exact {
		about = "about "
	}
	var top []string
	for _, v := range n.Top {
		text, _ := v.Value.MarshalJSON() // a value that was read is written
		top = append(top, fmt.Sprintf("%s %d", text, v.Count))
	}
	return strings.TrimSuffix(fmt.Sprintf("%s%d: %s", about, n.Distinct, strings.Join(top, ", ")), ": ")
}

// since is when the name came, when it was last written, and by whom.
func since(n *client.NameInUse) string {
	const day = "2006-01-02"
	first, last := "before", ""
	if !n.FirstSeen.IsZero() {
		first = n.FirstSeen.Format(day)
	}
	if !n.LastSeen.IsZero() {
		last = n.LastSeen.Format(day)
	}
	var by []string
	for _, w := range n.Writers {
		by = append(by, strings.TrimSpace(w.Via+" "+w.KeyName))
	}
	return fmt.Sprintf("%s..%s  %s", first, last, strings.Join(by, ", "))
}

type catalogueRename struct {
	remote
	Kind client.NameKind `arg:"" help:"attributes or tags." enum:"attributes,tags"`
	Name string          `arg:""`
	To   string          `arg:""`
}

func (c *catalogueRename) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	done, err := api.RenameName(s.ctx, c.Kind, c.Name, c.To)
	if err != nil {
		return err
	}
	return c.print(s, done, func(w io.Writer) { changed(w, &done) })
}

type catalogueDelete struct {
	remote
	Kind client.NameKind `arg:"" help:"attributes or tags." enum:"attributes,tags"`
	Name string          `arg:""`
}

func (c *catalogueDelete) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	done, err := api.DeleteName(s.ctx, c.Kind, c.Name)
	if err != nil {
		return err
	}
	return c.print(s, done, func(w io.Writer) { changed(w, &done) })
}

func changed(w io.Writer, done *client.NameChanged) {
	verb := "deleted"
	if done.To != "" {
		verb = "renamed to " + done.To
	}
	fmt.Fprintf(w, "%s %s; %d subscriptions had it\n", done.Name, verb, done.Subscriptions)
	for _, by := range done.Segments {
		fmt.Fprintf(w, "segment %s asks for %s\n", by, done.Name)
	}
	for _, by := range done.Waiting {
		fmt.Fprintf(w, "send %s asks for %s when it is due at %s  %s\n", by.Send, done.Name, by.Due.Format("2006-01-02 15:04 MST"), by.Name)
	}
}
