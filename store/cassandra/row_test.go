package cassandra

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin/store"
)

// Versions are ordered as their timestamps are, and none but 0 is the number
// that the database keeps for no timestamp.
func TestVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64Min(1).Draw(t, "a"), rapid.Uint64Min(1).Draw(t, "b")
		if version(timestamp(a)) != a || (a < b) != (timestamp(a) < timestamp(b)) || timestamp(a) == math.MinInt64 {
			t.Fatalf("%d is %d, %d is %d", a, timestamp(a), b, timestamp(b))
		}
	})
}

func TestCells(t *testing.T) {
	now := time.Unix(1_800_000_000, 5)
	soon, past := now.Add(time.Nanosecond), now
	number := func(n int64) *int64 { return &n }
	plain := func(expires time.Time) cells {
		return cells{plain: plainCell(store.Write{Value: []byte("v"), Expires: expires}), written: number(timestamp(7))}
	}
	put := func(expires time.Time, value []byte) cells { return cells{put: value, expires: number(nanos(expires))} }
	both := plain(time.Time{})
	both.put, both.expires = []byte("p"), number(never)
	over := both
	over.expires = number(past.UnixNano())
	for name, c := range map[string]struct {
		cells
		there bool
		want  store.Row
		err   error
	}{
		"nothing":                 {},
		"plain":                   {cells: plain(time.Time{}), there: true, want: store.Row{Value: []byte("v"), Version: 7}},
		"plain that expires":      {cells: plain(soon), there: true, want: store.Row{Value: []byte("v"), Version: 7, Expires: soon}},
		"plain that has expired":  {cells: plain(past)},
		"put":                     {cells: put(time.Time{}, []byte("v")), there: true, want: store.Row{Value: []byte("v")}},
		"empty put":               {cells: put(soon, nil), there: true, want: store.Row{Value: []byte{}, Expires: soon}},
		"put that has expired":    {cells: put(past, []byte("v"))},
		"plain over an old put":   {cells: over, there: true, want: store.Row{Value: []byte("v"), Version: 7}},
		"written in both ways":    {cells: both, err: errBoth},
		"put, empty, never there": {cells: cells{put: []byte("torn")}},
	} {
		row, there, err := c.row("", now)
		if there != c.there || !errors.Is(err, c.err) || !bytes.Equal(row.Value, c.want.Value) || (row.Value == nil) != (c.want.Value == nil) ||
			row.Version != c.want.Version || !row.Expires.Equal(c.want.Expires) {
			t.Errorf("%s: %+v, %v, %v", name, row, there, err)
		}
	}
	if _, _, err := (&cells{plain: []byte("short"), written: number(1)}).row("", now); err == nil {
		t.Error("a short cell was read")
	}
}

// The database keeps a row for at least as long as its instant says.
func TestTimeToLive(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for expires, want := range map[time.Time]int{
		{}: 0, now.Add(1): 60, now.Add(1500 * time.Millisecond): 61, now.AddDate(1, 0, 0): 365*86400 + 60, now.AddDate(30, 0, 0): 0,
	} {
		if got := ttl(expires, now); got != want {
			t.Errorf("%v: %d s, want %d", expires, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{"8192KiB": 8 << 20, "16MiB": 16 << 20, "1GiB": 1 << 30, "4096B": 4096, "": 0, "much": 0} {
		if got := size(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	for _, r := range []struct {
		of   map[string]string
		want int
	}{{map[string]string{"class": "x", "dc1": "3"}, 3}, {map[string]string{"class": "x", "dc1": "2", "dc2": "2"}, 4}, {map[string]string{"dc1": "3/1"}, 0}} {
		if got, err := replicas(r.of); got != r.want || (err != nil) != (r.want == 0) {
			t.Errorf("%v: %d, %v", r.of, got, err)
		}
	}
}
