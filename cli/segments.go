package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

type segments struct {
	List   segmentList   `cmd:"" default:"withargs" help:"List all segments, by name."`
	Set    segmentSet    `cmd:"" help:"Save a target with a name, or change the one that has it."`
	Delete segmentDelete `cmd:"" help:"Delete a segment that no other one uses."`
	Sizes  segmentSizes  `cmd:"" help:"How large a segment was in each hour, and is now."`
}

type segmentList struct{ remote }

func (c *segmentList) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	all, err := api.Segments(s.ctx)
	if err != nil {
		return err
	}
	return c.print(s, all, func(w io.Writer) {
		for _, one := range all.Segments {
			printSegment(w, one)
		}
	})
}

func printSegment(w io.Writer, one client.Segment) {
	fmt.Fprintf(w, "%-24s  %s  %s\n", one.Name, one.UpdatedAt.Format(time.RFC3339), one.Query)
}

type segmentSet struct {
	remote
	Name  string `arg:"" help:"Of a-z, 0-9 and _."`
	Query string `arg:"" help:"Target query, as JSON or a file of it." placeholder:"JSON"`
}

func (c *segmentSet) Run(s *session) error {
	var query json.RawMessage
	if err := readJSON(c.Query, &query); err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	now, err := api.PutSegment(s.ctx, c.Name, query)
	if err != nil {
		return err
	}
	return c.print(s, now, func(w io.Writer) {
		printSegment(w, now)
		if len(now.UsedBy) > 0 {
			fmt.Fprintf(w, "used by %s\n", strings.Join(now.UsedBy, ", "))
		}
	})
}

type segmentDelete struct {
	remote
	Name string `arg:""`
}

func (c *segmentDelete) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return api.DeleteSegment(s.ctx, c.Name)
}

type segmentSizes struct {
	remote
	Name  string        `arg:""`
	Since time.Duration `help:"How far back." default:"168h"`
}

func (c *segmentSizes) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.SegmentSizes(s.ctx, c.Name, time.Now().Add(-c.Since))
	if err != nil {
		return err
	}
	return c.print(s, found, func(w io.Writer) {
		for _, one := range found.Sizes {
			fmt.Fprintf(w, "%s %12d  %12d opted out\n", one.At.Format(time.RFC3339), one.Count, one.Matched-one.Count)
		}
	})
}
