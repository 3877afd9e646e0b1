package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/store"
)

// importTable holds one row an import: partition project, newest first.
const importTable = "import"

// importLife is how long an import is known after its last line.
const importLife = 90 * 24 * time.Hour

// importRow is an import up to an offset whose lines are durable.
type importRow struct {
	client.Import
	Columns []string        `json:"columns,omitempty"` // header of a CSV stream
	ListID  tocsin.ImportID `json:"list_id,omitzero"`  // which list is meant, of an upload to one

	version uint64 // of the stored row
}

// touch makes the row one later than it was, also when the clock stepped back.
func (r *importRow) touch(now time.Time) {
	r.UpdatedAt = now.UTC()
	r.version = max(r.version+1, uint64(now.UnixNano()))
}

// imports knows those whose stream is being read by this process.
type imports struct {
	store store.Store

	mu      sync.Mutex
	running map[tocsin.ImportID]*importRow // replaced, never changed
}

func importPlace(project tocsin.ProjectID) store.Place {
	return store.Place{Table: importTable, Partition: project.String()}
}

func (m *imports) get(ctx context.Context, project tocsin.ProjectID, id tocsin.ImportID) (*importRow, error) {
	found, err := m.store.Get(ctx, importPlace(project), newestFirst(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("import")
	}
	if err != nil {
		return nil, err
	}
	row := new(importRow)
	if err := json.Unmarshal(found.Value, row); err != nil {
		return nil, err
	}
	row.version = found.Version
	return m.live(row), nil
}

// live is what this process knows better than the row.
func (m *imports) live(row *importRow) *importRow {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.running[row.ID]; now != nil {
		return now
	}
	return row
}

// put stores a row that was touched.
func (m *imports) put(ctx context.Context, project tocsin.ProjectID, row *importRow) error {
	kept := *row
	if kept.Status == client.ImportRunning {
		kept.Status = client.ImportOpen // as it is found after a crash
	}
	kept.BadLines = slices.Clone(row.BadLines)
	for i := range kept.BadLines {
		kept.BadLines[i].Found = "" // what a person was given is kept in one place only
	}
	value, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return m.store.Write(ctx, importPlace(project), store.Write{Key: newestFirst(row.ID), Value: value,
		Version: row.version, Expires: row.UpdatedAt.Add(importLife)})
}

// begin takes an import for one stream.
func (m *imports) begin(row *importRow) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running[row.ID] != nil {
		return false
	}
	m.running[row.ID] = row
	return true
}

func (m *imports) update(row *importRow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[row.ID] = row
}

func (m *imports) end(id tocsin.ImportID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, id)
}

type ImportPath struct {
	Import tocsin.ImportID `path:"import"`
}

func (s *Server) importRoutes() {
	write, read := access{scope: account.Audience}, access{scope: account.Read}
	data := streams()
	create := s.document(reflect.TypeFor[client.ImportRequest]())
	for kind, media := range data {
		create[kind] = media
	}
	const path = "/v1/imports/{import}"
	route(s, operation{id: "create-import", method: http.MethodPost, path: "/v1/imports", tag: "Imports", raw: create, limit: -1, stream: true,
		summary: "Import a stream of subscriptions at once; or, with a JSON body, open an import whose stream follows", status: http.StatusCreated, need: write}, s.createImport)
	route(s, operation{id: "continue-import", method: http.MethodPost, path: path + "/data", tag: "Imports", raw: data, limit: -1, stream: true,
		summary: "Send the stream of an import, or what follows its offset", need: write}, s.continueImport)
	route(s, operation{id: "list-imports", method: http.MethodGet, path: "/v1/imports", tag: "Imports",
		summary: "List imports, newest first", need: read}, s.listImports)
	route(s, operation{id: "get-import", method: http.MethodGet, path: path, tag: "Imports",
		summary: "Progress of an import, and its bad lines", need: read}, s.getImport)
	route(s, operation{id: "follow-import", method: http.MethodGet, path: path + "/events", tag: "Imports", stream: true, events: client.Import{},
		summary: "Follow an import as server-sent events, until it is finished", need: read}, s.followImport)
}

// StreamInput is a request whose body is read piece by piece.
type StreamInput struct {
	w http.ResponseWriter
	r *http.Request
}

// Resolve keeps the request.
func (in *StreamInput) Resolve(ctx huma.Context) []error {
	in.r, in.w = humago.Unwrap(ctx)
	return nil
}

// format is what the body holds: client.NDJSON, client.CSV or "json".
func (in *StreamInput) format() (string, error) {
	kind, _, err := mime.ParseMediaType(in.r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/x-ndjson":
		return client.NDJSON, nil
	case err == nil && kind == "text/csv":
		return client.CSV, nil
	case err == nil && kind == "application/json":
		return "json", nil
	}
	return "", fail(http.StatusUnsupportedMediaType, "media_type", "want Content-Type: application/x-ndjson or text/csv")
}

func (s *Server) createImport(ctx context.Context, in *struct {
	StreamInput
	Name string `query:"name" maxLength:"100" doc:"Name of an import whose stream is the body"`
}) (*body[client.Import], error) {
	return s.beginImport(ctx, &in.StreamInput, in.Name, &importRow{})
}

