package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// NamePath is a name of any kind.
type NamePath struct {
	Kind client.NameKind `path:"kind" enum:"attributes,tags,events"`
	Name string          `path:"name" minLength:"1" maxLength:"64"`
}

// OwnNamePath is one that can be deleted and renamed.
type OwnNamePath struct {
	Kind client.NameKind `path:"kind" enum:"attributes,tags"`
	Name string          `path:"name" minLength:"1" maxLength:"64"`
}

func kindOf(k client.NameKind) catalogue.Kind {
	return map[client.NameKind]catalogue.Kind{client.AttributeName: catalogue.Attribute, client.TagSetName: catalogue.TagSet, client.EventName: catalogue.Event}[k]
}

func (s *Server) catalogueRoutes() {
	read, admin := access{scope: account.Read}, access{scope: account.Admin}
	const one = "/v1/catalogue/{kind}/{name}"
	route(s, operation{id: "get-catalogue", method: http.MethodGet, path: "/v1/catalogue", tag: "Catalogue",
		summary: "The names that the project uses: types, values, how many have one, since when, who writes them", need: read}, s.getCatalogue)
	route(s, operation{id: "get-name", method: http.MethodGet, path: one, tag: "Catalogue",
		summary: "One name, with up to 1,000 of its values", need: read}, s.getName)
	route(s, operation{id: "delete-name", method: http.MethodDelete, path: one, tag: "Catalogue", status: http.StatusOK,
		summary: "Take an attribute or a set of tags away from everybody, and free its name", need: admin}, s.deleteName)
	route(s, operation{id: "rename-name", method: http.MethodPost, path: one + "/rename", tag: "Catalogue", status: http.StatusOK,
		summary: "Give an attribute or a set of tags another name, for everybody", need: admin}, s.renameName)
}

