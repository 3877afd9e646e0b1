package receipt

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Status is how a send stands, over the shards whose counters were merged.
// Audience is the sum of Open and of Outcomes (law L1).
type Status struct {
	Audience  uint64
	Unknown   uint64 // explicit recipients that nobody knows
	Unclaimed uint64
	Claimed   uint64
	Later     uint64
	Outcomes  [tocsin.InDoubt + 1]uint64 // by tocsin.Outcome
	Doubtful  [tocsin.InDoubt + 1]uint64 // those of them that are marked
	Reasons   map[Why]uint64
	Attempts  uint64 // pushes claimed, over all attempts, less those of later ones that did not leave
	Shards    int    // that have opened it
	Closed    int    // of them, those on which every push has its outcome
	Cancelled bool

	First, Decided, Quota Drift // of first attempts; of deciding ones; the part of those spent waiting for tokens
	FirstWrite, LastWrite time.Time
}

// Why is an outcome with its reason.
type Why struct {
	Outcome tocsin.Outcome
	Reason  tocsin.Reason
}

// Drift are quantiles over the pushes written; zero where there is none.
type Drift struct{ P50, P99, Last time.Duration }

// Open is the number of pushes without an outcome.
func (s Status) Open() uint64 { return s.Unclaimed + s.Claimed + s.Later }

// Merge adds up the counters of one send on different shards. Quantiles are
// exact to 1 %.
func Merge(counters ...*record.Counters) Status {
	s := Status{Reasons: map[Why]uint64{}}
	var first, decided, quota *hdrhistogram.Histogram
	for _, c := range counters {
		s.Shards++
		s.Audience += c.Audience
		s.Unknown += c.Unknown
		s.Unclaimed += c.Unclaimed
		s.Claimed += c.Claimed
		s.Later += c.Later
		s.Attempts += c.Attempts
		s.Cancelled = s.Cancelled || c.Cancelled
		if c.Closed {
			s.Closed++
		}
		for _, t := range c.Tallies {
			if t.Outcome > uint32(tocsin.InDoubt) {
				continue // of a newer build; the sum shows that it is missing
			}
			s.Outcomes[t.Outcome] += t.Count
			s.Doubtful[t.Outcome] += t.Doubtful
			s.Reasons[Why{tocsin.Outcome(t.Outcome), tocsin.Reason(t.Reason)}] += t.Count
		}
		first, decided, quota = fill(first, c.First), fill(decided, c.Decided), fill(quota, c.Quota)
		if at := time.Unix(0, c.FirstWrite); c.FirstWrite != 0 && (s.FirstWrite.IsZero() || at.Before(s.FirstWrite)) {
			s.FirstWrite = at
		}
		if at := time.Unix(0, c.LastWrite); c.LastWrite != 0 && at.After(s.LastWrite) {
			s.LastWrite = at
		}
	}
	s.First, s.Decided, s.Quota = quantiles(first), quantiles(decided), quantiles(quota)
	return s
}

// longest is the highest drift that is told apart, in microseconds: 60 days.
const longest = 60 * 24 * 3600 * 1_000_000

func fill(h *hdrhistogram.Histogram, buckets []*record.Bucket) *hdrhistogram.Histogram {
	for _, b := range buckets {
		if h == nil {
			h = hdrhistogram.New(1, longest, 3)
		}
		// The only error is a value beyond the longest, which min excludes.
		_ = h.RecordValues(min(b.Micros, longest), int64(b.Count))
	}
	return h
}

func quantiles(h *hdrhistogram.Histogram) Drift {
	if h == nil {
		return Drift{}
	}
	micros := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	return Drift{P50: micros(h.ValueAtQuantile(50)), P99: micros(h.ValueAtQuantile(99)), Last: micros(h.Max())}
}

// Status is the counters of a send on this shard as they stand, nil when the
// machine does not hold them: not opened here, or closed and saved.
func (m *Machine) Status(id tocsin.SendID) *record.Counters {
	if c := m.open[id]; c != nil {
		return c.counters()
	}
	return m.rows.ended[id]
}
