package disk_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal"
)

// What is redacted reads so everywhere: from memory, from disk, after a restart.
// All else stays, and positions do.
func TestRedact(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	j := open(t, dir, quick(vfs.Default))
	at, other := journal.Partition{Topic: journal.Slices, Shard: 1}, journal.Partition{Topic: journal.Slices, Shard: 2}
	var want [][]byte
	var positions []journal.Position
	for i := range 300 { // far more than the tail holds
		data := fmt.Appendf(nil, "%d %s", i, bytes.Repeat([]byte{'x'}, 100))
		if i%3 == 0 {
			data = fmt.Appendf(data, " anna")
		}
		p, err := j.Append(ctx, at, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append(ctx, other, data); err != nil {
			t.Fatal(err)
		}
		positions, want = append(positions, p[0]), append(want, data)
	}
	if err := j.Trim(ctx, at, positions[10]); err != nil {
		t.Fatal(err)
	}
	without := func(data []byte) []byte {
		if !bytes.Contains(data, []byte(" anna")) {
			return nil
		}
		return bytes.ReplaceAll(data, []byte(" anna"), nil)
	}
	for range 2 { // a repeat changes nothing
		if err := j.Redact(ctx, at, positions[290], without); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		for _, p := range []journal.Partition{at, other} {
			from, n := positions[10], 10
			for n < len(want) {
				records, next, err := j.Read(ctx, p, from, 1000)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					data := want[n]
					if p == at && n < 290 && n%3 == 0 {
						data = without(data)
					}
					if r.Position != positions[n] || !bytes.Equal(r.Data, data) {
						t.Fatalf("%s: record %d at %d is %q, want %q at %d", p, n, r.Position, r.Data, data, positions[n])
					}
					n++
				}
				from = next
			}
		}
	}
	check()
	if err := j.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	check()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, quick(vfs.Default))
	check()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
