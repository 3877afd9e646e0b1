package node_test

import (
	"log/slog"
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
