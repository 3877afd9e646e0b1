package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// listTable holds one row a list, written conditionally: partition project, by
// name. It says which list a name is; what is in it the shards know. A row is
// there before anything of its list is in the log, and goes after.
const listTable = "list"

type listRow struct {
	ID        tocsin.ImportID `json:"id"` // of the upload that made it: a name that is given again is another list
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

func listPlace(project tocsin.ProjectID) store.Place {
	return store.Place{Table: listTable, Partition: project.String()}
}

type ListPath struct {
	List string `path:"list" maxLength:"64" pattern:"^[a-z0-9_]+$"`
}

func (s *Server) listRoutes() {
	write, read := access{scope: account.Audience}, access{scope: account.Read}
	stream := s.document(reflect.TypeFor[client.ImportRequest]())
	for kind, media := range streams() {
		stream[kind] = media
	}
	const path = "/v1/lists/{list}"
	route(s, operation{id: "list-lists", method: http.MethodGet, path: "/v1/lists", tag: "Lists",
		summary: "List all lists, by name", need: read}, s.allLists)
	route(s, operation{id: "get-list", method: http.MethodGet, path: path, tag: "Lists", summary: "Read how large a list is", need: read}, s.getList)
	route(s, operation{id: "replace-list", method: http.MethodPut, path: path, tag: "Lists", raw: stream, limit: -1, stream: true, status: http.StatusCreated, need: write,
		summary: "Make a list what a stream of users or subscriptions holds, all at once; or, with a JSON body, open an import whose stream follows"}, s.replaceList)
	route(s, operation{id: "change-list", method: http.MethodPost, path: path, tag: "Lists", raw: stream, limit: -1, stream: true, status: http.StatusCreated, need: write,
		summary: "Add a stream of users or subscriptions to a list, or take it out; or, with a JSON body, open an import whose stream follows"}, s.changeList)
	route(s, operation{id: "delete-list", method: http.MethodDelete, path: path, tag: "Lists",
		summary: "Delete a list", need: write}, s.deleteList)
}

// streams are the forms in which streams of lines come.
func streams() map[string]*huma.MediaType {
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	return map[string]*huma.MediaType{"application/x-ndjson": text, "text/csv": text}
}

func (s *Server) replaceList(ctx context.Context, in *struct {
	StreamInput
	ListPath
	Confirm bool `query:"confirm" doc:"The list may become less than half of what it is"`
}) (*body[client.Import], error) {
	return s.beginImport(ctx, &in.StreamInput, "", &importRow{Import: client.Import{List: in.List, Mode: client.ListReplace, Confirm: in.Confirm}})
}

func (s *Server) changeList(ctx context.Context, in *struct {
	StreamInput
	ListPath
	Mode client.ListMode `query:"mode" enum:"add,remove" default:"add"`
}) (*body[client.Import], error) {
	return s.beginImport(ctx, &in.StreamInput, "", &importRow{Import: client.Import{List: in.List, Mode: in.Mode}})
}

// listRow reads which list a name is.
func (s *Server) listRow(ctx context.Context, project tocsin.ProjectID, name string) (row listRow, stored []byte, err error) {
	found, err := s.Store.GetLatest(ctx, listPlace(project), name)
	if errors.Is(err, store.ErrNotFound) {
		return row, nil, notFound("list")
	}
	if err == nil {
		err = json.Unmarshal(found.Value, &row)
	}
	return row, found.Value, err
}

// takeList begins an upload to a list, which is made when there is none and
// there is something to put into it. The row knows then which list is meant.
func (s *Server) takeList(ctx context.Context, project tocsin.ProjectID, upload *importRow) error {
	row, _, err := s.listRow(ctx, project, upload.List)
	if isNotFound(err) && upload.Mode != client.ListRemove {
		row, err = s.makeList(ctx, project, upload)
	}
	if err != nil {
		return err
	}
	upload.ListID = row.ID
	steps := []*record.Change{listStep(upload, audience.ListMake)}
	if upload.Mode == client.ListReplace {
		steps = append(steps, listStep(upload, audience.ListDraft))
	}
	return s.changeAll(ctx, steps...)
}

func (s *Server) makeList(ctx context.Context, project tocsin.ProjectID, upload *importRow) (row listRow, err error) {
	there, err := s.Store.Scan(ctx, listPlace(project), "", "", s.Lists)
	if err != nil {
		return row, err
	}
	if len(there) == s.Lists {
		return row, fail(http.StatusConflict, "limit", fmt.Sprintf("the project has %d lists already", s.Lists))
	}
	row = listRow{upload.ID, upload.CreatedAt, upload.CreatedAt}
	value, err := json.Marshal(row)
	if err != nil {
		return row, err
	}
	made, _, err := s.Store.PutIf(ctx, listPlace(project), upload.List, nil, value, time.Time{})
	if err == nil && made {
		return row, nil
	}
	if err == nil || errors.Is(err, store.ErrAmbiguous) { // somebody made it at the same time, or we did
		row, _, err = s.listRow(ctx, project, upload.List)
	}
	return row, err
}

// listStep is one step of an upload.
func listStep(upload *importRow, step uint32) *record.Change {
	u := &record.ListUpdate{Name: upload.List, List: upload.ListID.Bytes(), Step: step}
	if step == audience.ListDraft || step == audience.ListReplace || upload.Mode == client.ListReplace && step == audience.ListAdd {
		u.Upload = upload.ID.Bytes()
	}
	return &record.Change{Change: &record.Change_List{List: u}}
}

// changeAll appends the same changes to every shard, and returns once they are
// durable.
func (s *Server) changeAll(ctx context.Context, changes ...*record.Change) error {
	return ask.Each((&sendRow{}).touched(s.Shards), func(_ int, shard tocsin.Shard) error { return s.change(ctx, shard, changes...) })
}

func (s *Server) allLists(ctx context.Context, _ *struct{}) (*body[client.Lists], error) {
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	project := caller(ctx).Project
	rows, err := s.Store.Scan(ctx, listPlace(project), "", "", s.Lists)
	if err != nil {
		return nil, err
	}
	out := &body[client.Lists]{client.Lists{Lists: []client.List{}}}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Key
	}
	known, err := s.Ask.Lists(ctx, project, names...)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		var row listRow
		if err := json.Unmarshal(r.Value, &row); err != nil {
			return nil, err
		}
		out.Body.Lists = append(out.Body.Lists, listBody(r.Key, row, known))
	}
	return out, nil
}

