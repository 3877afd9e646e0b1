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

// What an import or a send left over goes back to the system once so many looks
// in a row found less than quietBytes allocated, if it is worth it.
const (
	quietLooks = 10
	quietBytes = 8 << 20
	worthwhile = 64 << 20
)

// collect keeps the share by which the heap may grow in step with its size,
// unless GOGC was set from outside, and gives memory back when nothing happens.
func collect(ctx context.Context) error {
	if _, set := os.LookupEnv("GOGC"); set {
		<-ctx.Done()
		return nil
	}
	look := time.NewTicker(heapLook)
	defer look.Stop()
	defer debug.SetGCPercent(usualPercent)
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	at := func(i int) uint64 { return heap[i].Value.Uint64() }
	var rest rest
	for now := usualPercent; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		metrics.Read(heap)
		if want := gcPercent(at(0)); want > now+now/8 || want < now-now/8 {
			debug.SetGCPercent(want)
			now = want
		}
		if rest.look(at(1), at(2)-min(at(0), at(2))+at(3)+at(4)) {
			debug.FreeOSMemory()
		}
	}
}

func gcPercent(live uint64) int {
	return int(min(max(heapRoom*100/max(live, 1), leastPercent), usualPercent))
}

// rest notices that a process does next to nothing.
type rest struct {
	allocated uint64
	quiet     int // looks in a row
}

// look is told the bytes allocated since the start and those that could be given
// back; it reports, once in a time of rest, that they should.
func (r *rest) look(allocated, spare uint64) bool {
	if r.quiet++; allocated-r.allocated > quietBytes {
		r.quiet = 0
	}
	r.allocated = allocated
	return r.quiet == quietLooks && spare > worthwhile
}
