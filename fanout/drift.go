package fanout

import (
	"time"

	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// detail adds what a provider said of push i of the range.
func (f *flight) detail(e *Answered, a *Answer, d provider.Detail, i int) {
	a.Reason, a.Scope, a.RetryAfter = d.Reason, d.Scope, d.RetryAfter
	if a.Result != provider.Gone {
		return
	}
	dead := &record.Address{Subscription: f.people.IDs[i].Bytes(), Version: f.people.Versions[i]}
	if !d.GoneAt.IsZero() {
		dead.At = d.GoneAt.UnixNano()
	}
	e.Gone = append(e.Gone, dead)
}

// drift fills the histograms from the Writes: one bucket a Write, whatever the
// number of pushes in it.
func (f *flight) drift(e *Answered) {
	b, differ := &f.batch, false
	for _, w := range b.Wrote {
		if e.First.IsZero() || w.At.Before(e.First) {
			e.First = w.At
		}
		if w.At.After(e.Last) {
			e.Last = w.At
		}
		micros := f.driftOf(w.At)
		e.Written = append(e.Written, &record.Bucket{Micros: micros, Count: uint32(w.To - w.From)})
		decided := 0
		for i := w.From; i < w.To; i++ {
			switch b.Results[i] {
			case provider.Accepted, provider.Gone, provider.Refused:
				decided++
			case provider.Lost:
				if f.last {
					decided++
				}
			}
		}
		differ = differ || decided < w.To-w.From
		if decided > 0 {
			e.Decided = append(e.Decided, &record.Bucket{Micros: micros, Count: uint32(decided)})
		}
	}
	switch {
	case !differ:
		e.Decided = nil
	case len(e.Decided) == 0: // written and nothing decided: not the same as all decided
		e.Decided = []*record.Bucket{{}}
	}
}

func (f *flight) driftOf(at time.Time) int64 { return max(0, at.Sub(f.contents.due).Microseconds()) }
