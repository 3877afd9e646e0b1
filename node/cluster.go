package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/journal/kafka"
	"github.com/tocsin-push/tocsin/snapshot/rows"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/cassandra"
)

// Cluster is where the processes of an installation keep everything. Log and
// Metrics of the engines are the node's.
type Cluster struct {
	Kafka     kafka.Config
	Cassandra cassandra.Config
	Snapshots rows.Config
	Key       string // file of the key that credentials are sealed under, as Install made it
}

// failedShard is how long a shard that failed is left alone: an engine may be away.
const failedShard = time.Second

// openCluster opens the engines that all processes of an installation share.
func openCluster(ctx context.Context, n *node) (*engines, error) {
	c := n.config.Cluster.Cassandra
	c.Log, c.Metrics = n.log, n.metrics
	s, err := cassandra.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	n.parts.onEnd(closing(n.log, "store", s.Close))
	return openShared(ctx, n, s)
}

// openShared opens the rest of them, once the store says what the installation is.
func openShared(ctx context.Context, n *node, s store.Store) (*engines, error) {
	c := n.config.Cluster
	have, err := installed(ctx, s)
	if err != nil {
		return nil, err
	}
	c.Kafka.Single, c.Kafka.Log, c.Kafka.Metrics = have.Single, n.log, n.metrics
	j, err := kafka.Open(ctx, c.Kafka)
	if err != nil {
		return nil, err
	}
	n.parts.onEnd(closing(n.log, "journal", j.Close))
	if j.Shards() != have.Shards {
		return nil, fmt.Errorf("node: the topics are for %d shards, the store is for %d: they are of different installations", j.Shards(), have.Shards)
	}
	n.config.Shards = have.Shards
	files, err := rows.New(s, c.Snapshots)
	if err != nil {
		return nil, err
	}
	return &engines{
		journal: j, store: s, files: files, group: j, sealed: c.Key, again: failedShard,
		quotas:  &fanout.Quotas{Store: s, Process: fmt.Sprintf("%016x", incarnation())},
		full:    j.Full,
		damaged: func() error { return nil },
		// Segments and tables are the servers' own: docs/cluster.md says what has them
		// forget what nobody can read any more.
		purge: func(context.Context) error { return nil },
	}, nil
}

var errNotInstalled = errors.New("node: the servers are not prepared: run tocsin cluster init")

// installed is what the processes of an installation agree on.
func installed(ctx context.Context, s store.Store) (have installation, err error) {
	row, err := s.GetLatest(ctx, installationPlace, installationKey)
	if errors.Is(err, store.ErrNotFound) {
		return have, errNotInstalled
	}
	if err != nil {
		return have, fmt.Errorf("node: what the installation is cannot be read: %w", err)
	}
	return readInstallation(row.Value)
}

// Installed is what Install has made.
type Installed struct {
	Made               bool   // now; else it was there, and no file was written
	KeyFile, AdminFile string // every process needs the first, people the second
}

// Install makes an installation of so many shards in a store whose tables are
// there, and its secrets as files of a folder; single says that one machine is to
// be enough for its processes, too. It may be repeated until it has
// worked; from then on it changes nothing.
func Install(ctx context.Context, s store.Store, shards int, single bool, folder string) (Installed, error) {
	done := Installed{KeyFile: filepath.Join(folder, keyFile), AdminFile: filepath.Join(folder, adminFile)}
	switch have, err := installed(ctx, s); {
	case err == nil && have.Shards != shards:
		return done, fmt.Errorf("node: the installation has %d shards, which never changes; %d were asked for", have.Shards, shards)
	case err == nil:
		return done, nil
	case !errors.Is(err, errNotInstalled):
		return done, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return done, fmt.Errorf("node: folder for the keys: %w", err)
	}
	accounts, err := account.Open(ctx, s, account.Config{KeyFile: done.KeyFile})
	if err != nil {
		return done, err
	}
	if _, err := firstKey(ctx, accounts, done.AdminFile); err != nil {
		return done, err
	}
	// The last: no process starts before.
	value, err := json.Marshal(installation{Shards: shards, Single: single})
	if err != nil {
		return done, err
	}
	done.Made, _, err = s.PutIf(ctx, installationPlace, installationKey, nil, value, time.Time{})
	if err != nil {
		return done, fmt.Errorf("node: what the installation is: %w", err)
	}
	return done, nil
}

// InstallOn is Install on a Cassandra whose tables are there.
func InstallOn(ctx context.Context, c cassandra.Config, shards int, single bool, folder string, log *slog.Logger) (done Installed, err error) {
	s, err := cassandra.Open(ctx, c)
	if err != nil {
		return done, err
	}
	defer closing(log, "store", s.Close)()
	return Install(ctx, s, shards, single, folder)
}
