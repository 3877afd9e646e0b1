package receipt

import (
	"context"
	"fmt"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Outcome is how one push of a closed send ended.
type Outcome struct {
	Ordinal uint32
	Route   *record.Route
	Outcome tocsin.Outcome
	Reason  tocsin.Reason
	Doubt   bool
	Attempt int // the last one; 0 when none was claimed
}

// Outcomes calls each for every push of a send that is closed on this shard
// and saved, in cutting order, until it returns false. It is false when there
// is no such send.
func (s *Shell) Outcomes(ctx context.Context, id tocsin.SendID, each func(Outcome) bool) (bool, error) {
	read, err := s.stored(ctx, id)
	if err != nil {
		return false, err
	}
	rows, err := read("", "~")
	if err != nil {
		return false, err
	}
	c, err := ReadCounters(rows)
	if err != nil || c == nil || !c.Closed {
		return false, err
	}
	return true, ReadOutcomes(rows, each)
}

// ReadCounters finds the counters among the rows of a send, nil when there are none.
func ReadCounters(rows []store.Row) (*record.Counters, error) {
	for _, r := range rows {
		if r.Key == countersKey {
			return decodeCounters(r.Value)
		}
	}
	return nil, nil
}

// ReadOutcomes is Outcomes over all the rows of a closed send.
func ReadOutcomes(rows []store.Row, each func(Outcome) bool) error {
	all := Live{next: 1<<64 - 1}
	ends := make(map[string][]byte)
	for _, r := range rows {
		if strings.HasPrefix(r.Key, "end/") {
			ends[r.Key] = r.Value
		}
	}
	page, chunks := 0, uint32(0)
	for _, data := range all.rows(rows, "open/") {
		e, err := record.Decode(data)
		if err != nil {
			return fmt.Errorf("receipt: row of an open: %w", err)
		}
		if o := e.GetOpen(); o.GetChunk() == 0 {
			chunks = o.GetChunks()
		} else if o.GetChunk() >= chunks {
			break // of a longer open, torn by a take before this one
		}
		for _, lot := range e.GetOpen().GetLots() {
			bits := roaring.New()
			if _, err := bits.FromBuffer(lot.Ordinals); err != nil {
				return fmt.Errorf("receipt: ordinals of a lot: %w", err)
			}
			ordinals := bits.ToArray()
			for ; len(ordinals) > 0; page++ {
				n := min(tocsin.PageSize, len(ordinals))
				if more, err := readEnd(ends[endKey(page)], page, lot.Route, ordinals[:n], each); err != nil || !more {
					return err
				}
				ordinals = ordinals[n:]
			}
		}
	}
	return nil
}

func readEnd(data []byte, page int, route *record.Route, ordinals []uint32, each func(Outcome) bool) (more bool, err error) {
	end := new(record.PageEnd)
	if err := end.UnmarshalVT(data); err != nil {
		return false, fmt.Errorf("receipt: end of a page: %w", err)
	}
	for _, run := range end.Runs {
		if int(run.Count) > len(ordinals) {
			return false, fmt.Errorf("receipt: page %d ends with too many pushes", page)
		}
		for _, ordinal := range ordinals[:run.Count] {
			if !each(Outcome{Ordinal: ordinal, Route: route, Outcome: tocsin.Outcome(run.Outcome),
				Reason: tocsin.Reason(run.Reason), Doubt: run.Mark, Attempt: int(run.Attempt)}) {
				return false, nil
			}
		}
		ordinals = ordinals[run.Count:]
	}
	if len(ordinals) > 0 {
		return false, fmt.Errorf("receipt: the end of page %d is missing", page)
	}
	return true, nil
}
