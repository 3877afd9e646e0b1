package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/target"
)

type SegmentPath struct {
	Segment string `path:"segment" maxLength:"64" pattern:"^[a-z0-9_]+$"`
}

func (s *Server) segmentRoutes() {
	write, read := access{scope: account.Audience}, access{scope: account.Read}
	const path = "/v1/segments/{segment}"
	route(s, operation{id: "list-segments", method: http.MethodGet, path: "/v1/segments", tag: "Segments",
		summary: "List all segments, by name", need: read}, s.listSegments)
	route(s, operation{id: "get-segment", method: http.MethodGet, path: path, tag: "Segments", summary: "Read a segment", need: read}, s.getSegment)
	route(s, operation{id: "put-segment", method: http.MethodPut, path: path, tag: "Segments",
		summary: "Save a target with a name, or change the one that has it", need: write}, s.putSegment)
	route(s, operation{id: "delete-segment", method: http.MethodDelete, path: path, tag: "Segments",
		summary: "Delete a segment that no other one uses; sends that were accepted keep it", status: http.StatusNoContent, need: write}, s.deleteSegment)
	route(s, operation{id: "segment-sizes", method: http.MethodGet, path: path + "/sizes", tag: "Segments",
		summary: "How large a segment was in each hour, for 90 days, and is now", need: read}, s.segmentSizes)
}

func (rows segmentRows) body(at int) client.Segment {
	r := &rows[at]
	return client.Segment{Name: r.Name, Query: r.Query, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy,
		Uses: r.uses(), UsedBy: rows.users(r.Name, false)}
}

func (s *Server) listSegments(ctx context.Context, _ *struct{}) (*body[client.Segments], error) {
	rows, _, err := s.segments(ctx, caller(ctx).Project)
	if err != nil {
		return nil, err
	}
	out := &body[client.Segments]{client.Segments{Segments: []client.Segment{}}}
	for i := range rows {
		r := &rows[i]
		out.Body.Segments = append(out.Body.Segments, client.Segment{Name: r.Name, Query: r.Query, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
			UpdatedBy: r.UpdatedBy, Uses: r.uses()})
	}
	return out, nil
}

func (s *Server) getSegment(ctx context.Context, in *SegmentPath) (*body[client.Segment], error) {
	rows, _, err := s.segments(ctx, caller(ctx).Project)
	if err != nil {
		return nil, err
	}
	at, ok := rows.find(in.Segment)
	if !ok {
		return nil, notFound("segment")
	}
	return &body[client.Segment]{rows.body(at)}, nil
}

func (s *Server) putSegment(ctx context.Context, in *struct {
	SegmentPath
	Body client.SegmentRequest
}) (*body[client.Segment], error) {
	c, now, name := caller(ctx), s.Now().UTC(), in.Segment
	var out client.Segment
	err := s.editSegments(ctx, c.Project, func(rows segmentRows) (segmentRows, error) {
		q, err := rows.library(s.Target).Define(name, in.Body.Query)
		if err == nil {
			err = s.sets(ctx, c.Project, q)
		}
		if about := new(target.Error); errors.As(err, &about) { // not a target's
			return nil, invalid(about.Path, strings.TrimPrefix(about.Error(), about.Path+": "))
		}
		if err != nil {
			return nil, err
		}
		row := segmentRow{Name: name, Query: []byte(q.String()), CreatedAt: now, UpdatedAt: now, UpdatedBy: c.Key}
		at, ok := rows.find(name)
		switch {
		case !ok && len(rows) == s.Segments:
			return nil, fail(http.StatusConflict, "limit", fmt.Sprintf("the project has %d segments already", s.Segments))
		case !ok:
			rows = slices.Insert(rows, at, row)
		case string(rows[at].Query) != string(row.Query):
			row.CreatedAt = rows[at].CreatedAt
			rows[at] = row
		}
		out = rows.body(at)
		return rows, s.fitSegments(rows, name)
	})
	return &body[client.Segment]{out}, err
}

// fitSegments refuses a change of one segment after which they are too long
// together, or another one that leads to it could not be used any more.
func (s *Server) fitSegments(rows segmentRows, changed string) error {
	bytes := 0
	for i := range rows {
		bytes += len(rows[i].Query)
	}
	if bytes > maxDefinitions {
		return fail(http.StatusConflict, "limit", fmt.Sprintf("the segments of the project would have %d bytes together, want at most %d", bytes, maxDefinitions))
	}
	library := rows.library(s.Target)
	for _, user := range rows.users(changed, true) {
		definition, _ := rows.definition(user)
		if _, err := library.Define(user, definition); err != nil {
			return invalid("query", fmt.Sprintf("segment %s, which uses it, could not be used any more: %v", user, err))
		}
	}
	return nil
}

func (s *Server) deleteSegment(ctx context.Context, in *SegmentPath) (*empty, error) {
	tried := false
	return nil, s.editSegments(ctx, caller(ctx).Project, func(rows segmentRows) (segmentRows, error) {
		at, ok := rows.find(in.Segment)
		switch users := rows.users(in.Segment, false); {
		case !ok && tried: // it was gone when it was looked for again
			return rows, nil
		case !ok:
			return nil, notFound("segment")
		case len(users) > 0:
			return nil, fail(http.StatusConflict, "in_use", "used by the segments "+strings.Join(users, ", "))
		}
		tried = true
		return slices.Delete(rows, at, at+1), nil
	})
}
