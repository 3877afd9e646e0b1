package store

import (
	"context"
	"time"
)

// Batch is what is written into one place at once.
type Batch struct {
	Place  Place
	Writes []Write
}

// Batches cuts writes into batches of at most 2 MiB, in their order; they share
// the memory of writes.
func Batches(at Place, writes []Write) (batches []Batch) {
	from, size := 0, 0
	for i, w := range writes {
		n := len(w.Key) + len(w.Value)
		if i > from && (size+n > MaxBatch/2 || i-from == MaxWrites) {
			batches = append(batches, Batch{at, writes[from:i:i]})
			from, size = i, 0
		}
		size += n
	}
	if from < len(writes) {
		batches = append(batches, Batch{at, writes[from:len(writes):len(writes)]})
	}
	return batches
}

// InSteps cuts steps into batches, in their order; no batch has writes of two.
func InSteps(at Place, steps ...[]Write) (batches []Batch) {
	for _, writes := range steps {
		batches = append(batches, Batches(at, writes)...)
	}
	return batches
}

// Pause is how long to wait between the start of a save and the next one: at
// least so long, and long enough to write 2 MiB a second on average. What is
// saved whole, like the fold of a ledger, grows with the sends that are open.
func Pause(least time.Duration, batches []Batch) time.Duration {
	const rate = 2 << 20
	size := 0
	for _, b := range batches {
		for _, w := range b.Writes {
			size += len(w.Key) + len(w.Value)
		}
	}
	return max(least, time.Duration(size)*time.Second/rate)
}

// Save writes batches one after the other and stops at the first error.
func Save(ctx context.Context, s Store, batches []Batch) error {
	for _, b := range batches {
		if err := s.Write(ctx, b.Place, b.Writes...); err != nil {
			return err
		}
	}
	return nil
}

// All reads every row of a place from one key to below another, as Scan does.
func All(ctx context.Context, s Store, at Place, from, to string) (all []Row, err error) {
	const page = 1000
	for {
		rows, err := s.Scan(ctx, at, from, to, page)
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if len(rows) < page {
			return all, nil
		}
		from = rows[len(rows)-1].Key + "\x00"
	}
}
