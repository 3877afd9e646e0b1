package receipt

import (
	"cmp"
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
	spread   bool   // rows of it are in its own place, or on their way
	opened   int64
	ended    int64
	attempts uint64
	first    int64 // instant of the first write
	last     int64
	drift    drift
	told     *record.Counters // as of its position; nil before anybody asked
}

// drift are histograms in microseconds.
type drift struct{ first, decided, quota histogram }

// histogram is sparse, in the order of micros.
type histogram []bucket

type bucket struct {
	micros int64
	count  uint64
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

func (h *histogram) add(micros int64, count uint64) {
	micros = coarse(micros)
	at, ok := slices.BinarySearchFunc(*h, micros, func(b bucket, micros int64) int { return cmp.Compare(b.micros, micros) })
	if !ok {
		*h = slices.Insert(*h, at, bucket{micros: micros})
	}
	(*h)[at].count += count
}

func (h *histogram) tally(buckets []*record.Bucket) (n uint64) {
	for _, b := range buckets {
		h.add(b.Micros, uint64(b.Count))
		n += uint64(b.Count)
	}
	return n
}

func (h histogram) record() []*record.Bucket {
	if len(h) == 0 {
		return nil
	}
	all, block := make([]*record.Bucket, len(h)), make([]record.Bucket, len(h))
	for i, b := range h {
		block[i].Micros, block[i].Count = b.micros, uint32(b.count)
		all[i] = &block[i]
	}
	return all
}

// add counts the writes of a settle in force.
func (c *counting) add(claim *ledger.Claim, s *record.Settle) {
	if s.FirstWrite != 0 && (c.first == 0 || s.FirstWrite < c.first) {
		c.first = s.FirstWrite
	}
	c.last = max(c.last, s.LastWrite)
	for _, run := range s.Runs {
		// A release is no attempt, and neither is one after the first of which
		// no byte left: its time ran out, or it was cancelled.
		if ledger.Result(run.Result) == ledger.Released || claim.Attempt > 1 && s.LastWrite == 0 && !run.Mark {
			c.attempts -= uint64(run.Count)
		}
	}
	if claim.Attempt == 1 {
		c.drift.first.tally(s.Written)
	}
	if !slices.ContainsFunc(s.Runs, func(r *record.Run) bool { return ledger.Result(r.Result).Outcome() != 0 }) {
		return
	}
	decided := s.Decided
	if len(decided) == 0 {
		decided = s.Written
	}
	if n := c.drift.decided.tally(decided); n > 0 {
		c.drift.quota.add(s.QuotaWait/int64(time.Microsecond), n)
	}
}

// counters are the absolute counts of the send as they stand. Nobody may
// change them.
func (c *counting) counters() *record.Counters {
	if c.told != nil && c.told.Position == c.position {
		return c.told
	}
	s := c.send
	out := &record.Counters{
		Send: s.ID.Bytes(), Position: c.position, Audience: uint64(s.Audience), Unknown: s.Unknown,
		Unclaimed: uint64(s.Standing(ledger.Unclaimed)), Claimed: uint64(s.Standing(ledger.Claimed)), Later: uint64(s.Standing(ledger.Waiting)),
		Cancelled: s.Cancelled, Closed: s.Closed, Opened: c.opened, Ended: c.ended, FirstWrite: c.first, LastWrite: c.last,
		First: c.drift.first.record(), Decided: c.drift.decided.record(), Quota: c.drift.quota.record(), Attempts: c.attempts,
	}
	if !s.Due.IsZero() {
		out.Due = s.Due.UnixNano()
	}
	for _, o := range tocsin.Outcomes {
		if s.Count(o) == 0 {
			continue
		}
		doubtful := uint64(s.Doubtful(o))
		for reason := range tocsin.Reason(32) {
			if n := s.Reasons(o, reason); n > 0 {
				out.Tallies = append(out.Tallies, &record.Tally{Outcome: uint32(o), Reason: uint32(reason), Count: uint64(n), Doubtful: doubtful})
				doubtful = 0
			}
		}
	}
	c.told = out
	return out
}

// resume is the reverse of counters for a send that is open.
func resume(s *ledger.Send, c *record.Counters) *counting {
	out := &counting{send: s, position: c.Position, saved: c.Position, spread: true, opened: c.Opened, attempts: c.Attempts, first: c.FirstWrite, last: c.LastWrite}
	out.drift.first.tally(c.First)
	out.drift.decided.tally(c.Decided)
	out.drift.quota.tally(c.Quota)
	return out
}
