package store_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

// A value may grow and shrink; whoever stops between two writes of it leaves
// the old value or the new one.
func TestPartsStopAnywhere(t *testing.T) {
	rows := map[string]store.Row{}
	list := func() (all []store.Row) {
		for _, r := range rows {
			all = append(all, r)
		}
		return all
	}
	var was []byte
	var at store.Parts
	for version, size := range []int{0, 3 << 20, 10, 1 << 20, 0} {
		value := bytes.Repeat([]byte{byte(version + 1)}, size)
		steps, now := store.PutParts("fold", uint64(version+1), value, at)
		for _, w := range slices.Concat(steps...) {
			if len(w.Value) > store.MaxValue {
				t.Fatalf("a row of %d bytes", len(w.Value))
			}
			if w.Delete {
				delete(rows, w.Key)
			} else {
				rows[w.Key] = store.Row{Key: w.Key, Value: w.Value, Version: w.Version}
			}
			have, _, err := store.JoinParts("fold", list())
			if err != nil || !bytes.Equal(have, was) && !bytes.Equal(have, value) {
				t.Fatalf("version %d, after %q: %d bytes, %v", version+1, w.Key, len(have), err)
			}
		}
		have, joined, err := store.JoinParts("fold", list())
		if err != nil || !bytes.Equal(have, value) || joined != now {
			t.Fatalf("version %d: %d bytes at %v, %v", version+1, len(have), joined, err)
		}
		was, at = value, now
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows are left of an empty value", len(rows))
	}
	rows["fold"] = store.Row{Key: "fold", Value: []byte{1}}
	if _, _, err := store.JoinParts("fold", list()); err == nil {
		t.Fatal("a damaged head was read")
	}
}

// Parts that are not in force are not read, and one that is replaced meanwhile
// is read again.
func TestAllOf(t *testing.T) {
	at, ctx := store.Place{Table: "t", Partition: "p"}, t.Context()
	s := &turning{Store: mem.New(time.Now)}
	put := func(version uint64, size int, old store.Parts) store.Parts {
		t.Helper()
		steps, now := store.PutParts("fold", version, bytes.Repeat([]byte{byte(version)}, size), old)
		if err := store.Save(ctx, s.Store, store.InSteps(at, steps...)); err != nil {
			t.Fatal(err)
		}
		return now
	}
	for _, key := range []string{"before", "fold~", "goat"} {
		if err := s.Write(ctx, at, store.Write{Key: key, Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, 2<<20, store.Parts{}) // a writer that ended before it deleted them
	was := put(2, 1<<20, store.Parts{})
	s.turn = func() { was = put(3, 3<<20, was) }
	rows, err := store.AllOf(ctx, s, at, "fold")
	value, parts, joined := store.JoinParts("fold", rows)
	if err != nil || joined != nil || parts != was || len(value) != 3<<20 || len(rows) != 3+1+parts.Count {
		t.Fatalf("%d rows, %d bytes of version %d, %v, %v", len(rows), len(value), parts.Version, err, joined)
	}
}

// turning calls turn once, before the second scan.
type turning struct {
	store.Store
	scans int
	turn  func()
}

func (s *turning) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	if s.scans++; s.scans == 2 {
		s.turn()
	}
	return s.Store.Scan(ctx, at, from, to, limit)
}
