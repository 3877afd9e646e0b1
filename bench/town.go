package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// town is a simulator and a node that sends to it, each in a process of its
// own, with the projects that were opened so far.
type town struct {
	*child // the node
	name   string
	sim    *simulator
	dir    string
	url    string
	admin  *client.Client
	rooms  map[int]*newsroom
}

// newsroom is a project with an imported audience and one provider.
type newsroom struct {
	town    *town
	people  audience
	project client.Project
	api     *client.Client
}

// nodeReady is what the node says when it is up.
type nodeReady struct {
	URL          string `json:"url"`
	AdminKeyFile string `json:"admin_key_file"`
}

// town returns the one of a name, started at its first use with credentials
// for so many projects. One is up at a time: others are left.
func (l *lab) town(ctx context.Context, name string, projects int) (*town, error) {
	if l.at != nil && l.at.name == name {
		return l.at, nil
	}
	if err := l.leave(); err != nil {
		return nil, err
	}
	t := &town{name: name, dir: filepath.Join(l.dir, name), rooms: map[int]*newsroom{}}
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if t.sim, err = startSimulator(ctx, t.dir, projects); err != nil {
		return nil, err
	}
	l.children = append(l.children, t.sim.child)
	var up nodeReady
	if t.child, err = startPart(ctx, t.dir, partNode, []string{filepath.Join(t.dir, "data")}, &up); err != nil {
		return nil, err
	}
	l.children = append(l.children, t.child)
	l.at = t
	return t, t.enter(up)
}

func (t *town) enter(up nodeReady) error {
	key, err := os.ReadFile(up.AdminKeyFile)
	if err != nil {
		return err
	}
	t.url = up.URL
	t.admin, err = client.New(client.Config{URL: up.URL, Key: strings.TrimSpace(string(key))})
	return err
}

// leave stops the town that nobody needs any more.
func (l *lab) leave() error {
	t := l.at
	if t == nil {
		return nil
	}
	l.at = nil
	return errors.Join(l.end(t.child), l.end(t.sim.child), os.RemoveAll(t.dir))
}

// stepLimit bounds an import and a send.
const stepLimit = 5 * time.Minute

// open returns the newsroom of a project of the simulator, made at its first use.
func (t *town) open(ctx context.Context, people audience, quota int) (*newsroom, error) {
	if n := t.rooms[people.project]; n != nil {
		return n, nil
	}
	n, err := t.make(ctx, people, quota)
	if err == nil {
		t.rooms[people.project] = n
	}
	return n, err
}

// make creates a project, imports the audience, and sends one push, so that its
// connections are up. The quota, in pushes a minute, is the one configured; 0 is
// the provider's default.
func (t *town) make(ctx context.Context, people audience, quota int) (*newsroom, error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	request := t.sim.setup.Projects[people.project]
	request.Credentials = slices.DeleteFunc(slices.Clone(request.Credentials),
		func(c client.CredentialRequest) bool { return c.Provider != people.provider })
	request.Credentials[0].Quota = quota
	n := &newsroom{town: t, people: people}
	var err error
	if n.project, err = t.admin.CreateProject(ctx, request); err != nil {
		return nil, err
	}
	if n.api, err = client.New(client.Config{URL: t.url, Key: n.project.Key}); err != nil {
		return nil, err
	}
	if err := n.populate(ctx); err != nil {
		return nil, fmt.Errorf("import: %w", t.failure(err))
	}
	if _, err := n.finish(ctx, client.SendRequest{Class: tocsin.Urgent, Target: client.Target{Recipients: []client.Recipient{{User: user(0)}}}, Message: news}); err != nil {
		return nil, fmt.Errorf("first push: %w", t.failure(err))
	}
	return n, nil
}

// populate imports the audience.
func (n *newsroom) populate(ctx context.Context) error {
	stream, err := os.Create(filepath.Join(n.town.dir, fmt.Sprintf("audience-%d.ndjson", n.people.project)))
	if err != nil {
		return err
	}
	defer os.Remove(stream.Name())
	defer stream.Close()
	if err := n.people.write(stream); err != nil {
		return err
	}
	begin := time.Now()
	opened, err := n.api.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		return err
	}
	done, err := n.api.Upload(ctx, opened, stream, nil)
	if err != nil {
		return err
	}
	if done.Imported != int64(n.people.size) {
		return fmt.Errorf("%d of %d subscriptions, bad lines %v", done.Imported, n.people.size, done.BadLines)
	}
	if n.people.size >= 100_000 {
		taken := time.Since(begin)
		progress("  imported %d subscriptions in %.1f s, %.0f a second", n.people.size, taken.Seconds(), float64(n.people.size)/taken.Seconds())
	}
	return nil
}

// finish sends and returns the send when every push has its outcome.
func (n *newsroom) finish(ctx context.Context, r client.SendRequest) (*client.Send, error) {
	made, err := n.api.Send(ctx, r, "")
	if err != nil {
		return nil, err
	}
	return n.ended(ctx, made.ID)
}

// ended waits for a send.
func (n *newsroom) ended(ctx context.Context, id tocsin.SendID) (*client.Send, error) {
	var last client.Send
	for now, err := range n.api.WatchSend(ctx, id) {
		if err != nil {
			return nil, err
		}
		last = now
	}
	return &last, nil
}
