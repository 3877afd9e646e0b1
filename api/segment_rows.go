package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/target"
)

// segmentTable holds one row a project, written conditionally: all of its
// segments. So whoever changes one has seen all others as they are, and no cycle
// comes about by two who change at the same time.
const (
	segmentTable = "segment"
	segmentKey   = "all"

	// maxDefinitions is how long the queries of a project's segments are together:
	// a row of the store holds them.
	maxDefinitions = 512 << 10
)

// segmentRow is one segment.
type segmentRow struct {
	Name      string          `json:"name"`
	Query     json.RawMessage `json:"query"` // as it prints
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	UpdatedBy tocsin.KeyID    `json:"updated_by"`
}

// segmentRows are those of a project, by name.
type segmentRows []segmentRow

func segmentPlace(project tocsin.ProjectID) store.Place {
	return store.Place{Table: segmentTable, Partition: project.String()}
}

// segments reads all of a project, and the row as it stands.
func (s *Server) segments(ctx context.Context, project tocsin.ProjectID) (rows segmentRows, stored []byte, err error) {
	found, err := s.Store.GetLatest(ctx, segmentPlace(project), segmentKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err == nil {
		err = json.Unmarshal(found.Value, &rows)
	}
	return rows, found.Value, err
}

// editSegments changes the segments of a project as edit says, which may be asked
// again when somebody else changed them meanwhile.
func (s *Server) editSegments(ctx context.Context, project tocsin.ProjectID, edit func(segmentRows) (segmentRows, error)) error {
	for {
		rows, stored, err := s.segments(ctx, project)
		if err != nil {
			return err
		}
		if rows, err = edit(rows); err != nil {
			return err
		}
		value, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			value = nil
		}
		if bytes.Equal(value, stored) {
			return nil
		}
		// One who does not know whether it was written looks again, and finds that
		// there is nothing to do.
		if done, _, err := s.Store.PutIf(ctx, segmentPlace(project), segmentKey, stored, value, time.Time{}); done || err != nil && !errors.Is(err, store.ErrAmbiguous) {
			return err
		}
	}
}

func (rows segmentRows) find(name string) (at int, ok bool) {
	return slices.BinarySearchFunc(rows, name, func(r segmentRow, name string) int { return cmp.Compare(r.Name, name) })
}

// library reads queries with the segments of a project.
func (rows segmentRows) library(limits target.Config) *target.Library {
	return target.NewLibrary(limits, rows.definition, rows.names)
}

func (rows segmentRows) definition(name string) ([]byte, bool) {
	if at, ok := rows.find(name); ok {
		return rows[at].Query, true
	}
	return nil, false
}

func (rows segmentRows) names() []string {
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].Name
	}
	return names
}

// uses are the segments that a stored query names itself, in order.
func (r *segmentRow) uses() (names []string) {
	q, err := target.Parse(target.Widest(), r.Query)
	if err != nil {
		return nil // of a newer build
	}
	for m := range q.Named() {
		if m.Field == target.Segment {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

// users are the segments whose queries name one, in order; all of them, by
// whatever way they lead to it, or those alone that name it themselves.
func (rows segmentRows) users(name string, all bool) (users []string) {
	uses := make(map[string][]string, len(rows))
	for i := range rows {
		uses[rows[i].Name] = rows[i].uses()
	}
	for found := []string{name}; len(found) > 0; found = found[1:] {
		for _, other := range rows.names() {
			if slices.Contains(uses[other], found[0]) && !slices.Contains(users, other) {
				users = append(users, other)
				if all {
					found = append(found, other)
				}
			}
		}
	}
	slices.Sort(users)
	return users
}

// queryReader reads and checks the query of a target.
type queryReader func(text []byte) (*target.Query, error)

// reader reads with the segments of a project as they are now: whatever becomes
// of them later, a query means what it means now.
func (s *Server) reader(ctx context.Context, project tocsin.ProjectID) queryReader {
	return func(text []byte) (*target.Query, error) { return s.query(ctx, project, text) }
}

func (s *Server) query(ctx context.Context, project tocsin.ProjectID, text []byte) (*target.Query, error) {
	var rows segmentRows // once they are asked for
	var failed error
	asked := func() segmentRows {
		if rows == nil && failed == nil {
			rows, _, failed = s.segments(ctx, project)
		}
		return rows
	}
	q, err := target.NewLibrary(s.Target, func(name string) ([]byte, bool) { return asked().definition(name) },
		func() []string { return asked().names() }).Parse(text)
	if failed != nil {
		return nil, failed
	}
	if err == nil {
		err = s.sets(ctx, project, q)
	}
	return q, err
}
