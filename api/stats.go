package api

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/client"
)

func (s *Server) statsRoutes() {
	route(s, operation{id: "stats", method: http.MethodGet, path: "/v1/stats", tag: "Node",
		summary: "Where the memory of the node goes", need: access{scope: account.Admin, platform: true}}, s.stats)
}

func (s *Server) stats(ctx context.Context, _ *struct{}) (*body[client.Stats], error) {
	if err := platformOnly(ctx); err != nil {
		return nil, err
	}
	out := runtimeStats()
	parts := make(map[tocsin.ProjectID]map[client.PartStats]int64)
	subscriptions := make(map[tocsin.ProjectID]int64)
	all := make([][]ask.Sizes, s.Shards)
	if err := s.Ask.All(func(shard tocsin.Shard) (err error) {
		all[shard], err = s.Ask[shard].Sizes(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	for _, sizes := range all {
		for _, z := range sizes {
			if parts[z.Project] == nil {
				parts[z.Project] = make(map[client.PartStats]int64)
			}
			of := parts[z.Project]
			for kind, size := range map[string]int{"addresses": z.Addresses, "ids": z.IDs, "rows": z.Rows, "people": z.People, "named": z.Named, "events": z.Events, "moves": z.Moves} {
				of[client.PartStats{Kind: kind}] += int64(size)
			}
			for _, part := range z.Known {
				kind := "attribute"
				if part.Set {
					kind = "tags"
				}
				of[client.PartStats{Kind: kind, Name: part.Name}] += int64(part.Bytes)
			}
			subscriptions[z.Project] += int64(z.Subscriptions)
		}
	}
	for project, of := range parts {
		one := client.ProjectStats{Project: project, Subscriptions: subscriptions[project]}
		for part, size := range of {
			out.Audience += size
			part.Bytes = size
			one.Parts = append(one.Parts, part)
		}
		slices.SortFunc(one.Parts, func(a, b client.PartStats) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
		})
		out.Subscriptions += one.Subscriptions
		out.Projects = append(out.Projects, one)
	}
	slices.SortFunc(out.Projects, func(a, b client.ProjectStats) int {
		return cmp.Or(cmp.Compare(b.Subscriptions, a.Subscriptions), bytes.Compare(a.Project[:], b.Project[:]))
	})
	return &body[client.Stats]{out}, nil
}

// runtimeStats is what Go and the system tell of this process.
func runtimeStats() client.Stats {
	out := client.Stats{Projects: []client.ProjectStats{}, Resident: resident()}
	for name, to := range map[string]*int64{
		"/memory/classes/heap/objects:bytes": &out.Heap, "/gc/heap/live:bytes": &out.Live,
		"/memory/classes/heap/free:bytes": &out.Unused, "/memory/classes/heap/unused:bytes": &out.Unused,
		"/memory/classes/heap/stacks:bytes": &out.Overhead, "/memory/classes/os-stacks:bytes": &out.Overhead,
		"/memory/classes/metadata/mspan/inuse:bytes": &out.Overhead, "/memory/classes/metadata/mspan/free:bytes": &out.Overhead,
		"/memory/classes/metadata/mcache/inuse:bytes": &out.Overhead, "/memory/classes/metadata/other:bytes": &out.Overhead,
		"/memory/classes/profiling/buckets:bytes": &out.Overhead, "/memory/classes/other:bytes": &out.Overhead,
		"/gc/cycles/total:gc-cycles": &out.Collections, "/gc/gogc:percent": &out.GCPercent, "/gc/gomemlimit:bytes": &out.MemoryLimit,
	} {
		sample := []metrics.Sample{{Name: name}}
		if metrics.Read(sample); sample[0].Value.Kind() == metrics.KindUint64 {
			*to += int64(sample[0].Value.Uint64())
		}
	}
	return out
}

// resident is the second number of /proc/self/statm, in pages (proc_pid_statm(5)).
func resident() int64 {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
