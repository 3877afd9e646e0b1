package cli

import (
	"fmt"
	"io"
	"math"

	"github.com/tocsin-push/tocsin/client"
)

type stats struct {
	remote
}

func (c *stats) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.Stats(s.ctx)
	if err != nil {
		return err
	}
	return c.print(s, found, func(w io.Writer) { printStats(w, found) })
}

// printStats writes bytes, and bytes for each subscription.
func printStats(w io.Writer, f client.Stats) {
	row := func(bytes, subscriptions int64, name string) {
		fmt.Fprintf(w, "%15d %8.1f  %s\n", bytes, float64(bytes)/float64(max(subscriptions, 1)), name)
	}
	fmt.Fprintf(w, "%15s %8s  %d subscriptions\n", "bytes", "each", f.Subscriptions)
	row(f.Resident, f.Subscriptions, "resident")
	row(f.Audience, f.Subscriptions, "audience")
	row(f.Heap-f.Audience, f.Subscriptions, "other objects of Go, garbage included")
	row(f.Unused, f.Subscriptions, "kept by Go for objects to come")
	row(f.Overhead, f.Subscriptions, "stacks, and what Go knows of its memory")
	limit := "none"
	if f.MemoryLimit < math.MaxInt64 {
		limit = fmt.Sprint(f.MemoryLimit)
	}
	fmt.Fprintf(w, "collections %d, GOGC %d, GOMEMLIMIT %s\n", f.Collections, f.GCPercent, limit)
	for _, p := range f.Projects {
		fmt.Fprintf(w, "\nproject %s, %d subscriptions\n", p.Project, p.Subscriptions)
		for _, part := range p.Parts {
			if part.Bytes > 0 {
				name := part.Kind
				if part.Name != "" {
					name += " " + part.Name
				}
				row(part.Bytes, p.Subscriptions, name)
			}
		}
	}
}
