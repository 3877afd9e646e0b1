package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/journal"
	journaldisk "github.com/tocsin-push/tocsin/journal/disk"
	"github.com/tocsin-push/tocsin/snapshot"
	snapshotdisk "github.com/tocsin-push/tocsin/snapshot/disk"
	"github.com/tocsin-push/tocsin/store"
	storedisk "github.com/tocsin-push/tocsin/store/disk"
)

// engines are what everything is kept in, and who shares it.
type engines struct {
	journal journal.Journal
	store   store.Store
	files   snapshot.Engine // of snapshots
	group   journal.Group
	quotas  *fanout.Quotas // nil: no other process sends
	sealed  string         // file of the key that credentials are sealed under
	admin   string         // file for the first admin key; empty: that was made before
	atOnce  int            // shards that the group hands out as soon as it is asked
	again   time.Duration  // after which a shard that failed is tried again; 0: that ends the node

	full    func() error                // no room for new sends
	damaged func() error                // what was written cannot be read
	purge   func(context.Context) error // returns once what was taken away is on no disk
	// redact rewrites records below a position in place; nil: nobody can, and who
	// erases waits until they are trimmed.
	redact func(ctx context.Context, p journal.Partition, below journal.Position, rewrite func([]byte) []byte) error
}

// Files of an installation's secrets.
const (
	keyFile   = "credentials.key"
	adminFile = "admin.key"
)

// opener opens the engines that a node works on, and has them closed at the end.
type opener func(context.Context, *node) (*engines, error)

// openEmbedded opens the engines of a data folder, which no other process shares.
func openEmbedded(ctx context.Context, n *node) (*engines, error) {
	c, parts, log := n.config, n.parts, n.log
	if len(c.Roles) < len(Roles) {
		return nil, errors.New("node: a data folder is of one process, which takes all roles; apart they need a cluster")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("node: data folder: %w", err)
	}
	// A write or sync that failed leaves nothing to go on with: what the disk
	// holds is known only after the next start.
	failStop := func(err error) {
		log.Error("storage failed; the process ends and recovers at its next start", "error", err)
		os.Exit(1)
	}
	group := journal.Whole{Shards: c.Shards}
	jc := journaldisk.Default()
	jc.Reserve, jc.Log, jc.Stop = c.Reserve, log, failStop
	_, missing := os.Stat(filepath.Join(c.Dir, "journal"))
	logs := !errors.Is(missing, os.ErrNotExist)
	journal, err := journaldisk.Open(filepath.Join(c.Dir, "journal"), jc)
	if err != nil {
		return nil, err
	}
	parts.onEnd(closing(log, "journal", journal.Close))
	sc := storedisk.Default()
	sc.Reserve, sc.Log, sc.Stop = c.Reserve, log, failStop
	store, err := storedisk.Open(filepath.Join(c.Dir, "store"), sc)
	if err != nil {
		return nil, err
	}
	parts.onEnd(closing(log, "store", store.Close))
	if err := settle(ctx, store, journal, logs, installation{Shards: c.Shards}); err != nil {
		return nil, err
	}
	files, err := snapshotdisk.Open(vfs.Default, filepath.Join(c.Dir, "audience"))
	if err != nil {
		return nil, err
	}
	return &engines{
		journal: journal, store: store, files: files, group: group,
		sealed: filepath.Join(c.Dir, keyFile), admin: filepath.Join(c.Dir, adminFile), atOnce: c.Shards,
		full:    journal.Full,
		damaged: func() error { return errors.Join(journal.Damaged(), store.Damaged()) },
		purge:   func(ctx context.Context) error { return errors.Join(journal.Purge(ctx), store.Purge(ctx)) },
		redact:  journal.Redact,
	}, nil
}

// closing closes an engine as the last of its users has returned.
func closing(log *slog.Logger, what string, close func() error) func() {
	return func() {
		if err := close(); err != nil {
			log.Error("closing failed", "what", what, "error", err)
		}
	}
}
