package node_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/node"
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
