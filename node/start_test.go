package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/record"
	storedisk "github.com/tocsin-push/tocsin/store/disk"
)

func TestStartsAgainWhereItWas(t *testing.T) {
	t.Parallel()
	town := newTown(t, nil)
	town.populate(tocsin.APNs, 100)
	before := town.ended(town.send(everybody()))

	if err := node.Run(t.Context(), town.config, slog.New(slog.DiscardHandler), nil); err == nil ||
		!strings.Contains(err.Error(), "in use by another process") || !strings.Contains(err.Error(), town.config.Dir) {
		t.Fatalf("a second node on the same folder: %v", err)
	}
	town.stop()
	town.start()
	if after := town.ended(before.ID); after.Counters.Accepted != 100 || !after.FinishedAt.Equal(before.FinishedAt) {
		t.Fatalf("%+v", after)
	}
	if again := town.ended(town.send(everybody())); again.Counters.Accepted != 100 {
		t.Fatalf("%+v", again.Counters)
	}
}

// Without its log, or with an older one, a node would acknowledge what nobody
// reads; without its store it would think that it starts for the first time.
func TestRefusesAFolderOfSeveralMoments(t *testing.T) {
	t.Parallel()
	for lost, want := range map[string]string{"journal": "there is no log", "store": "the store is empty"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			town := newTown(t, nil)
			town.populate(tocsin.APNs, 10)
			town.stop()
			key, err := os.ReadFile(filepath.Join(town.config.Dir, "admin.key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(town.config.Dir, lost)); err != nil {
				t.Fatal(err)
			}
			refused(t, town.config, want)
			if after, err := os.ReadFile(filepath.Join(town.config.Dir, "admin.key")); err != nil || string(after) != string(key) {
				t.Errorf("the admin key was written anew: %v", err)
			}
		})
	}
}

// What a later build raised to its own format level, this one refuses by name
// before it reads or writes any record; its own level it takes, named or not.
func TestRefusesAnInstallationOfALaterFormat(t *testing.T) {
	t.Parallel()
	town := newTown(t, nil)
	town.populate(tocsin.APNs, 10)
	raise := func(level int) {
		t.Helper()
		c := storedisk.Default()
		c.Log, c.Stop = slog.New(slog.DiscardHandler), func(err error) { panic(err) }
		s, err := storedisk.Open(filepath.Join(town.config.Dir, "store"), c)
		if err == nil {
			err = errors.Join(node.Raise(t.Context(), s, level), s.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	later := fmt.Sprintf("the installation is at format level %d, and this build reads up to %d", record.Level+1, record.Level)
	town.stop()
	raise(record.Level + 1)
	refused(t, town.config, later)
	raise(-1)
	refused(t, town.config, "cannot be read: format level -1")
	raise(record.Level)
	other := town.config
	other.Shards++
	refused(t, other, fmt.Sprintf("start with --shards %d", town.config.Shards))
	town.start()
	if again := town.ended(town.send(everybody())); again.Counters.Accepted != 10 {
		t.Errorf("%+v", again.Counters)
	}

	c := newCluster(t, nil)
	if _, err := node.Install(t.Context(), c.store, severalShards, false, c.folder); err != nil {
		t.Fatal(err)
	}
	if err := node.Raise(t.Context(), c.store, record.Level+1); err != nil {
		t.Fatal(err)
	}
	err := node.RunShared(t.Context(), c.process(everyRole()...), c.store, slog.New(slog.DiscardHandler), func(node.Up) { t.Error("it is up") })
	if err == nil || !strings.Contains(err.Error(), later) {
		t.Errorf("on a cluster: %v", err)
	}
	if _, err := node.Install(t.Context(), c.store, severalShards, false, c.folder); err == nil || !strings.Contains(err.Error(), later) {
		t.Errorf("cluster init again: %v", err)
	}
}

// refused holds that a node does not start, and why.
func refused(t *testing.T, config node.Config, why string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := node.Run(ctx, config, slog.New(slog.DiscardHandler), func(node.Up) { stop() })
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Fatalf("%v, want it to say that %s", err, why)
	}
}
