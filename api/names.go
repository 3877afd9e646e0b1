package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// naming holds what one request, or a piece of an import, writes against the
// names of its project. It is not shared by goroutines.
type naming struct {
	server     *Server
	project    tocsin.ProjectID
	writer     catalogue.Writer
	view       *catalogue.View       // nil until a name is asked for
	attributes order[catalogue.Type] // let pass under the view, and noted
	sets       order[struct{}]
	events     map[string]bool
	uses       []catalogue.Use
}

// naming begins to check what the caller writes by one way in.
func (s *Server) naming(ctx context.Context, via catalogue.Via) *naming {
	c := caller(ctx)
	n := &naming{server: s, project: c.Project, writer: catalogue.Writer{Via: via, Key: c.Key, Name: c.Name},
		events: map[string]bool{}}
	if via == catalogue.Device { // anybody has the key
		n.writer = catalogue.Writer{Via: via}
	}
	return n
}

// edition is what records say whose names were let pass.
func (n *naming) edition() uint64 {
	if n.view == nil {
		return 0
	}
	return n.view.Edition
}

// known is the view of the moment in which the first name was asked for, or of
// a later one in which a name was taken.
func (n *naming) known(ctx context.Context) (*catalogue.View, error) {
	if n.view == nil {
		v, err := n.server.names.View(ctx, n.project)
		if err != nil {
			return nil, err
		}
		n.view = v
	}
	return n.view, nil
}

// admit lets the names of a change pass, and brings those that are new. The
// error may be a *fieldError.
func (n *naming) admit(ctx context.Context, attributes []*record.Attribute, tags []*record.TagSet) error {
	n.uses = n.uses[:0]
	for _, a := range attributes {
		t := catalogue.TypeOf(a)
		if t == catalogue.Untyped {
			continue // a removal brings no name
		}
		if _, passed, ok := n.attributes.find(a.Name); ok && *passed == t {
			continue
		}
		n.uses = append(n.uses, catalogue.Use{Kind: catalogue.Attribute, Name: a.Name, Type: t})
	}
	for _, t := range tags {
		if len(t.Replace)+len(t.Add) == 0 {
			continue
		}
		if _, _, ok := n.sets.find(t.Name); !ok {
			n.uses = append(n.uses, catalogue.Use{Kind: catalogue.TagSet, Name: t.Name})
		}
	}
	if len(attributes)+len(tags) == 0 {
		return nil
	}
	view, err := n.known(ctx)
	if err != nil || len(n.uses) == 0 {
		return err
	}
	today := n.server.names.Today()
	for _, u := range n.uses {
		if view.Allows(n.writer, today, u) {
			continue
		}
		if view, err = n.server.names.Take(ctx, n.project, n.writer, n.uses); err != nil {
			return refusedName(err, attributes)
		}
		if view.Edition != n.view.Edition {
			n.attributes.clear()
			n.sets.clear()
		}
		n.view = view
		break
	}
	for _, u := range n.uses {
		if u.Kind == catalogue.TagSet {
			n.sets.add(u.Name, struct{}{})
		} else if _, passed, ok := n.attributes.find(u.Name); ok {
			*passed = u.Type
		} else {
			n.attributes.add(u.Name, u.Type)
		}
	}
	return nil
}

// refusedName tells what stands against a name, or a value under it.
func refusedName(err error, attributes []*record.Attribute) error {
	var conflict *catalogue.Conflict
	var full *catalogue.Full
	switch {
	case errors.As(err, &conflict):
		for _, a := range attributes {
			if a.Name == conflict.Name {
				return conflictOf(a, &conflict.Stands)
			}
		}
	case errors.As(err, &full):
		field := map[catalogue.Kind]string{catalogue.Attribute: "attributes.", catalogue.TagSet: "tags.", catalogue.Event: "name."}[full.Kind]
		return wrong(field+full.Name, "the project has %d %s of %d that it may have: delete one in its catalogue first", full.Count, full.Kind.Plural(), full.Most)
	}
	return err
}

