package node_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// town is a node and simulated providers, and a project that uses them.
type town struct {
	*testing.T
	config  node.Config
	sim     *sim.Sim
	log     lines
	url     string
	stop    func() // ends the node, and returns when it has
	project client.Project
	admin   *client.Client // of the platform
	api     *client.Client // of the project
	persons map[int]tocsin.SubscriptionID
	slowest time.Duration // answer to trace
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newTown starts everything and makes one project with all credentials.
func newTown(t *testing.T, change func(*node.Config, *sim.Config)) *town {
	t.Helper()
	town := &town{T: t, config: node.Default(), persons: map[int]tocsin.SubscriptionID{}}
	town.config.Dir, town.config.Listen = t.TempDir(), "127.0.0.1:0"
	providers := sim.Default()
	providers.DecryptEvery = 1
	if change != nil {
		change(&town.config, &providers)
	}
	var err error
	if town.sim, err = sim.Start(providers, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(town.sim.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(town.log.String())
		}
	})
	town.start()
	if town.project, err = town.admin.CreateProject(t.Context(), town.sim.Setup().Projects[0]); err != nil {
		t.Fatal(err)
	}
	town.api = town.client(town.project.Key)
	return town
}

// start starts the node on its folder, for the first time or again.
func (t *town) start() {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan node.Up, 1), make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, t.config, slog.New(slog.NewTextHandler(&t.log, nil)), func(up node.Up) { ready <- up })
	}()
	select {
	case up := <-ready:
		key, err := os.ReadFile(up.AdminKeyFile)
		if err != nil {
			t.Fatal(err)
		}
		t.url = up.URL
		t.admin = t.client(strings.TrimSpace(string(key)))
	case err := <-ended:
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.stop = stop
	t.Cleanup(stop)
	if t.project.Key != "" {
		t.api = t.client(t.project.Key)
	}
}

func (t *town) client(key string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: t.url, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// token is the address of person n, the same for APNs and FCM.
func token(n int) string { return fmt.Sprintf("%064x", n+1) }

// populate imports people of one provider: person-0, person-1 and so on.
func (t *town) populate(p tocsin.Provider, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"provider":"%s","token":"%s","user":"person-%d"}`+"\n", p, token(i), i)
	}
	t.load(b.String(), n)
}

// newsroom imports a seeded population that one provider reaches.
func (t *town) newsroom(p tocsin.Provider, n int) {
	t.Helper()
	people := sim.Population{Seed: 1, Size: n, Topic: sim.Topic(0), Now: time.Now(), Mix: map[tocsin.Provider]sim.Mix{
		tocsin.APNs: {APNs: 1}, tocsin.FCM: {FCM: 1}, tocsin.WebPush: {}}[p]}
	for _, c := range t.sim.Setup().Projects[0].Credentials {
		if c.Provider == tocsin.WebPush {
			people.Origin = c.Endpoints[0].Origin
		}
	}
	var text []byte
	for member := range people.All() {
		text = member.AppendLine(text)
	}
	t.load(string(text), n)
}

func (t *town) load(text string, n int) {
	t.Helper()
	open, err := t.api.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	done, err := t.api.Upload(t.Context(), open, strings.NewReader(text), nil)
	if err != nil || done.Imported != int64(n) {
		t.Fatalf("%+v, %v", done, err)
	}
}

// person finds the subscription of person n, and remembers it: a dead one is
// not found by its user any more.
func (t *town) person(n int) tocsin.SubscriptionID {
	t.Helper()
	if id, known := t.persons[n]; known {
		return id
	}
	found, err := t.api.Preview(t.Context(), client.PreviewRequest{Target: persons(n)})
	if err != nil || len(found.Recipients) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	t.persons[n] = found.Recipients[0].Subscription
	return t.persons[n]
}

// persons is a target of some.
func persons(n ...int) (target client.Target) {
	for _, i := range n {
		target.Recipients = append(target.Recipients, client.Recipient{User: fmt.Sprintf("person-%d", i)})
	}
	return target
}

func everybody() client.Target { return client.Target{Query: []byte(`{}`)} }

func (t *town) send(to client.Target) tocsin.SendID {
	t.Helper()
	made, err := t.api.Send(t.Context(), client.SendRequest{Target: to, Message: message()}, "")
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func message() client.Message {
	return client.Message{Languages: map[string]client.Content{"en": {Title: "Polls have closed"}}}
}

// until follows a send until it is as wanted, and returns it.
func (t *town) until(id tocsin.SendID, what string, wanted func(client.Send) bool) client.Send {
	t.Helper()
	var last client.Send
	for now, err := range t.api.WatchSend(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		if last = now; wanted(now) {
			return now
		}
	}
	t.Fatalf("the send ended and never was %s: %+v, %+v", what, last, last.Counters)
	return last
}

func (t *town) ended(id tocsin.SendID) client.Send {
	t.Helper()
	now := t.until(id, "ended", func(s client.Send) bool { return s.Status.Ended() })
	t.balances(now)
	return now
}

// balances holds a send that has ended against law L1.
func (t *town) balances(s client.Send) {
	t.Helper()
	c := s.Counters
	if sum := c.Accepted + c.Gone + c.Refused + c.Expired + c.Suppressed + c.Cancelled + c.InDoubt; c.Pending != 0 || sum != c.Audience {
		t.Fatalf("the account does not balance: %+v", c)
	}
}

// metric is the value of a line of /metrics that holds all the parts, "" for none.
func (t *town) metric(parts ...string) string {
	t.Helper()
	answer, err := http.Get(t.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
next:
	for line := range strings.Lines(string(text)) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		return strings.TrimSpace(line[strings.LastIndexByte(line, ' '):])
	}
	return ""
}
