package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ask/asktest"
	"github.com/tocsin-push/tocsin/client"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
	snapshotdisk "github.com/tocsin-push/tocsin/snapshot/disk"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// several are nodes on the same engines, of which some serve the API.
type several struct {
	*town
	shared *node.Shared
	key    string // of the platform
	ca     *asktest.Authority
	nodes  []*member
}

// member is one of them.
type member struct {
	*journalmem.Member
	cut   node.Cut
	stop  context.CancelFunc
	ended chan error
}

const severalShards = 8

// newSeveral starts nodes with roles each, the one that serves the API last.
func newSeveral(t *testing.T, providers func(*sim.Config), roles ...[]node.Role) *several {
	t.Helper()
	files, err := snapshotdisk.Open(vfs.NewMem(), "audience")
	if err != nil {
		t.Fatal(err)
	}
	s := &several{
		town:   &town{T: t, config: node.Default(), persons: map[int]tocsin.SubscriptionID{}},
		ca:     asktest.NewAuthority(t),
		shared: &node.Shared{Journal: journalmem.New(), Store: storemem.New(time.Now), Files: files, Groups: journalmem.NewGroups(severalShards)},
	}
	s.config.Listen, s.config.Shards, s.config.Dir = "127.0.0.1:0", severalShards, t.TempDir()
	simulated := sim.Default()
	if providers != nil {
		providers(&simulated)
	}
	if s.sim, err = sim.Start(simulated, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.sim.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	for _, some := range roles {
		s.join(some...)
	}
	if s.project, err = s.admin.CreateProject(t.Context(), s.sim.Setup().Projects[0]); err != nil {
		t.Fatal(err)
	}
	s.api = s.client(s.project.Key)
	return s
}

// join starts a node more. All have the key file of the first.
func (s *several) join(roles ...node.Role) *member {
	s.Helper()
	config := s.config
	config.Roles = roles
	config.Peers = node.Peers{Listen: "127.0.0.1:0", CA: s.ca.CA()}
	config.Peers.Cert, config.Peers.Key = s.ca.Issue(ask.ProcessName)
	if len(s.nodes) > 0 {
		config.Dir = s.TempDir()
		key, err := os.ReadFile(filepath.Join(s.config.Dir, "credentials.key"))
		if err == nil {
			err = os.WriteFile(filepath.Join(config.Dir, "credentials.key"), key, 0o600)
		}
		if err != nil {
			s.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &member{Member: s.shared.Groups.Member(), stop: stop, ended: make(chan error, 1)}
	ready := make(chan node.Up, 1)
	log := slog.New(slog.NewTextHandler(&s.log, nil)).With("node", len(s.nodes))
	go func() {
		m.ended <- s.shared.Run(ctx, config, m.Member, &m.cut, log, func(up node.Up) { ready <- up })
	}()
	select {
	case up := <-ready:
		if up.First {
			key, err := os.ReadFile(up.AdminKeyFile)
			if err != nil {
				s.Fatal(err)
			}
			s.key = strings.TrimSpace(string(key))
		}
		if slices.Contains(roles, node.API) {
			s.url = up.URL
			s.admin = s.client(s.key)
			if s.project.Key != "" {
				s.api = s.client(s.project.Key)
			}
		}
	case err := <-m.ended:
		s.Fatal(err)
	}
	leave := sync.OnceFunc(func() {
		stop()
		if err := <-m.ended; err != nil {
			s.Error(err)
		}
	})
	m.stop = leave
	s.Cleanup(leave)
	s.nodes = append(s.nodes, m)
	return m
}

// owns waits until a member works on so many shards at least.
func (s *several) owns(m *member, role node.Role, n int) {
	s.Helper()
	s.await(fmt.Sprintf("%s of %d shards", role, n), func() bool { return len(m.Owned(string(role))) >= n })
}

func (s *several) await(what string, come func() bool) {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); !come(); {
		if time.Now().After(deadline) {
			s.Fatalf("%s: not within a minute", what)
		}
		<-time.After(time.Millisecond)
	}
}

// twice counts the addresses that a provider accepted a push for more than once.
func (s *several) twice() (twice int) {
	accepted := map[uint64]int{}
	s.sim.Ledger().Each(func(r *sim.Record) {
		if r.Accepted() {
			accepted[r.Token]++
		}
	})
	for _, n := range accepted {
		if n > 1 {
			twice++
		}
	}
	return twice
}

// half returns once a send is about half way.
func (s *several) half(id tocsin.SendID, people int) {
	s.Helper()
	s.until(id, "half way", func(now client.Send) bool { return now.Counters != nil && now.Counters.Accepted >= int64(people/2) })
}

func everyRole() []node.Role { return node.Roles[:] }

// Whatever the roles of processes, a send has the same outcomes for the same seed
// (law L9).
func TestRolesApartGiveTheSameOutcomes(t *testing.T) {
	t.Parallel()
	const people = 2000
	faults := func(c *sim.Config) {
		c.APNs.Shares = sim.Shares{Gone: 0.02, BadToken: 0.01, Throttled: 0.05, Unavailable: 0.02}
	}
	results := map[string]client.Counters{}
	for name, roles := range map[string][][]node.Role{
		"together": {everyRole()},
		"apart":    {{node.Receipt}, {node.Plan}, {node.Fanout}, {node.Fanout}, {node.API}},
		"alike":    {everyRole(), everyRole(), everyRole()},
	} {
		s := newSeveral(t, faults, roles...)
		s.populate(tocsin.APNs, people)
		ended := s.ended(s.send(everybody()))
		results[name] = *ended.Counters
		for _, m := range s.nodes {
			m.stop()
		}
		if ended.Counters.Doubtful != 0 || s.twice() != 0 {
			t.Errorf("%s: %d in doubt, %d accepted twice", name, ended.Counters.Doubtful, s.twice())
		}
	}
	want := fmt.Sprintf("%+v", outcomes(results["together"]))
	for name, c := range results {
		if have := fmt.Sprintf("%+v", outcomes(c)); have != want {
			t.Errorf("%s: %s, together: %s", name, have, want)
		}
	}
}

func outcomes(c client.Counters) [9]int64 {
	return [9]int64{c.Audience, c.Accepted, c.Gone, c.Refused, c.Expired, c.Suppressed, c.Cancelled, c.InDoubt, c.Pending}
}

// A process that is told to end, or that gets company, hands shards over in
// mid-send: no push is left behind, none in doubt.
func TestHandsShardsOverWithoutDoubt(t *testing.T) {
	t.Parallel()
	const people = 4000
	s := newSeveral(t, func(c *sim.Config) { c.APNs.MaxRate = 1000 }, []node.Role{node.Fanout, node.Plan, node.Receipt}, []node.Role{node.API})
	s.populate(tocsin.APNs, people)
	id := s.send(everybody())
	s.until(id, "under way", func(now client.Send) bool { return now.Counters != nil && now.Counters.Accepted > 0 })
	second := s.join(node.Fanout, node.Plan, node.Receipt)
	s.owns(second, node.Fanout, severalShards/2)
	s.half(id, people)
	go s.nodes[0].stop() // its shards go before it has ended
	s.owns(second, node.Fanout, severalShards)
	if now, err := s.api.GetSend(t.Context(), id); err != nil || now.Status.Ended() {
		t.Fatalf("it ended before the second hand-over: %v", err)
	}
	ended := s.ended(id)
	if c := ended.Counters; c.Accepted != people || c.Doubtful != 0 || s.twice() != 0 {
		t.Errorf("%+v, %d accepted twice", c, s.twice())
	}
}

// A process is cut off from everything and taken for dead while it sends, and goes
// on with what it was granted: others finish the send, and what was accepted twice
// carries the mark (laws L1 to L3).
func TestAProcessIsLostWhileItSends(t *testing.T) {
	t.Parallel()
	const people = 4000
	s := newSeveral(t, func(c *sim.Config) { c.APNs.MaxRate = 1000 }, []node.Role{node.Fanout, node.Plan, node.Receipt},
		[]node.Role{node.Fanout, node.Plan, node.Receipt}, []node.Role{node.API})
	s.owns(s.nodes[0], node.Fanout, severalShards/2)
	s.owns(s.nodes[1], node.Fanout, severalShards/2)
	s.populate(tocsin.APNs, people)
	id := s.send(everybody())
	s.until(id, "under way", func(now client.Send) bool { return now.Counters != nil && now.Counters.Accepted > people/10 })
	lost := s.nodes[0]
	lost.cut.Off()
	lost.Lose()
	ended := s.ended(id)
	c := ended.Counters
	if twice := int64(s.twice()); c.Accepted != people || c.Doubtful < twice || c.Doubtful == 0 {
		t.Errorf("%+v, %d accepted twice", c, twice)
	}
}
