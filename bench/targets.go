package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// crowdRoom is a project whose audience is a crowd.
type crowdRoom struct {
	*newsroom
	crowd crowd
}

// Projects of the town of crowds.
const (
	crowdAll    = iota
	crowdPeered // asked about beside databases
	crowdFew    // with few attributes
	crowds
)

// crowded makes a project, of the town of crowds, that takes all their providers.
func (l *lab) crowded(ctx context.Context, project, size int) (*crowdRoom, error) {
	t, err := l.town(ctx, "crowd", crowds)
	if err != nil {
		return nil, err
	}
	n := &newsroom{town: t}
	request := t.sim.setup.Projects[project]
	for i := range request.Credentials {
		request.Credentials[i].Quota = unlimited
	}
	if n.project, err = t.admin.CreateProject(ctx, request); err != nil {
		return nil, t.failure(err)
	}
	return &crowdRoom{n, crowd{seed: 5 + uint64(project), size: size, now: time.Now().Truncate(time.Second)}}, n.connect()
}

// connect is for a node that has just started.
func (n *newsroom) connect() (err error) {
	n.api, err = client.New(client.Config{URL: n.town.url, Key: n.project.Key})
	return err
}

// Import is people who came in over the import API.
type Import struct {
	People     int     `json:"people"`
	Attributes int     `json:"attributes"`
	Bytes      int64   `json:"bytes"`
	Durable    float64 `json:"durable"`       // seconds until the import was acknowledged
	Targetable float64 `json:"targetable"`    // until a count had all of them
	Node       float64 `json:"node_cpu_us"`   // a subscription
	Client     float64 `json:"client_cpu_us"` // a subscription
}

func (r *Import) rate() float64 { return float64(r.People) / r.Targetable }

// enter imports people, into a project that has none.
func (n *crowdRoom) enter(ctx context.Context, s *crowdStream) (r Import, err error) {
	r = Import{People: s.to - s.from, Attributes: s.attributes}
	work, err := startWork(n.town.pid, os.Getpid())
	if err != nil {
		return r, err
	}
	opened, err := n.api.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		return r, err
	}
	done, err := n.api.Upload(ctx, opened, s, nil)
	if err != nil {
		return r, err
	}
	if done.Imported != int64(r.People) {
		return r, fmt.Errorf("%d of %d subscriptions, bad lines %v", done.Imported, r.People, done.BadLines)
	}
	r.Durable, r.Bytes = time.Since(work.begin).Seconds(), done.Offset
	all, err := n.api.Count(ctx, client.Target{Query: []byte(`{}`)})
	if err != nil {
		return r, err
	}
	taken := time.Since(work.begin)
	if r.Targetable = taken.Seconds(); all.Matched != int64(r.People) {
		return r, fmt.Errorf("%d subscriptions where %d were imported", all.Matched, r.People)
	}
	side, err := work.side(r.People, taken)
	r.Node, r.Client = side.Sender, side.Server
	progress("  imported %s people in %.1f s, %s a second, %.1f us of the node and %.1f us of the client each", whole(float64(r.People)),
		r.Targetable, whole(r.rate()), r.Node, r.Client)
	return r, err
}

// Deeds are events that came in over the import API.
type Deeds struct {
	Events  int     `json:"events"`
	Seconds float64 `json:"seconds"`     // until a count had the last of them
	Node    float64 `json:"node_cpu_us"` // an event
}

// tell imports what a crowd did.
func (n *crowdRoom) tell(ctx context.Context) (r Deeds, err error) {
	work, err := startWork(n.town.pid, os.Getpid())
	if err != nil {
		return r, err
	}
	opened, err := n.api.OpenEventImport(ctx, client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		return r, err
	}
	s := &crowdStream{crowd: &n.crowd, to: n.crowd.size, deeds: true}
	done, err := n.api.Upload(ctx, opened, s, nil)
	if err != nil {
		return r, err
	}
	if r.Events = s.told; done.Imported != int64(s.told) {
		return r, fmt.Errorf("%d of %d events, bad lines %v", done.Imported, s.told, done.BadLines)
	}
	if _, err := n.api.Count(ctx, client.Target{Query: []byte(`{"event":{"name":"bought"}}`)}); err != nil {
		return r, err
	}
	taken := time.Since(work.begin)
	side, err := work.side(s.told, taken)
	r.Seconds, r.Node = taken.Seconds(), side.Sender
	progress("  imported %s events in %.1f s, %s a second", whole(float64(s.told)), r.Seconds, whole(float64(s.told)/r.Seconds))
	return r, err
}
