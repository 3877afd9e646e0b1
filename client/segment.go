package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Segment is a target that was saved with a name. {"segment": "name"} in a query
// stands for its own.
type Segment struct {
	Name      string          `json:"name"`
	Query     json.RawMessage `json:"query" doc:"As it prints: each operator written out"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	UpdatedBy tocsin.KeyID    `json:"updated_by" doc:"The key that wrote the query"`
	Uses      []string        `json:"uses,omitempty" doc:"Segments that its query names"`
	UsedBy    []string        `json:"used_by,omitempty" doc:"Segments whose queries name it"`
}

// SegmentRequest is what a segment is to be.
type SegmentRequest struct {
	Query json.RawMessage `json:"query" doc:"As in a target; it may name other segments, not itself, nor one that leads back to it"`
}

// Segments are all of a project, by name.
type Segments struct {
	Segments []Segment `json:"segments"`
}

// SegmentSize is how large a segment was at a moment.
type SegmentSize struct {
	At      time.Time `json:"at"`
	Count   int64     `json:"count" doc:"Would get a message: opted in"`
	Matched int64     `json:"matched" doc:"Those who opted out included"`
}

// SegmentSizes are the sizes of a segment over time, the oldest first: of each
// hour for 90 days, and last of now.
type SegmentSizes struct {
	Sizes []SegmentSize `json:"sizes"`
}

func segmentPath(name string) string { return "/v1/segments/" + url.PathEscape(name) }

// Segments reads all segments of the project.
func (c *Client) Segments(ctx context.Context) (s Segments, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/segments"}, &s)
	return s, err
}

// Segment reads one segment.
func (c *Client) Segment(ctx context.Context, name string) (s Segment, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: segmentPath(name)}, &s)
	return s, err
}

// PutSegment makes a segment, or changes its query.
func (c *Client) PutSegment(ctx context.Context, name string, query json.RawMessage) (s Segment, err error) {
	err = c.do(ctx, call{method: http.MethodPut, path: segmentPath(name), body: SegmentRequest{query}}, &s)
	return s, err
}

// DeleteSegment deletes a segment that no other one uses.
func (c *Client) DeleteSegment(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: segmentPath(name)}, nil)
}

// SegmentSizes reads how large a segment was since a time, and is.
func (c *Client) SegmentSizes(ctx context.Context, name string, since time.Time) (s SegmentSizes, err error) {
	query := url.Values{}
	if !since.IsZero() {
		query.Set("since", since.UTC().Format(time.RFC3339))
	}
	err = c.do(ctx, call{method: http.MethodGet, path: segmentPath(name) + "/sizes", query: query}, &s)
	return s, err
}
