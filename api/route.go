package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/client"
)

// operation names a route. Everything that the document says of it and that
// the server does before its handler comes from here.
type operation struct {
	id      string // as in list-sends
	method  string
	path    string
	summary string
	tag     string
	status  int // of success; 0 is 200, or 204 without a body
	need    access
	limit   int  // bytes of the JSON body; 0 is the general limit, -1 no JSON body
	stream  bool // may last: no time limit for the answer
	lines   any  // what a line of its answer holds; nil: it has none
	events  any  // what its server-sent events hold; nil: it has none
	raw     map[string]*huma.MediaType
}

// body wraps what an operation gives back.
type body[T any] struct{ Body T }

// empty is the answer of an operation that has none.
type empty struct{}

// route registers an operation: authentication, then the body, then the
// handler, whose errors are translated once.
func route[I, O any](s *Server, op operation, handle func(context.Context, *I) (*O, error)) {
	h := huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Tags: []string{op.tag},
		DefaultStatus: op.status, MaxBodyBytes: -1,
		RejectUnknownQueryParameters: true,
		Security:                     []map[string][]string{{"key": op.need.scope.Names()}},
		Middlewares:                  huma.Middlewares{s.authenticate(op.need)},
		Responses:                    map[string]*huma.Response{"default": s.problems()},
	}
	if !op.need.platform && op.need.scope != account.Device {
		h.Parameters = []*huma.Param{{Name: projectHeader, In: "header", Schema: projectIDSchema{}.Schema(nil),
			Description: "The project that a key of the platform acts for: required with such a key, and not needed with a key of the project"}}
	}
	if op.lines != nil {
		h.Responses["200"] = &huma.Response{Description: "One JSON object a line", Content: map[string]*huma.MediaType{"application/x-ndjson": {
			Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(op.lines), true, "Line")}}}
	}
	if op.events != nil {
		h.Responses["200"] = s.eventStream(op.events)
	}
	switch op.method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		if op.limit == 0 {
			op.limit = s.Body
		}
		if op.limit > 0 {
			h.Middlewares = append(h.Middlewares, s.guard(op.limit))
		}
	}
	huma.Register(s.api, h, func(ctx context.Context, in *I) (*O, error) {
		if !op.stream {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.RequestTime)
			defer cancel()
		}
		out, err := handle(ctx, in)
		if err != nil {
			return nil, answer(s.log(ctx), op.id, err)
		}
		return out, nil
	})
	if op.raw != nil { // told afterwards, so that the library leaves the body alone
		at := s.api.OpenAPI().Paths[op.path]
		for method, known := range map[string]*huma.Operation{http.MethodPost: at.Post, http.MethodPut: at.Put} {
			if method == op.method {
				known.RequestBody = &huma.RequestBody{Required: true, Content: op.raw}
			}
		}
	}
}

// eventStream describes server-sent events by the fields of one.
func (s *Server) eventStream(data any) *huma.Response {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(data), true, "Event")
	return &huma.Response{Description: "Server-sent events: state whenever something has changed, and end as the last",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeArray, Description: "One item for each event",
			Items: &huma.Schema{Type: huma.TypeObject, Required: []string{"event", "data"}, Properties: map[string]*huma.Schema{
				"event": {Type: huma.TypeString, Enum: []any{"state", "end"}}, "data": schema}}}}}}
}

func (s *Server) problems() *huma.Response {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[client.Problem](), true, "Problem")
	return &huma.Response{Description: "Problem (RFC 9457)", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}}
}