// beginImport opens an import and, unless the body is JSON, reads its stream.
// What is imported to stands in the row.
func (s *Server) beginImport(ctx context.Context, in *StreamInput, name string, row *importRow) (*body[client.Import], error) {
	request := client.ImportRequest{Name: name}
	format, err := in.format()
	if err != nil {
		return nil, err
	}
	if request.Format = format; format == "json" {
		data, err := s.readJSON(in.w, in.r, s.Body)
		if err == nil {
			err = strict(data, &request)
		}
		if err != nil {
			return nil, err
		}
		if request.Format != client.NDJSON && request.Format != client.CSV {
			return nil, invalid("format", "want ndjson or csv")
		}
		if len(request.Name) > 100 {
			return nil, invalid("name", "longer than 100 bytes")
		}
	}
	project, now := caller(ctx).Project, s.Now().UTC()
	if row.ID, err = newID[tocsin.ImportID](s.Random, now); err != nil {
		return nil, err
	}
	if row.Events && request.Format != client.NDJSON {
		return nil, fail(http.StatusUnsupportedMediaType, "media_type", "events come as NDJSON: want Content-Type: application/x-ndjson, or format ndjson")
	}
	row.Name, row.Format, row.Status, row.CreatedAt = request.Name, request.Format, client.ImportOpen, now
	row.touch(now)
	if row.List != "" {
		if err := s.takeList(ctx, project, row); err != nil {
			return nil, err
		}
	}
	if err := s.imports.put(ctx, project, row); err != nil || format == "json" {
		return &body[client.Import]{row.Import}, err
	}
	if row, err = s.stream(ctx, in, row); err != nil {
		return nil, err
	}
	return &body[client.Import]{row.Import}, nil
}

func (s *Server) continueImport(ctx context.Context, in *struct {
	StreamInput
	ImportPath
	Offset  int64 `query:"offset" minimum:"0" doc:"Where in the stream the body begins: the offset of the import"`
	Confirm bool  `query:"confirm" doc:"The list that is replaced may become less than half of what it is"`
}) (*body[client.Import], error) {
	row, err := s.imports.get(ctx, caller(ctx).Project, in.Import)
	if err != nil {
		return nil, err
	}
	format, err := in.format()
	switch {
	case err != nil:
		return nil, err
	case format != row.Format:
		return nil, fail(http.StatusUnsupportedMediaType, "media_type", "the import is of format "+row.Format)
	case row.Status == client.ImportFinished:
		return nil, fail(http.StatusConflict, "finished", "the import has ended")
	case row.Status == client.ImportRunning:
		return nil, busy(http.StatusConflict, "running", "another stream of this import is being read", time.Second)
	case in.Offset != row.Offset:
		f := fail(http.StatusConflict, "offset", "the stream goes on elsewhere",
			client.FieldError{Field: "query.offset", Reason: fmt.Sprintf("want %d", row.Offset)})
		return nil, f
	}
	if in.Confirm && row.Mode == client.ListReplace {
		row.Confirm = true
	}
	row, err = s.stream(ctx, &in.StreamInput, row)
	if err != nil {
		return nil, err
	}
	return &body[client.Import]{row.Import}, nil
}

func (s *Server) listImports(ctx context.Context, in *struct {
	Before tocsin.ImportID `query:"before" doc:"Older than this one"`
	Limit  int             `query:"limit" minimum:"1" maximum:"100" default:"50"`
}) (*body[client.Imports], error) {
	from := ""
	if !in.Before.IsZero() {
		from = newestFirst(in.Before) + "\x00"
	}
	found, err := s.Store.Scan(ctx, importPlace(caller(ctx).Project), from, "", in.Limit)
	if err != nil {
		return nil, err
	}
	out := &body[client.Imports]{client.Imports{Imports: []client.Import{}}}
	for _, f := range found {
		row := new(importRow)
		if err := json.Unmarshal(f.Value, row); err != nil {
			return nil, err
		}
		one := s.imports.live(row).Import
		one.BadLines = nil
		out.Body.Imports = append(out.Body.Imports, one)
	}
	if len(found) == in.Limit {
		out.Body.Next = out.Body.Imports[len(found)-1].ID.String()
	}
	return out, nil
}

func (s *Server) getImport(ctx context.Context, in *ImportPath) (*body[client.Import], error) {
	row, err := s.imports.get(ctx, caller(ctx).Project, in.Import)
	if err != nil {
		return nil, err
	}
	return &body[client.Import]{row.Import}, nil
}

func (s *Server) followImport(ctx context.Context, in *ImportPath) (*huma.StreamResponse, error) {
	project := caller(ctx).Project
	if _, err := s.imports.get(ctx, project, in.Import); err != nil {
		return nil, err
	}
	return s.follow(project, func(ctx context.Context) (any, bool, error) {
		row, err := s.imports.get(ctx, project, in.Import)
		if err != nil {
			return nil, false, err
		}
		one := row.Import
		one.BadLines = nil // read them with the import
		return one, one.Status == client.ImportFinished, nil
	})
}
