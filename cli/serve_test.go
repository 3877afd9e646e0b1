package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What cannot be meant is refused before anything is opened, with what to change.
func TestServeRefusesHalfACluster(t *testing.T) {
	for says, flags := range map[string]string{
		"go together":             "--kafka localhost:1",
		"--kafka and --cassandra": "--cassandra localhost:1",
		"name its servers":        "--roles fanout",
		"--shards of a cluster":   "--kafka localhost:1 --cassandra localhost:1 --shards 8",
		"that cluster init made":  "--kafka localhost:1 --cassandra localhost:1",
		"a certificate":           "--kafka localhost:1 --cassandra localhost:1 --credentials-key k",
		"at which others reach":   "--kafka localhost:1 --cassandra localhost:1 --credentials-key k --peer-listen :7001 --peer-cert c --peer-key k --peer-ca a",
		"roles are [\"sending\"]": "--kafka localhost:1 --cassandra localhost:1 --credentials-key k --peer-listen a:1 --peer-cert c --peer-key k --peer-ca a --roles sending",
	} {
		var out, errout bytes.Buffer
		args := append([]string{"serve", "--dir", t.TempDir()}, strings.Fields(flags)...)
		if status := Run(t.Context(), args, strings.NewReader(""), &out, &errout); status != exitUsage || !strings.Contains(errout.String(), says) {
			t.Errorf("%s: status %d, %s; want %q", flags, status, errout.String(), says)
		}
	}
}
