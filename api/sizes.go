package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/store"
)

// sizeTable holds how large segments were: a partition for each, a row an hour.
const (
	sizeTable = "segment_size"
	sizeLife  = 90 * 24 * time.Hour
)

// sizePlace is the partition of a segment; one that is made again under the name
// of another has its own.
func sizePlace(project tocsin.ProjectID, r *segmentRow) store.Place {
	return store.Place{Table: sizeTable, Partition: fmt.Sprintf("%s/%s/%d", project, r.Name, r.CreatedAt.UnixNano())}
}

func sizeKey(at time.Time) string { return fmt.Sprintf("%012d", at.Unix()) }

// sampleSizes notes at each full hour how large all segments are, until ctx ends. It takes about a tenth of the machine's time at
// most: an hour that is not over when the next begins takes that one's place.
func (s *Server) sampleSizes(ctx context.Context) {
	for {
		now := s.Now()
		select {
		case <-time.After(now.Truncate(time.Hour).Add(time.Hour).Sub(now)):
		case <-ctx.Done():
			return
		}
		if err := s.sampleAll(ctx, 9); err != nil && ctx.Err() == nil {
			s.Log.Warn("sizes of segments are not noted for this hour", "error", err)
		}
	}
}

// sampleAll notes the sizes of all segments of all projects. After each it rests
// so many times as long as that took.
func (s *Server) sampleAll(ctx context.Context, rest int) error {
	const page = 100
	for after := (tocsin.ProjectID{}); ; {
		projects, err := s.Accounts.Projects(ctx, after, page)
		if err != nil {
			return err
		}
		for _, p := range projects {
			rows, _, err := s.segments(ctx, p.ID)
			if err != nil {
				return err
			}
			for i := range rows {
				began := time.Now()
				if err := s.noteSize(ctx, p.ID, rows, &rows[i]); err != nil {
					return err
				}
				select {
				case <-time.After(time.Duration(rest) * time.Since(began)):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		if len(projects) < page {
			return nil
		}
		after = projects[page-1].ID
	}
}

// noteSize notes the size of one segment for this hour.
func (s *Server) noteSize(ctx context.Context, project tocsin.ProjectID, rows segmentRows, r *segmentRow) error {
	t, err := s.segmentTarget(rows, r)
	if err == nil {
		_, err = s.afford(ctx, project, t, false)
	}
	var refused failure
	if errors.As(err, &refused) { // too dear, or its limits have changed: there is no size
		return nil
	}
	if err != nil {
		return err
	}
	size, err := s.sizeOf(ctx, project, t)
	if err != nil {
		return err
	}
	size.At = size.At.Truncate(time.Hour)
	value, err := json.Marshal(size)
	if err != nil {
		return err
	}
	return s.Store.Write(ctx, sizePlace(project, r), store.Write{Key: sizeKey(size.At), Value: value, Version: uint64(s.Now().UnixNano()), Expires: size.At.Add(sizeLife)})
}

// segmentTarget is everybody in a segment now.
func (s *Server) segmentTarget(rows segmentRows, r *segmentRow) (ask.Target, error) {
	q, err := rows.library(s.Target).Parse(fmt.Appendf(nil, `{"segment":%q}`, r.Name))
	if err != nil { // limits were others when it was saved
		return ask.Target{}, invalid("path.segment", err.Error())
	}
	return ask.Target{At: s.Now().UTC(), Query: q}, nil
}

func (s *Server) sizeOf(ctx context.Context, project tocsin.ProjectID, t ask.Target) (client.SegmentSize, error) {
	count, err := s.Ask.Count(ctx, project, t)
	return client.SegmentSize{At: t.At, Count: int64(count.Reachable), Matched: int64(count.Matched)}, err
}

func (s *Server) segmentSizes(ctx context.Context, in *struct {
	SegmentPath
	Since time.Time `query:"since" doc:"Only from then on"`
}) (*body[client.SegmentSizes], error) {
	project := caller(ctx).Project
	rows, _, err := s.segments(ctx, project)
	if err != nil {
		return nil, err
	}
	at, ok := rows.find(in.Segment)
	if !ok {
		return nil, notFound("segment")
	}
	from := ""
	if in.Since.Unix() > 0 {
		from = sizeKey(in.Since)
	}
	found, err := s.Store.Scan(ctx, sizePlace(project, &rows[at]), from, "", int(sizeLife/time.Hour)+1)
	if err != nil {
		return nil, err
	}
	out := &body[client.SegmentSizes]{}
	for _, row := range found {
		var size client.SegmentSize
		if err := json.Unmarshal(row.Value, &size); err != nil {
			return nil, err
		}
		out.Body.Sizes = append(out.Body.Sizes, size)
	}
	t, err := s.segmentTarget(rows, &rows[at])
	if err == nil {
		err = s.fresh(ctx)
	}
	if err != nil {
		return nil, err
	}
	err = s.ponder(ctx, project, t, counting, func() error {
		now, err := s.sizeOf(ctx, project, t)
		out.Body.Sizes = append(out.Body.Sizes, now)
		return err
	})
	return out, err
}
