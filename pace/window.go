package pace

import "time"

// window counts what leaves in a second. The bucket gives tokens when a push is
// granted, and the provider counts it when it arrives: what waited long for its
// claim to be durable would leave together with what is granted meanwhile. So
// nothing is granted that, with what was granted and has not left, and what left
// lately, would be more than the quota of a second (law L7). What was granted
// counts until all of its range has left, and then for a second: of any second
// in which pushes leave, the one granted last was granted with the others counted.
type window struct {
	limited bool
	most    int // in any second, if limited
	pending int // granted, neither left nor finished
	left    []leave
	sum     int // of left
}

type leave struct {
	from, to time.Time
	n        int
}

const (
	// second is a second and how much closer together pushes may come on the
	// way from our Write to the provider.
	second = time.Second + 10*time.Millisecond
	// grain is how far apart two leaves are told apart: few of them are kept.
	grain = time.Millisecond
)

// configure sets the quota. Another process may have used all of it up to the
// instant at which this one started.
func (w *window) configure(perMinute int, started time.Time) {
	if perMinute <= 0 {
		*w = window{}
		return
	}
	was := w.limited
	w.limited = true
	if w.most = max(1, perMinute/60); !was {
		w.pending = 0
		w.leave(started, w.most, w.most)
	}
}

// free is how many pushes may be granted now.
func (w *window) free(now time.Time, n int) int {
	if !w.limited {
		return n
	}
	return max(0, min(n, w.most-w.used(now)))
}

// used is what left in the last second, or is about to leave.
func (w *window) used(now time.Time) int {
	gone := 0
	for gone < len(w.left) && now.Sub(w.left[gone].to) >= second {
		w.sum -= w.left[gone].n
		gone++
	}
	w.left = w.left[gone:]
	return w.pending + w.sum
}

// ready is when more will be free though nothing is finished; zero: never.
func (w *window) ready() time.Time {
	if len(w.left) == 0 {
		return time.Time{}
	}
	return w.left[0].to.Add(second)
}

func (w *window) grant(n int) {
	if w.limited {
		w.pending += n
	}
}

// leave takes down that of n pending pushes some left now, and the others
// never will.
func (w *window) leave(now time.Time, n, written int) {
	if !w.limited {
		return
	}
	w.pending = max(0, w.pending-n)
	if written == 0 {
		return
	}
	w.sum += written
	if k := len(w.left); k > 0 && now.Sub(w.left[k-1].from) < grain {
		w.left[k-1].to = now
		w.left[k-1].n += written
		return
	}
	w.left = append(w.left, leave{now, now, written})
}
