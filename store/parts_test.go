package store

import (
	"bytes"
	"testing"
)

// A value may grow and shrink; whoever stops between two writes of it leaves
// the old value or the new one.
func TestPartsStopAnywhere(t *testing.T) {
	rows := map[string]Row{}
	list := func() (all []Row) {
		for _, r := range rows {
			all = append(all, r)
		}
		return all
	}
	var was []byte
	var at Parts
	for version, size := range []int{0, 3 << 20, 10, 1 << 20, 0} {
		value := bytes.Repeat([]byte{byte(version + 1)}, size)
		writes, now := PutParts("fold", uint64(version+1), value, at)
		for _, w := range writes {
			if len(w.Value) > MaxValue {
				t.Fatalf("a row of %d bytes", len(w.Value))
			}
			if w.Delete {
				delete(rows, w.Key)
			} else {
				rows[w.Key] = Row{Key: w.Key, Value: w.Value, Version: w.Version}
			}
			have, _, err := JoinParts("fold", list())
			if err != nil || !bytes.Equal(have, was) && !bytes.Equal(have, value) {
				t.Fatalf("version %d, after %q: %d bytes, %v", version+1, w.Key, len(have), err)
			}
		}
		have, joined, err := JoinParts("fold", list())
		if err != nil || !bytes.Equal(have, value) || joined != now {
			t.Fatalf("version %d: %d bytes at %v, %v", version+1, len(have), joined, err)
		}
		was, at = value, now
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows are left of an empty value", len(rows))
	}
	rows["fold"] = Row{Key: "fold", Value: []byte{1}}
	if _, _, err := JoinParts("fold", list()); err == nil {
		t.Fatal("a damaged head was read")
	}
}
