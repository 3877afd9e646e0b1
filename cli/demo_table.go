package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// row is one newsroom of the demo.
type row struct {
	Project string       `json:"project"`
	Size    int          `json:"size"` // subscriptions imported
	Send    *client.Send `json:"send"`
}

// table draws the newsrooms; on a terminal it draws over its last drawing.
type table struct {
	out      io.Writer
	overdraw bool
	lines    int
	began    time.Time
}

func (t *table) draw(rows []row) {
	if t.overdraw && t.lines > 0 {
		fmt.Fprintf(t.out, "\x1b[%dA\x1b[J", t.lines)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s %10s %10s %7s %8s %9s %9s %9s %11s\n",
		"newsroom", "audience", "accepted", "gone", "retried", "p50 ms", "p99 ms", "last ms", "quota wait")
	var sum client.Counters
	for _, r := range rows {
		var c client.Counters
		var d client.Drift
		if r.Send != nil && r.Send.Counters != nil {
			c = *r.Send.Counters
		}
		if r.Send != nil && r.Send.Drift != nil {
			d = *r.Send.Drift
		}
		fmt.Fprintf(&b, "%-14s %10d %10d %7d %8d %9.0f %9.0f %9.0f %11.0f\n",
			r.Project, c.Audience, c.Accepted, c.Gone, c.Retried, d.P50, d.P99, d.Last, d.QuotaWait)
		sum.Audience += c.Audience
		sum.Accepted += c.Accepted
		sum.Gone += c.Gone
		sum.Retried += c.Retried
		sum.Pending += c.Pending
	}
	fmt.Fprintf(&b, "%-14s %10d %10d %7d %8d   %.1f s, %d without outcome yet\n",
		"all", sum.Audience, sum.Accepted, sum.Gone, sum.Retried, time.Since(t.began).Seconds(), sum.Pending)
	t.lines = strings.Count(b.String(), "\n")
	io.WriteString(t.out, b.String())
}

// shares cuts a total over n newsrooms of very different sizes: each is a
// fixed part smaller than the one before, and none is empty.
func shares(total, n int) []int {
	const shrink = 0.85
	weights, sum := make([]float64, n), 0.0
	for i := range weights {
		weights[i] = 1
		if i > 0 {
			weights[i] = weights[i-1] * shrink
		}
		sum += weights[i]
	}
	sizes, left := make([]int, n), total
	for i := n - 1; i > 0; i-- {
		sizes[i] = max(1, int(float64(total)*weights[i]/sum))
		left -= sizes[i]
	}
	sizes[0] = left
	return sizes
}
