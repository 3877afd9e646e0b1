//go:build engines

package clustertest_test

import (
	"testing"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

// An installation on real servers sends to everybody exactly once, whichever
// process has which role; one that is killed in mid-send is survived.
func TestCluster(t *testing.T) {
	s := startServers(t)
	t.Run("one process", func(t *testing.T) { s.install(t, "one", nil, "receipt,plan,fanout,api").clean(t, 20_000) })
	t.Run("roles apart", func(t *testing.T) {
		i := s.install(t, "apart", nil, "api,plan,receipt", "fanout", "fanout")
		i.clean(t, 20_000)
		for _, p := range i.processes {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("killed in mid-send", func(t *testing.T) {
		const people = 20_000
		i := s.install(t, "killed", func(c *sim.Config) { c.APNs.MaxRate = 4000 }, "api,plan,receipt", "fanout", "fanout")
		i.populate(people)
		id := i.send()
		i.until(id, "under way", func(now client.Send) bool { return now.Counters != nil && now.Counters.Accepted > people/10 })
		if err := i.processes[1].Kill(); err != nil {
			t.Fatal(err)
		}
		c, twice := i.ended(id, people)
		t.Logf("%d marked, %d accepted twice", c.Doubtful, twice)
		if c.Doubtful == 0 {
			t.Error("nothing was under way when it was killed")
		}
	})
}

// clean sends to everybody while nothing fails: nothing is in doubt.
func (i *installation) clean(t *testing.T, people int) {
	t.Helper()
	i.populate(people)
	if c, twice := i.ended(i.send(), people); c.Doubtful != 0 || twice != 0 {
		t.Errorf("%d in doubt, %d accepted twice, and nothing failed", c.Doubtful, twice)
	}
}
