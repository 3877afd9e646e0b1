package pace

import "time"

// window counts what leaves in a second. The bucket gives tokens when a push is
// granted, and the provider counts it when it arrives: what waited long for its
// claim to be durable would leave together with what is granted meanwhile. So
// nothing is granted that, with what was granted and has not left, and what left
// lately, would be more than the quota of a second (law L7).
type window struct {
	most    int // in any second; 0 is no quota
	pending int // granted, neither left nor finished
	left    []leave
	sum     int // of left
}

type leave struct {
	from, to time.Time
	n        int
}

const (
	// second is a second and what pushes that a lane got one after the other
	// may come closer together on their way.
	second = time.Second + 60*time.Millisecond
	// grain is how far apart two leaves are told apart: few of them are kept.
	grain = 5 * time.Millisecond
)

// configure sets the quota. Another process may have used all of it up to the
// instant at which this one started.
func (w *window) configure(perMinute int, started time.Time) {
	if perMinute <= 0 {
		*w = window{}
		return
	}
	was := w.most
	if w.most = max(1, perMinute/60); was == 0 {
		w.leave(started, w.most)
	}
}

// free is how many pushes may be granted now.
func (w *window) free(now time.Time, n int) int {
	if w.most == 0 {
		return n
	}
	gone := 0
	for gone < len(w.left) && now.Sub(w.left[gone].to) >= second {
		w.sum -= w.left[gone].n
		gone++
	}
	w.left = w.left[gone:]
	return max(0, min(n, w.most-w.pending-w.sum))
}

// ready is when more will be free though nothing is finished; zero: never.
func (w *window) ready() time.Time {
	if len(w.left) == 0 {
		return time.Time{}
	}
	return w.left[0].to.Add(second)
}

func (w *window) grant(n int) {
	if w.most > 0 {
		w.pending += n
	}
}

func (w *window) leave(now time.Time, n int) {
	if w.most == 0 {
		return
	}
	w.pending = max(0, w.pending-n)
	w.sum += n
	if k := len(w.left); k > 0 && now.Sub(w.left[k-1].from) < grain {
		w.left[k-1].to = now
		w.left[k-1].n += n
		return
	}
	w.left = append(w.left, leave{now, now, n})
}

// unused takes back what was granted and will never leave.
func (w *window) unused(n int) { w.pending = max(0, w.pending-n) }
