package journaltest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// concurrent lets writers append while readers follow: a reader sees positions
// rise, every record once, the records of one Append in their order, and never
// one that appears below a place it has passed.
func (k *kit) concurrent() {
	const writers, appends, batch, readers = 4, 40, 3, 2
	var all sync.WaitGroup
	errs := make(chan error, writers+readers)
	for w := range writers {
		all.Go(func() {
			for n := range appends {
				data := texts(fmt.Sprintf("%d/%d/%%d", w, n), batch)
				positions, err := k.j.Append(k.ctx, ledger3, data...)
				if err != nil {
					errs <- err
					return
				}
				end, err := k.j.End(k.ctx, ledger3)
				if err != nil || end <= positions[batch-1] {
					errs <- fmt.Errorf("End %d after an append at %v: %v", end, positions, err)
					return
				}
			}
		})
	}
	for range readers {
		all.Go(func() { errs <- k.follow(writers, appends, batch) })
	}
	all.Wait()
	close(errs)
	for err := range errs {
		k.must(err)
	}
}

func (k *kit) follow(writers, appends, batch int) error {
	next := make([]int, writers) // per writer, the count of records seen
	var at, last journal.Position
	for seen := 0; seen < writers*appends*batch; {
		if err := k.j.Wait(k.ctx, ledger3, at); err != nil {
			return err
		}
		records, after, err := k.j.Read(k.ctx, ledger3, at, 200)
		if err != nil {
			return err
		}
		for _, r := range records {
			var w, n, i int
			if _, err := fmt.Sscanf(string(r.Data), "%d/%d/%d", &w, &n, &i); err != nil {
				return err
			}
			if r.Position <= last || n*batch+i != next[w] {
				return fmt.Errorf("read %q at %d after position %d, want record %d of its writer", r.Data, r.Position, last, next[w])
			}
			last, next[w] = r.Position, next[w]+1
		}
		seen, at = seen+len(records), after
	}
	return nil
}

// random plays drawn calls on a few partitions beside a plain model.
func (k *kit) random() {
	seed := uint64(time.Now().UnixNano())
	k.t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	model := make([]struct {
		positions []journal.Position
		data      [][]byte
		low       journal.Position // every position below was trimmed
	}, 3)
	for step := range 400 {
		shard := r.IntN(len(model))
		p, m := journal.Partition{Topic: journal.Changes, Shard: tocsin.Shard(shard)}, &model[shard]
		switch n := r.IntN(100); {
		case n < 60:
			data := texts(fmt.Sprintf("step %d record %%d ", step), 1+r.IntN(4))
			for i := range data {
				data[i] = append(data[i], make([]byte, r.IntN(3000))...)
			}
			m.positions, m.data = append(m.positions, k.append(p, data...)...), append(m.data, data...)
		case n < 70 && len(m.positions) > 0:
			i := r.IntN(len(m.positions))
			if before := m.positions[i] + journal.Position(r.IntN(2)); before > m.low {
				k.must(k.j.Trim(k.ctx, p, before))
				m.low = before
				for len(m.positions) > 0 && m.positions[0] < before {
					m.positions, m.data = m.positions[1:], m.data[1:]
				}
			}
		case n < 73:
			k.restart()
		default:
			i, from := 0, k.first(p)
			if len(m.positions) > 0 && r.IntN(2) == 0 {
				i = r.IntN(len(m.positions))
				from = m.positions[i]
			}
			k.same(k.readAll(p, from, r.IntN(20000)), m.positions[i:], m.data[i:])
		}
	}
}