func (s *Server) getList(ctx context.Context, in *ListPath) (*body[client.List], error) {
	project := caller(ctx).Project
	row, _, err := s.listRow(ctx, project, in.List)
	if err == nil {
		err = s.fresh(ctx)
	}
	if err != nil {
		return nil, err
	}
	known, err := s.Ask.Lists(ctx, project, in.List)
	return &body[client.List]{listBody(in.List, row, known)}, err
}

func listBody(name string, row listRow, known []map[string]ask.List) client.List {
	size, _ := listSizes(known, name, row.ID)
	return client.List{Name: name, Entries: size.entries, Known: size.known, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt}
}

func (s *Server) deleteList(ctx context.Context, in *ListPath) (*empty, error) {
	project := caller(ctx).Project
	row, stored, err := s.listRow(ctx, project, in.List)
	if err != nil {
		return nil, err
	}
	gone := &importRow{ListID: row.ID, Import: client.Import{List: in.List}}
	if err := s.changeAll(ctx, listStep(gone, audience.ListDelete)); err != nil {
		return nil, err
	}
	for stored != nil { // an upload may end meanwhile
		var done bool
		if done, _, err = s.Store.PutIf(ctx, listPlace(project), in.List, stored, nil, time.Time{}); done || err != nil {
			return nil, err
		}
		var now listRow
		if now, stored, err = s.listRow(ctx, project, in.List); isNotFound(err) || now.ID != row.ID {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// listSize is what all shards have of a list.
type listSize struct{ entries, known int64 }

func (a *listSize) add(b ask.ListSize, singles *int64) {
	a.entries += int64(b.People)
	a.known += int64(b.KnownPeople)
	*singles = max(*singles, int64(b.Singles)) // each shard has all of them
}

// listSizes adds up what shards know of a list and of the draft of it. One with
// another identity is not there.
func listSizes(all []map[string]ask.List, name string, id tocsin.ImportID) (list, draft listSize) {
	var singles, drafted, known, knownDrafted int64
	for _, lists := range all {
		if l, ok := lists[name]; ok && l.ID == id {
			list.add(l.Size, &singles)
			draft.add(l.Draft, &drafted)
			known += int64(l.Size.KnownSingles)
			knownDrafted += int64(l.Draft.KnownSingles)
		}
	}
	list.entries, list.known = list.entries+singles, list.known+min(known, singles)
	draft.entries, draft.known = draft.entries+drafted, draft.known+min(knownDrafted, drafted)
	return list, draft
}

// listNames are the names of all lists of a project.
func (s *Server) listNames(ctx context.Context, project tocsin.ProjectID) (names []string, err error) {
	rows, err := s.Store.Scan(ctx, listPlace(project), "", "", s.Lists)
	for _, r := range rows {
		names = append(names, r.Key)
	}
	return names, err
}
