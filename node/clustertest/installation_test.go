//go:build engines

package clustertest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ask/asktest"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/engines"
	"github.com/tocsin-push/tocsin/sim"
)

// servers are what installations share: the binary, one broker, one node of Cassandra.
type servers struct {
	program   string
	kafka     *engines.Kafka
	cassandra *engines.Cassandra
}

func startServers(t *testing.T) *servers {
	t.Helper()
	jars, err := engines.Folder()
	if err != nil {
		t.Fatal(err)
	}
	s := &servers{program: filepath.Join(t.TempDir(), "tocsin")}
	if out, err := exec.Command("go", "build", "-trimpath", "-o", s.program, "../../cmd/tocsin").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if s.kafka, err = engines.StartKafka(t.Context(), jars, t.TempDir(), 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.kafka.Close() })
	if s.cassandra, err = engines.StartCassandra(t.Context(), jars, t.TempDir(), 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cassandra.Close() })
	return s
}

// installation is a keyspace and topics of its own, its processes and its providers.
type installation struct {
	*testing.T
	*servers
	name      string
	folder    string
	ca        *asktest.Authority
	processes []*engines.Process
	sim       *sim.Sim
	admin     *client.Client
	api       *client.Client // of the project
	project   client.Project
}

const shards = 8

// install prepares the servers, and starts a process for each list of roles; the first has the API.
func (s *servers) install(t *testing.T, name string, change func(*sim.Config), roles ...string) *installation {
	t.Helper()
	i := &installation{T: t, servers: s, name: name, folder: t.TempDir(), ca: asktest.NewAuthority(t)}
	providers := sim.Default()
	if change != nil {
		change(&providers)
	}
	var err error
	if i.sim, err = sim.Start(providers, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.sim.Stop)
	args := append([]string{"cluster", "init", "--single-machine", "--yes", "--shards", fmt.Sprint(shards), "--keys", i.folder}, i.flags()...)
	if out, err := exec.CommandContext(t.Context(), s.program, args...).CombinedOutput(); err != nil || !strings.Contains(string(out), "Done.") {
		t.Fatalf("cluster init: %v\n%s", err, out)
	}
	var url string
	for n, some := range roles {
		at := i.start(n, some)
		if n == 0 {
			url = at
		}
	}
	key, err := os.ReadFile(filepath.Join(i.folder, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	if i.admin, err = client.New(client.Config{URL: url, Key: strings.TrimSpace(string(key))}); err != nil {
		t.Fatal(err)
	}
	if i.project, err = i.admin.CreateProject(t.Context(), i.sim.Setup().Projects[0]); err != nil {
		t.Fatal(err)
	}
	if i.api, err = client.New(client.Config{URL: url, Key: i.project.Key}); err != nil {
		t.Fatal(err)
	}
	return i
}

// flags name the servers.
func (i *installation) flags() []string {
	return []string{"--kafka", strings.Join(i.kafka.Seeds(), ","), "--kafka-prefix", i.name + ".",
		"--cassandra", strings.Join(i.cassandra.Hosts(), ","), "--keyspace", i.name}
}

// start starts a process and returns its address once it is ready.
func (i *installation) start(n int, roles string) string {
	i.Helper()
	ports, err := engines.Ports(2)
	if err != nil {
		i.Fatal(err)
	}
	cert, key := i.ca.Issue(ask.ProcessName)
	listen := fmt.Sprintf("127.0.0.1:%d", ports[0])
	args := append([]string{"serve", "--roles", roles, "--listen", listen, "--credentials-key", filepath.Join(i.folder, "credentials.key"),
		"--peer-listen", fmt.Sprintf("127.0.0.1:%d", ports[1]), "--peer-cert", cert, "--peer-key", key, "--peer-ca", i.ca.CA()}, i.flags()...)
	p := engines.NewProcess(fmt.Sprintf("tocsin %d (%s)", n, roles), filepath.Join(i.folder, fmt.Sprintf("tocsin-%d", n)), i.program, args...)
	if err := p.Start(); err != nil {
		i.Fatal(err)
	}
	i.processes = append(i.processes, p)
	i.Cleanup(func() {
		p.Close()
		if i.Failed() {
			text, _ := os.ReadFile(p.Log)
			i.Logf("%s:\n%s", p.Name, text[max(0, len(text)-6000):])
		}
	})
	if err := engines.Await(i.Context(), "waiting for "+p.Name, func(ctx context.Context) error { return ready(ctx, "http://"+listen) }, p); err != nil {
		i.Fatal(err)
	}
	return "http://" + listen
}

func ready(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz: %s", answer.Status)
	}
	return nil
}

// populate imports so many people, who are reached by APNs.
func (i *installation) populate(people int) {
	i.Helper()
	var b strings.Builder
	for n := range people {
		fmt.Fprintf(&b, `{"provider":"apns","token":"%s","user":"person-%d"}`+"\n", token(n), n)
	}
	open, err := i.api.OpenImport(i.Context(), client.ImportRequest{Format: client.NDJSON, Name: "everybody"})
	if err == nil {
		open, err = i.api.Upload(i.Context(), open, strings.NewReader(b.String()), nil)
	}
	if err != nil || open.Imported != int64(people) {
		i.Fatalf("%d of %d imported: %v", open.Imported, people, err)
	}
}

func token(n int) string { return fmt.Sprintf("%064x", n+1) }

// send asks for a push to everybody.
func (i *installation) send() tocsin.SendID {
	i.Helper()
	made, err := i.api.Send(i.Context(), client.SendRequest{Target: client.Target{Query: []byte(`{}`)},
		Message: client.Message{Languages: map[string]client.Content{"en": {Title: "First results"}}}}, "")
	if err != nil {
		i.Fatal(err)
	}
	return made.ID
}

// until waits until a send is as it should be. A shard without an owner is asked again.
func (i *installation) until(id tocsin.SendID, what string, come func(client.Send) bool) client.Send {
	i.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		now, err := i.api.GetSend(i.Context(), id)
		if err == nil && come(now) {
			return now
		}
		if time.Now().After(deadline) {
			i.Fatalf("%s: not within a minute: %s %+v %v", what, now.Status, now.Counters, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// ended waits for the end of a send and holds its account against the providers'
// ledger: every push left, and twice only what is marked (laws L1 and L3).
func (i *installation) ended(id tocsin.SendID, people int) (c client.Counters, twice int64) {
	i.Helper()
	ended := i.until(id, "the end", func(now client.Send) bool { return now.Status.Ended() })
	c = *ended.Counters
	accepted := map[uint64]int{}
	tag := sim.Hash(content.Collapse(i.project.ID, id))
	i.sim.Ledger().Each(func(r *sim.Record) {
		if r.Send == tag && r.Accepted() {
			accepted[r.Token]++
		}
	})
	for n := range people {
		switch times := accepted[sim.Hash(token(n))]; {
		case times == 0:
			i.Errorf("L1: person %d got nothing", n)
		case times > 1:
			twice++
		}
	}
	if len(accepted) != people || c.Audience != int64(people) || c.Accepted != int64(people) || c.Pending != 0 {
		i.Errorf("L1: %d people, providers accepted pushes to %d, we say %+v", people, len(accepted), c)
	}
	if twice > c.Doubtful {
		i.Errorf("L3: %d accepted twice, %d marked", twice, c.Doubtful)
	}
	return c, twice
}
