package journaltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// Engine is one fresh, empty journal under test. The kit closes it.
type Engine struct {
	journal.Journal
	// Reopen closes the journal and opens another over the same data. It is nil
	// for an engine that keeps nothing beyond its process.
	Reopen func() journal.Journal
	// Shards is the number of shards that it has, at least 5; 0 is as many as
	// there may be.
	Shards int
}

// Run checks every rule of the contract on journals that open makes.
func Run(t *testing.T, open func(t *testing.T) Engine) {
	for _, c := range []struct {
		name string
		run  func(k *kit)
	}{
		{"what was appended is read back in order", (*kit).readsBack},
		{"partitions are separate", (*kit).separate},
		{"reading is paged by size", (*kit).paged},
		{"trimming", (*kit).trims},
		{"positions rise after everything was trimmed", (*kit).trimsAll},
		{"waiting", (*kit).waits},
		{"nothing is kept of the caller's memory", (*kit).copies},
		{"limits", (*kit).limits},
		{"records that are gone", (*kit).lost},
		{"appending and following at once", (*kit).concurrent},
		{"a history drawn at random", (*kit).random},
		{"closing", (*kit).closes},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t)
			k := &kit{t: t, ctx: t.Context(), j: e.Journal, reopen: e.Reopen, shards: cmp.Or(e.Shards, tocsin.MaxShards)}
			t.Cleanup(func() {
				if err := k.j.Close(); err != nil && !errors.Is(err, journal.ErrClosed) {
					t.Errorf("Close: %v", err)
				}
			})
			c.run(k)
		})
	}
}

type kit struct {
	t      *testing.T
	ctx    context.Context
	j      journal.Journal
	reopen func() journal.Journal
	shards int
}

var ledger3 = journal.Partition{Topic: journal.Ledger, Shard: 3}

// restart opens the data again where the engine keeps it.
func (k *kit) restart() {
	if k.reopen != nil {
		k.j = k.reopen()
	}
}

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) append(p journal.Partition, data ...[]byte) []journal.Position {
	k.t.Helper()
	positions, err := k.j.Append(k.ctx, p, data...)
	k.must(err)
	if len(positions) != len(data) {
		k.t.Fatalf("Append of %d records returned %d positions", len(data), len(positions))
	}
	return positions
}

func (k *kit) end(p journal.Partition) journal.Position {
	k.t.Helper()
	end, err := k.j.End(k.ctx, p)
	k.must(err)
	return end
}

func (k *kit) first(p journal.Partition) journal.Position {
	k.t.Helper()
	first, err := k.j.First(k.ctx, p)
	k.must(err)
	return first
}

// readAll reads from a position to the end and checks what every reader relies on.
func (k *kit) readAll(p journal.Partition, from journal.Position, limit int) []journal.Record {
	k.t.Helper()
	var all []journal.Record
	end := k.end(p)
	for at := from; ; {
		records, next, err := k.j.Read(k.ctx, p, at, limit)
		k.must(err)
		for _, r := range records {
			if r.Position < at || r.Position == 0 || r.Position >= next {
				k.t.Fatalf("Read(%d) returned position %d and next %d", at, r.Position, next)
			}
			at = r.Position + 1
		}
		if next < at {
			k.t.Fatalf("next %d lies below %d", next, at)
		}
		all = append(all, records...)
		if at = next; at >= end {
			return all
		}
		if len(records) == 0 {
			k.t.Fatalf("Read(%d) returned nothing below the end %d", at, end)
		}
	}
}

// same checks that exactly these records are there.
func (k *kit) same(got []journal.Record, positions []journal.Position, data [][]byte) {
	k.t.Helper()
	if len(got) != len(data) {
		k.t.Fatalf("read %d records, want %d", len(got), len(data))
	}
	for i, r := range got {
		if r.Position != positions[i] || !bytes.Equal(r.Data, data[i]) {
			k.t.Fatalf("record %d is %d %.40q, want %d %.40q", i, r.Position, r.Data, positions[i], data[i])
		}
	}
}

func texts(format string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, format, i)
	}
	return out
}

func (k *kit) readsBack() {
	if first, end := k.first(ledger3), k.end(ledger3); first != end || end == 0 {
		k.t.Fatalf("an empty partition has First %d and End %d", first, end)
	}
	k.same(k.readAll(ledger3, 0, 1<<20), nil, nil)
	if positions := k.append(ledger3); len(positions) != 0 {
		k.t.Fatal("appending nothing gave a position")
	}
	data := texts("record %d", 10)
	data[4] = nil // a record may be empty
	var positions []journal.Position
	for _, part := range [][][]byte{data[:1], data[1:7], data[7:]} {
		before := k.end(ledger3)
		new := k.append(ledger3, part...)
		if new[0] < before {
			k.t.Fatalf("appended at %d, below the end %d", new[0], before)
		}
		if end := k.end(ledger3); end <= new[len(new)-1] {
			k.t.Fatalf("End %d is not above the appended %d", end, new[len(new)-1])
		}
		positions = append(positions, new...)
	}
	for range 2 {
		if first := k.first(ledger3); first > positions[0] {
			k.t.Fatalf("First %d lies above the first record %d", first, positions[0])
		}
		k.same(k.readAll(ledger3, 0, 1<<20), positions, data)
		k.same(k.readAll(ledger3, positions[3], 1<<20), positions[3:], data[3:])
		end := k.end(ledger3)
		if records, next, err := k.j.Read(k.ctx, ledger3, end, 1); err != nil || len(records) > 0 || next < end {
			k.t.Fatalf("Read at the end: %v, %d, %v", records, next, err)
		}
		k.restart()
		if got := k.end(ledger3); got < end {
			k.t.Fatalf("End fell from %d to %d by opening again", end, got)
		}
	}
	more := k.append(ledger3, []byte("later"))
	if last := positions[len(positions)-1]; more[0] <= last {
		k.t.Fatalf("position %d after %d", more[0], last)
	}
}

func (k *kit) separate() {
	var where []journal.Partition
	for _, topic := range journal.Topics {
		for _, shard := range []tocsin.Shard{0, 1, 255, 256, tocsin.Shard(k.shards - 1)} {
			if int(shard) >= k.shards {
				continue
			}
			where = append(where, journal.Partition{Topic: topic, Shard: shard})
		}
	}
	positions := make([][]journal.Position, len(where))
	for i, p := range where {
		positions[i] = k.append(p, []byte(p.String()))
	}
	k.must(k.j.Trim(k.ctx, where[2], k.end(where[2])))
	k.restart()
	for i, p := range where {
		if i == 2 {
			k.same(k.readAll(p, k.first(p), 1), nil, nil)
			continue
		}
		k.same(k.readAll(p, 0, 1), positions[i], [][]byte{[]byte(p.String())})
	}
}

func (k *kit) paged() {
	data := make([][]byte, 60)
	for i := range data {
		data[i] = bytes.Repeat([]byte{byte(i)}, 100<<10)
	}
	positions := append(k.append(ledger3, data[:30]...), k.append(ledger3, data[30:]...)...)
	for range 2 {
		for _, limit := range []int{0, 1, 250 << 10, 100 << 20} {
			k.same(k.readAll(ledger3, 0, limit), positions, data)
			records, _, err := k.j.Read(k.ctx, ledger3, 0, limit)
			k.must(err)
			if len(records) == 0 || len(records)-2 > limit/(100<<10) {
				k.t.Fatalf("Read with limit %d returned %d records of 100 KiB", limit, len(records))
			}
		}
		k.restart()
	}
}
