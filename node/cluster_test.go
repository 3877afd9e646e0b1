package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ask/asktest"
	"github.com/tocsin-push/tocsin/journal/kafka"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
	"github.com/tocsin-push/tocsin/snapshot/rows"
	"github.com/tocsin-push/tocsin/store"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// cluster is an installation on a Kafka in this process, with tables in memory.
type cluster struct {
	*town
	brokers *kfake.Cluster
	store   store.Store
	kafka   kafka.Config
	folder  string // of its keys
	ca      *asktest.Authority
}

func newCluster(t *testing.T, providers func(*sim.Config)) *cluster {
	t.Helper()
	brokers, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	c := &cluster{town: &town{T: t, config: node.Default(), persons: map[int]tocsin.SubscriptionID{}}, brokers: brokers, store: storemem.New(time.Now),
		kafka: kafka.Default(), folder: t.TempDir(), ca: asktest.NewAuthority(t)}
	c.kafka.Brokers, c.kafka.Reserve = brokers.ListenAddrs(), 1
	plan := c.kafka
	plan.Log, plan.Metrics = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	todo, err := kafka.Compare(t.Context(), plan, severalShards)
	if err == nil {
		err = todo.Apply(t.Context(), plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	simulated := sim.Default()
	if providers != nil {
		providers(&simulated)
	}
	if c.sim, err = sim.Start(simulated, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.sim.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.log.String())
		}
	})
	return c
}

// process is how a process with some roles is told to run.
func (c *cluster) process(roles ...node.Role) node.Config {
	config := c.config
	config.Listen, config.Dir, config.Shards, config.Roles = "127.0.0.1:0", "", 0, roles
	config.Cluster = &node.Cluster{Kafka: c.kafka, Snapshots: rows.Default(), Key: filepath.Join(c.folder, "credentials.key")}
	config.Peers = node.Peers{Listen: "127.0.0.1:0", CA: c.ca.CA()}
	config.Peers.Cert, config.Peers.Key = c.ca.Issue(ask.ProcessName)
	return config
}

// start runs a process until the test ends.
func (c *cluster) start(roles ...node.Role) (url string) {
	c.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan node.Up, 1)
	go func() {
		ended <- node.RunShared(ctx, c.process(roles...), c.store, slog.New(slog.NewTextHandler(&c.town.log, nil)), func(up node.Up) { ready <- up })
	}()
	c.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.Error(err)
		}
	}))
	select {
	case up := <-ready:
		return up.URL
	case err := <-ended:
		ended <- nil
		c.Fatal(err)
	}
	return ""
}

// enter starts a process with the API, and makes the project there.
func (c *cluster) enter() {
	c.Helper()
	c.url = c.start(node.API)
	key, err := os.ReadFile(filepath.Join(c.folder, "admin.key"))
	if err != nil {
		c.Fatal(err)
	}
	c.admin = c.client(strings.TrimSpace(string(key)))
	if c.project, err = c.admin.CreateProject(c.Context(), c.sim.Setup().Projects[0]); err != nil {
		c.Fatal(err)
	}
	c.api = c.client(c.project.Key)
}

// Processes on Kafka that have the roles between them, and ask each other over the
// network, do what one process on its own does (law L9).
func TestClusterGivesTheSameOutcomes(t *testing.T) {
	t.Parallel()
	const people = 2000
	faults := func(c *sim.Config) {
		c.APNs.Shares = sim.Shares{Gone: 0.02, BadToken: 0.01, Throttled: 0.05, Unavailable: 0.02}
	}
	alone := newSeveral(t, faults, everyRole())
	alone.populate(tocsin.APNs, people)
	want := fmt.Sprintf("%+v", outcomes(*alone.ended(alone.send(everybody())).Counters))

	c := newCluster(t, faults)
	if _, err := node.Install(t.Context(), c.store, severalShards, false, c.folder); err != nil {
		t.Fatal(err)
	}
	for _, roles := range [][]node.Role{{node.Receipt}, {node.Plan}, {node.Fanout}, {node.Fanout}} {
		c.start(roles...)
	}
	c.enter()
	c.populate(tocsin.APNs, people)
	ended := c.ended(c.send(everybody()))
	if have := fmt.Sprintf("%+v", outcomes(*ended.Counters)); have != want || ended.Counters.Doubtful != 0 {
		t.Errorf("on the cluster %s, %d in doubt; alone %s", have, ended.Counters.Doubtful, want)
	}
}

// A process does not start on servers that were not prepared, or with another key
// than the installation's, and says what to do.
func TestClusterMustBePrepared(t *testing.T) {
	t.Parallel()
	c := newCluster(t, nil)
	refused := func(says string, change func(*node.Config)) {
		t.Helper()
		config := c.process(everyRole()...)
		change(&config)
		err := node.RunShared(t.Context(), config, c.store, slog.New(slog.DiscardHandler), func(node.Up) { t.Error("it is up") })
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want %q", err, says)
		}
	}
	refused("run tocsin cluster init", func(*node.Config) {})
	for round := range 2 {
		done, err := node.Install(t.Context(), c.store, severalShards, false, c.folder)
		if err != nil || done.Made != (round == 0) {
			t.Fatal(done, err)
		}
	}
	if _, err := node.Install(t.Context(), c.store, severalShards+1, false, c.folder); err == nil {
		t.Error("the number of shards changes")
	}
	other := t.TempDir()
	foreign := func(config *node.Config) { config.Cluster.Key = filepath.Join(other, "credentials.key") }
	refused("put its file back", foreign)
	if _, err := node.Install(t.Context(), storemem.New(time.Now), severalShards, false, other); err != nil {
		t.Fatal(err)
	}
	refused("sealed under key", foreign)
	refused("cluster init", func(config *node.Config) { config.Shards = 4 })
	refused("certificate", func(config *node.Config) { config.Peers = node.Peers{} })
	config := node.Default()
	config.Dir, config.Roles = t.TempDir(), []node.Role{node.Fanout}
	if err := node.Run(t.Context(), config, slog.New(slog.DiscardHandler), nil); err == nil || !strings.Contains(err.Error(), "apart they need a cluster") {
		t.Error(err)
	}
}
