package node

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A heap of gigabytes that nothing points out of is collected in the time that
// one of megabytes takes: it need not double before. So garbage may pile up to
// heapRoom, and beyond a heap of that size to less and less a share of it, but
// no less than leastPercent.
const (
	heapRoom     = 384 << 20
	leastPercent = 15
	usualPercent = 100
	heapLook     = 2 * time.Second
)

// collect keeps the share by which the heap may grow in step with its size,
// unless GOGC was set from outside.
func collect(ctx context.Context) error {
	if _, set := os.LookupEnv("GOGC"); set {
		<-ctx.Done()
		return nil
	}
	look := time.NewTicker(heapLook)
	defer look.Stop()
	defer debug.SetGCPercent(usualPercent)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for now := usualPercent; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		metrics.Read(live)
		if want := gcPercent(live[0].Value.Uint64()); want > now+now/8 || want < now-now/8 {
			debug.SetGCPercent(want)
			now = want
		}
	}
}

func gcPercent(live uint64) int {
	return int(min(max(heapRoom*100/max(live, 1), leastPercent), usualPercent))
}
