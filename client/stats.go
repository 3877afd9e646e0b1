package client

import "github.com/tocsin-push/tocsin"

// Stats is where the memory of a node goes.
type Stats struct {
	Subscriptions int64          `json:"subscriptions" doc:"Live ones of all projects"`
	Resident      int64          `json:"resident" doc:"Bytes of the process in memory, as the system counts them; 0 where it does not tell"`
	Audience      int64          `json:"audience" doc:"Bytes of what is kept of subscriptions and people: the sum of projects"`
	Heap          int64          `json:"heap" doc:"Bytes in use by Go objects, garbage that was not collected yet included; the audience is part of it"`
	Live          int64          `json:"live" doc:"Bytes of Go objects that the last collection found in use"`
	Unused        int64          `json:"unused" doc:"Bytes that Go keeps for objects to come"`
	Overhead      int64          `json:"overhead" doc:"Bytes of stacks and of what Go knows of its memory"`
	Collections   int64          `json:"collections" doc:"Of garbage, since the start"`
	GCPercent     int64          `json:"gc_percent" doc:"The next collection comes when the heap has grown by this share; follows the size of the heap"`
	MemoryLimit   int64          `json:"memory_limit" doc:"GOMEMLIMIT in bytes; 9223372036854775807 is none"`
	Projects      []ProjectStats `json:"projects"`
}

// ProjectStats is what one project costs, over all shards.
type ProjectStats struct {
	Project       tocsin.ProjectID `json:"project"`
	Subscriptions int64            `json:"subscriptions"`
	Parts         []PartStats      `json:"parts" doc:"The largest first"`
}

// PartStats is the memory of one part.
type PartStats struct {
	Kind  string `json:"kind" enum:"addresses,ids,rows,people,named,events,moves,attribute,tags" doc:"addresses; ids: identifiers, and the tables that find subscriptions; rows: times, versions and routes; people; named: lists, segments and who opened which send; events; moves between shards; one attribute or native field; one set of tags"`
	Name  string `json:"name,omitempty" doc:"Of the attribute or set"`
	Bytes int64  `json:"bytes"`
}
