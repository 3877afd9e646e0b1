//go:build engines

package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tocsin-push/tocsin/engines"
)

// What cluster init prints on an empty server is what docs/cluster.md shows; it
// changes nothing until it is told to, and then nothing is left to do.
func TestClusterInit(t *testing.T) {
	jars, err := engines.Folder()
	if err != nil {
		t.Fatal(err)
	}
	c, err := engines.StartCassandra(t.Context(), jars, t.TempDir(), 1, "commitlog_sync: periodic", "commitlog_sync_period: 10s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	brokers, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	keys := t.TempDir()
	run := func(status int, says string, flags ...string) string {
		t.Helper()
		var out, errout bytes.Buffer
		args := append([]string{"cluster", "init", "--cassandra", c.Hosts()[0], "--kafka", strings.Join(brokers.ListenAddrs(), ","), "--keys", keys}, flags...)
		if got := Run(t.Context(), args, strings.NewReader(""), &out, &errout); got != status || !strings.Contains(out.String()+errout.String(), says) {
			t.Fatalf("%q: status %d, want %d and %q\n%s%s", flags, got, status, says, out.String(), errout.String())
		}
		return out.String()
	}
	run(exitFailed, "3 replicas of each row need as many nodes, the cluster has 1", "--yes")
	run(exitFailed, "commitlog_sync: periodic", "--single-machine", "--yes")
	run(exitUsage, "Keyspace must be", "--keyspace", "Mixed")
	if err := c.Nodes[0].Stop(); err != nil {
		t.Fatal(err)
	}
	if c, err = engines.StartCassandra(t.Context(), jars, t.TempDir(), 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	first := run(exitOK, "Nothing was changed", "--single-machine")
	if again := run(exitOK, "Done.", "--single-machine", "--yes"); !strings.HasPrefix(again, first[:strings.Index(first, "Nothing")]) {
		t.Fatalf("the plan changed:\n%s\n%s", first, again)
	}
	run(exitOK, "all is there", "--single-machine")
	run(exitOK, "no key was made", "--single-machine", "--yes")
	shown := strings.NewReplacer("factor': 1", "factor': 3", "'replicas', 1", "'replicas', 3").Replace(first[:strings.Index(first, "Kafka")])
	text, err := os.ReadFile("../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), shown) {
		t.Fatalf("docs/cluster.md does not show the plan:\n%s", shown)
	}
}
