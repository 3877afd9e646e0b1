package receipt

import (
	"math/bits"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
)

// counting is what is known of an open send beside its fold.
type counting struct {
	send     *ledger.Send
	position uint64 // of the last record that touched it
	touched  int64  // its time
	saved    uint64 // position of the row that is written
	opened   int64
	ended    int64
	attempts uint64
	first    int64 // instant of the first write
	last     int64
	drift    drift
}

// drift are sparse histograms in microseconds.
type drift struct{ first, decided, quota map[int64]uint64 }

func newDrift() drift {
	return drift{map[int64]uint64{}, map[int64]uint64{}, map[int64]uint64{}}
}

// coarse keeps the eight highest bits of a value: an error below 1 %, and
// histograms of a bounded number of buckets.
func coarse(micros int64) int64 {
	if micros < 0 {
		return 0 // the clock was set back
	}
	low := max(bits.Len64(uint64(micros))-8, 0)
	return micros >> low << low
}

func tally(into map[int64]uint64, buckets []*record.Bucket) (n uint64) {
	for _, b := range buckets {
		into[coarse(b.Micros)] += uint64(b.Count)
		n += uint64(b.Count)
	}
	return n
}

// add counts the writes of a settle in force.
func (c *counting) add(claim *ledger.Claim, s *record.Settle) {
	if s.FirstWrite != 0 && (c.first == 0 || s.FirstWrite < c.first) {
		c.first = s.FirstWrite
	}
	c.last = max(c.last, s.LastWrite)
	if claim.Attempt == 1 {
		tally(c.drift.first, s.Written)
	}
	if !slices.ContainsFunc(s.Runs, func(r *record.Run) bool { return ledger.Result(r.Result).Outcome() != 0 }) {
		return
	}
	decided := s.Decided
	if len(decided) == 0 {
		decided = s.Written
	}
	if n := tally(c.drift.decided, decided); n > 0 {
		c.drift.quota[coarse(s.QuotaWait/int64(time.Microsecond))] += n
	}
}

// counters are the absolute counts of the send as they stand.
func (c *counting) counters() *record.Counters {
	s := c.send
	out := &record.Counters{
		Send: s.ID.Bytes(), Position: c.position, Audience: uint64(s.Audience), Unknown: s.Unknown,
		Unclaimed: uint64(s.Standing(ledger.Unclaimed)), Claimed: uint64(s.Standing(ledger.Claimed)), Later: uint64(s.Standing(ledger.Waiting)),
		Cancelled: s.Cancelled, Closed: s.Closed, Opened: c.opened, Ended: c.ended, FirstWrite: c.first, LastWrite: c.last,
		First: buckets(c.drift.first), Decided: buckets(c.drift.decided), Quota: buckets(c.drift.quota), Attempts: c.attempts,
	}
	if !s.Due.IsZero() {
		out.Due = s.Due.UnixNano()
	}
	for _, o := range tocsin.Outcomes {
		doubtful := uint64(s.Doubtful(o))
		for reason := range tocsin.Reason(32) {
			if n := s.Reasons(o, reason); n > 0 {
				out.Tallies = append(out.Tallies, &record.Tally{Outcome: uint32(o), Reason: uint32(reason), Count: uint64(n), Doubtful: doubtful})
				doubtful = 0
			}
		}
	}
	return out
}

func buckets(m map[int64]uint64) []*record.Bucket {
	if len(m) == 0 {
		return nil
	}
	keys := make([]int64, 0, len(m))
	for micros := range m {
		keys = append(keys, micros)
	}
	slices.Sort(keys)
	all, block := make([]*record.Bucket, len(keys)), make([]record.Bucket, len(keys))
	for i, micros := range keys {
		block[i].Micros, block[i].Count = micros, uint32(m[micros])
		all[i] = &block[i]
	}
	return all
}

// resume is the reverse of counters for a send that is open.
func resume(s *ledger.Send, c *record.Counters) *counting {
	out := &counting{send: s, position: c.Position, saved: c.Position, opened: c.Opened, attempts: c.Attempts, first: c.FirstWrite, last: c.LastWrite,
		drift: newDrift()}
	tally(out.drift.first, c.First)
	tally(out.drift.decided, c.Decided)
	tally(out.drift.quota, c.Quota)
	return out
}
