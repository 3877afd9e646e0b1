package api

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/receipt"
)

// Buckets round down, and the first write is known exactly.
func TestDriftIsInOrder(t *testing.T) {
	due := time.Unix(1_800_000_000, 0)
	s := receipt.Status{FirstWrite: due.Add(5_003_000), Decided: receipt.Drift{P50: 4_992_000, P99: 4_992_000, Last: 9_984_000}, Quota: receipt.Drift{Last: 1_000_000}}
	if have, want := *driftBody(&s, due), (client.Drift{First: 5.003, P50: 5.003, P99: 5.003, Last: 9.984, QuotaWait: 1}); have != want {
		t.Errorf("%+v, want %+v", have, want)
	}
}