// conflictOf says which type stands and who brought it.
func conflictOf(a *record.Attribute, stands *catalogue.Entry) *fieldError {
	found := catalogue.TypeOf(a)
	since, by, key := "as before there was a catalogue", "", ""
	if !stands.First.IsZero() {
		since = "first written " + stands.First.Format("2006-01-02") + " by " + stands.By.Via.String()
		by, key = ", "+stands.By.Key.String(), ", key "+stands.By.Name+" ("+stands.By.Key.String()+")"
		if stands.By.Key.IsZero() {
			by, key = "", ""
		}
	}
	value := valueText(a)
	return &fieldError{field: "attributes." + a.Name, found: value,
		reason: fmt.Sprintf("found %s %s, want %s: %s%s", found, value, stands.Type, since, key),
		brief:  fmt.Sprintf("found %s, want %s: %s%s", found, stands.Type, since, by)}
}

// valueText shows a value that was refused, in a bounded number of bytes.
func valueText(a *record.Attribute) string {
	const most = 40
	switch v := a.Value.(type) {
	case *record.Attribute_Text:
		return fmt.Sprintf("%.*q", most, v.Text)
	case *record.Attribute_Url:
		return fmt.Sprintf("%.*q", most, v.Url)
	case *record.Attribute_Integer:
		return fmt.Sprint(v.Integer)
	case *record.Attribute_Real:
		return fmt.Sprint(v.Real)
	case *record.Attribute_Flag:
		return fmt.Sprint(v.Flag)
	case *record.Attribute_Time:
		return index.Value{Kind: index.Time, Bits: v.Time}.String()
	case *record.Attribute_Location:
		return index.Value{Kind: index.Location, Bits: int64(v.Location)}.String()
	}
	return "null"
}

// learnNames tells the catalogue what the shards hold of a project that it does
// not know.
func (s *Server) learnNames(ctx context.Context, project tocsin.ProjectID) (uses []catalogue.Use, err error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	names, err := s.Ask.Names(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, name := range names.Names {
		if name.Tags {
			uses = append(uses, catalogue.Use{Kind: catalogue.TagSet, Name: name.Name})
			continue
		}
		held, err := s.Ask.Survey(ctx, project, name, false)
		if err != nil {
			return nil, err
		}
		if t := mostOf(held); t != catalogue.Untyped {
			uses = append(uses, catalogue.Use{Kind: catalogue.Attribute, Name: name.Name, Type: t})
		}
	}
	return uses, nil
}

// byType counts the values of an attribute by the types of the catalogue.
func byType(of ask.Survey) (rows [catalogue.Location + 1]int) {
	for kind, n := range of.Kinds {
		rows[map[index.Kind]catalogue.Type{index.Text: catalogue.Text, index.URL: catalogue.URL, index.Integer: catalogue.Number, index.Real: catalogue.Number,
			index.Flag: catalogue.Boolean, index.Time: catalogue.Time, index.Location: catalogue.Location}[index.Kind(kind)]] += n
	}
	return rows
}

// mostOf is the type of most values.
func mostOf(of ask.Survey) (most catalogue.Type) {
	rows := byType(of)
	for t, n := range rows {
		if n > rows[most] {
			most = catalogue.Type(t)
		}
	}
	return most
}

// writeNames appends a change of a name to the log of every shard.
func (s *Server) writeNames(ctx context.Context, project tocsin.ProjectID, n *record.Names) error {
	of, err := s.Accounts.Project(ctx, project)
	if err != nil {
		return err
	}
	all := make([]tocsin.Shard, s.Shards)
	for i := range all {
		all[i] = tocsin.Shard(i)
	}
	return ask.Each(all, func(_ int, shard tocsin.Shard) error {
		changes := &record.Changes{Changes: []*record.Change{{Change: &record.Change_Names{Names: n}}}, Names: n.Edition}
		e := &record.Envelope{Body: &record.Envelope_Changes{Changes: changes}}
		return s.changes[shard].append(ctx, e, s.Now(), record.Scope{Project: project, Environment: of.Environment})
	})
}

// readCatalogues learns the names of every project, and finishes what was on its
// way when the node ended, so that nobody waits for it later.
func (s *Server) readCatalogues(ctx context.Context) {
	for after := (tocsin.ProjectID{}); ; {
		const page = 1000
		projects, err := s.Accounts.Projects(ctx, after, page)
		for _, p := range projects {
			if err == nil {
				_, err = s.names.View(ctx, p.ID)
			}
			after = p.ID
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error("catalogues of names were not read; each is when it is asked for", "error", err)
		}
		if err != nil || len(projects) < page {
			return
		}
	}
}