// surveying waits for its turn to look through a project: one request at a time
// does, so that many cannot take the processors from sends.
func (s *Server) surveying(ctx context.Context) (done func(), err error) {
	select {
	case s.surveys <- struct{}{}:
		return func() { <-s.surveys }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Server) getCatalogue(ctx context.Context, in *struct {
	Top int `query:"top" minimum:"0" maximum:"100" default:"10" doc:"Values of each name that are told"`
}) (*body[client.Catalogue], error) {
	project := caller(ctx).Project
	view, names, live, err := s.namesInUse(ctx, project)
	if err != nil {
		return nil, err
	}
	done, err := s.surveying(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	most := s.names.Ceilings()
	out := &body[client.Catalogue]{client.Catalogue{Subscriptions: int64(live), Attributes: []client.NameInUse{}, Tags: []client.NameInUse{}, Events: []client.NameInUse{},
		Ceilings: client.Ceilings{Attributes: most.Attributes, Tags: most.TagSets, Events: most.Events, ProfileBytes: s.Profile}}}
	for _, n := range names {
		one, err := s.nameInUse(ctx, project, view, n, live, in.Top)
		if err != nil {
			return nil, err
		}
		switch n.Kind {
		case catalogue.Attribute:
			out.Body.Attributes = append(out.Body.Attributes, one)
		case catalogue.TagSet:
			out.Body.Tags = append(out.Body.Tags, one)
		default:
			out.Body.Events = append(out.Body.Events, one)
		}
	}
	return out, nil
}

func (s *Server) getName(ctx context.Context, in *struct {
	NamePath
	Top int `query:"top" minimum:"0" maximum:"1000" default:"100" doc:"Values that are told"`
}) (*body[client.NameInUse], error) {
	project := caller(ctx).Project
	view, names, live, err := s.namesInUse(ctx, project)
	if err != nil {
		return nil, err
	}
	wanted := catalogue.Use{Kind: kindOf(in.Kind), Name: in.Name}
	if !slices.Contains(names, wanted) {
		return nil, notFound("name in the catalogue")
	}
	done, err := s.surveying(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	one, err := s.nameInUse(ctx, project, view, wanted, live, in.Top)
	return &body[client.NameInUse]{one}, err
}

// namesInUse lists the names of the catalogue, and what shards hold that is not in
// it, by kind and in order.
func (s *Server) namesInUse(ctx context.Context, project tocsin.ProjectID) (view *catalogue.View, names []catalogue.Use, live int, err error) {
	if view, err = s.names.View(ctx, project); err != nil {
		return nil, nil, 0, err
	}
	if err = s.fresh(ctx); err != nil {
		return nil, nil, 0, err
	}
	for _, k := range []catalogue.Kind{catalogue.Attribute, catalogue.TagSet, catalogue.Event} {
		for name := range view.All(k) {
			names = append(names, catalogue.Use{Kind: k, Name: name})
		}
	}
	held, err := s.Ask.Names(ctx, project)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, n := range held.Names {
		k := catalogue.Attribute
		if n.Tags {
			k = catalogue.TagSet
		}
		names = append(names, catalogue.Use{Kind: k, Name: n.Name})
	}
	slices.SortFunc(names, compareUses)
	return view, slices.Compact(names), held.Live, nil
}

func compareUses(a, b catalogue.Use) int {
	if a.Kind != b.Kind {
		return int(a.Kind) - int(b.Kind)
	}
	return strings.Compare(a.Name, b.Name)
}

// nameInUse tells of one name.
func (s *Server) nameInUse(ctx context.Context, project tocsin.ProjectID, view *catalogue.View, n catalogue.Use, live, top int) (client.NameInUse, error) {
	out := client.NameInUse{Name: n.Name}
	stands := view.Find(n.Kind, n.Name)
	if stands != nil {
		noted(&out, stands)
	}
	if n.Kind == catalogue.Event {
		return out, nil
	}
	held, err := s.Ask.Survey(ctx, project, ask.Name{Name: n.Name, Tags: n.Kind == catalogue.TagSet}, true)
	if err != nil {
		return out, err
	}
	out.Subscriptions, out.Distinct, out.Exact = int64(held.Rows), int64(held.Distinct()), held.All
	if live > 0 {
		out.Coverage = float64(held.Rows) / float64(live)
	}
	for _, v := range held.Top[:min(top, len(held.Top))] {
		out.Top = append(out.Top, client.ValueCount{Value: valueOf(index.Value{Kind: index.Kind(v.Kind), Text: v.Text, Bits: v.Bits}), Count: int64(v.Rows)})
	}
	if n.Kind == catalogue.TagSet {
		return out, nil
	}
	is := mostOf(held)
	if stands != nil {
		is = stands.Type
	}
	out.Type = is.String()
	for t, rows := range byType(held) {
		if rows > 0 && held.Rows > 0 && catalogue.Type(t) != is {
			if out.OtherTypes == nil {
				out.OtherTypes = map[string]int64{}
			}
			out.OtherTypes[catalogue.Type(t).String()] = int64(rows)
		}
	}
	return out, nil
}

// noted tells what the catalogue knows.
func noted(out *client.NameInUse, e *catalogue.Entry) {
	if !e.First.IsZero() {
		by := writerBody(catalogue.Seen{Writer: e.By})
		out.FirstSeen, out.FirstBy = e.First, &by
	}
	if e.Last != 0 {
		out.LastSeen = e.Last.Time()
	}
	for _, w := range e.Writers {
		out.Writers = append(out.Writers, writerBody(w))
	}
}

func writerBody(w catalogue.Seen) client.NameWriter {
	out := client.NameWriter{Via: w.Via.String(), Key: w.Key, KeyName: w.Name}
	if w.Last != 0 {
		out.LastSeen = w.Last.Time()
	}
	return out
}

func (s *Server) deleteName(ctx context.Context, in *OwnNamePath) (*body[client.NameChanged], error) {
	return s.changeName(ctx, in, "")
}

func (s *Server) renameName(ctx context.Context, in *struct {
	OwnNamePath
	Body client.NameRename
}) (*body[client.NameChanged], error) {
	if !target.ValidName(in.Body.To) || target.Reserved(in.Body.To) {
		return nil, invalid("to", "want a name of 1 to 64 characters of a-z, 0-9 and _ that is not reserved")
	}
	return s.changeName(ctx, &in.OwnNamePath, in.Body.To)
}

// changeName deletes a name, or renames it where to is not empty.
func (s *Server) changeName(ctx context.Context, in *OwnNamePath, to string) (*body[client.NameChanged], error) {
	project, kind := caller(ctx).Project, kindOf(in.Kind)
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	held, err := s.Ask.Survey(ctx, project, ask.Name{Name: in.Name, Tags: kind == catalogue.TagSet}, false)
	if err != nil {
		return nil, err
	}
	out := &body[client.NameChanged]{client.NameChanged{Name: in.Name, To: to, Subscriptions: int64(held.Rows)}}
	if out.Body.Segments, err = s.segmentsFor(ctx, project, in.Name); err != nil {
		return nil, err
	}
	if out.Body.Waiting, err = s.waitingFor(ctx, project, in.Name); err != nil {
		return nil, err
	}
	if to == "" {
		return out, s.names.Delete(ctx, project, kind, in.Name)
	}
	return out, s.names.Rename(ctx, project, kind, in.Name, to)
}

// segmentsFor lists the segments whose own definitions ask for a name.
func (s *Server) segmentsFor(ctx context.Context, project tocsin.ProjectID, name string) (by []string, err error) {
	rows, _, err := s.segments(ctx, project)
	for i := range rows {
		if q, err := target.Parse(target.Widest(), rows[i].Query); err == nil && slices.Contains(q.Names(), name) {
			by = append(by, rows[i].Name)
		}
	}
	return by, err
}

// waitingFor lists scheduled sends whose targets ask for a name.
func (s *Server) waitingFor(ctx context.Context, project tocsin.ProjectID, name string) (by []client.NamedBy, err error) {
	for shard := range s.Shards {
		err := s.Scheduled(ctx, tocsin.Shard(shard), project, func(send *record.Send) {
			if len(send.Query) == 0 {
				return
			}
			if q, err := target.Parse(target.Widest(), send.Query); err == nil && slices.Contains(q.Names(), name) {
				by = append(by, client.NamedBy{Send: tocsin.SendID(send.Send), Name: send.Name, Due: fromNanos(send.Due)})
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(by, func(a, b client.NamedBy) int { return a.Due.Compare(b.Due) })
	return by, nil
}
