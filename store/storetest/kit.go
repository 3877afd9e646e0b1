package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// Engine is one fresh, empty store under test. The kit closes it.
type Engine struct {
	store.Store
	// Now is the engine's clock, and Advance moves it, or waits that long. The
	// kit advances by seconds, never by hours.
	Now     func() time.Time
	Advance func(time.Duration)
	// Reopen closes the store and opens another over the same data. It is nil
	// for an engine that keeps nothing beyond its process.
	Reopen func() store.Store
}

// Run checks every rule of the contract on stores that open makes.
func Run(t *testing.T, open func(t *testing.T) Engine) {
	for _, c := range []struct {
		name string
		run  func(k *kit)
	}{
		{"the highest version wins", (*kit).versions},
		{"one of equal versions stays", (*kit).equal},
		{"places are separate", (*kit).separate},
		{"scans are ordered and paged", (*kit).scans},
		{"expired rows are never returned", (*kit).expiry},
		{"conditional puts", (*kit).conditional},
		{"one of many conditional puts wins", (*kit).race},
		{"batches are whole", (*kit).batches},
		{"limits", (*kit).limits},
		{"nothing is kept of the caller's memory", (*kit).copies},
		{"a history drawn at random", (*kit).random},
		{"closing", (*kit).closes},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := open(t)
			k := &kit{t: t, ctx: t.Context(), s: e.Store, engine: e}
			t.Cleanup(func() {
				if err := k.s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
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
	s      store.Store
	engine Engine
}

var here = store.Place{Table: "kit", Partition: "one"}

// restart opens the data again where the engine keeps it.
func (k *kit) restart() {
	if k.engine.Reopen != nil {
		k.s = k.engine.Reopen()
	}
}

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) write(at store.Place, batch ...store.Write) {
	k.t.Helper()
	k.must(k.s.Write(k.ctx, at, batch...))
}

// has checks one row, both ways of reading it.
func (k *kit) has(at store.Place, key, value string, version uint64) {
	k.t.Helper()
	for _, get := range []func(context.Context, store.Place, string) (store.Row, error){k.s.Get, k.s.GetLatest} {
		row, err := get(k.ctx, at, key)
		k.must(err)
		if row.Key != key || string(row.Value) != value || row.Version != version {
			k.t.Fatalf("row %q is %q at version %d, want %q at %d", row.Key, row.Value, row.Version, value, version)
		}
	}
}

func (k *kit) lacks(at store.Place, key string) {
	k.t.Helper()
	if row, err := k.s.Get(k.ctx, at, key); !errors.Is(err, store.ErrNotFound) {
		k.t.Fatalf("row %q: %q, %v, want ErrNotFound", key, row.Value, err)
	}
	rows, err := k.s.Scan(k.ctx, at, key, key+"\x00", 1)
	k.must(err)
	if len(rows) != 0 {
		k.t.Fatalf("a scan returned the absent row %q", key)
	}
}

func (k *kit) putIf(key string, old, value []byte, expires time.Time) bool {
	k.t.Helper()
	ok, now, err := k.s.PutIf(k.ctx, here, key, old, value, expires)
	k.must(err)
	if ok && (now.Key != "" || now.Value != nil) {
		k.t.Fatalf("PutIf wrote and returned row %+v", now)
	}
	return ok
}

// scan pages through a range and checks order and ends.
func (k *kit) scan(at store.Place, from, to string, limit int) []store.Row {
	k.t.Helper()
	var all []store.Row
	for {
		rows, err := k.s.Scan(k.ctx, at, from, to, limit)
		k.must(err)
		for _, r := range rows {
			if r.Key < from || to != "" && r.Key >= to || len(all) > 0 && r.Key <= all[len(all)-1].Key {
				k.t.Fatalf("scan from %q to %q returned %q", from, to, r.Key)
			}
			all = append(all, r)
		}
		if len(rows) > limit {
			k.t.Fatalf("scan returned %d rows, limit %d", len(rows), limit)
		}
		if len(rows) < limit {
			return all
		}
		from = rows[len(rows)-1].Key + "\x00"
	}
}

func (k *kit) versions() {
	set := func(value string, version uint64) store.Write {
		return store.Write{Key: "k", Value: []byte(value), Version: version}
	}
	k.lacks(here, "k")
	k.write(here, set("five", 5))
	k.has(here, "k", "five", 5)
	k.write(here, set("four comes late", 4))
	k.write(here, set("five", 5))
	k.has(here, "k", "five", 5)
	k.write(here, set("seven", 7), set("six", 6))
	k.has(here, "k", "seven", 7)
	k.restart()
	k.has(here, "k", "seven", 7)

	k.write(here, store.Write{Key: "k", Version: 6, Delete: true})
	k.has(here, "k", "seven", 7)
	k.write(here, store.Write{Key: "k", Version: 9, Delete: true})
	k.lacks(here, "k")
	k.engine.Advance(3 * time.Second)
	k.restart()
	k.write(here, set("eight comes late", 8))
	k.lacks(here, "k")
	k.write(here, set("ten", 10))
	k.has(here, "k", "ten", 10)
	k.write(here, store.Write{Key: "never there", Version: 3, Delete: true})
	k.write(here, store.Write{Key: "never there", Value: []byte("late"), Version: 2})
	k.lacks(here, "never there")
	k.write(here, store.Write{Key: "empty", Version: 1}, store.Write{Key: "large", Value: []byte("x"), Version: 1<<64 - 1})
	k.has(here, "empty", "", 1)
	k.has(here, "large", "x", 1<<64-1)
}

// equal checks that of two writes with one version the same one is seen by all
// ways of reading, whatever comes again later.
func (k *kit) equal() {
	const rows = 4
	write := func(i int) store.Write {
		w := store.Write{Key: "k", Version: 5, Value: []byte(strings.Repeat("v", i+1)), Expires: k.engine.Now().Add(time.Duration(i+1) * time.Hour)}
		if i == rows-1 {
			w.Delete, w.Value = true, nil
		}
		return w
	}
	for first := range rows {
		for second := range rows {
			at := store.Place{Table: "kit", Partition: fmt.Sprintf("%d-%d", first, second)}
			k.write(at, write(first))
			k.write(at, write(second))
			stays, err := k.s.Get(k.ctx, at, "k")
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				k.t.Fatal(err)
			}
			k.write(at, write(first))
			k.write(at, store.Write{Key: "k", Value: []byte("late"), Version: 4})
			k.restart()
			if stays.Key == "" {
				k.lacks(at, "k")
				continue
			}
			k.has(at, "k", string(stays.Value), 5)
			row := k.scan(at, "", "", 5)[0]
			hours := time.Duration(len(row.Value)) * time.Hour
			if string(row.Value) != string(stays.Value) || row.Expires.Sub(k.engine.Now().Add(hours)).Abs() > time.Minute {
				k.t.Fatalf("of two writes with one version %q expires at %v", row.Value, row.Expires)
			}
		}
	}
}

func (k *kit) separate() {
	places := []store.Place{{Table: "a"}, {Table: "a", Partition: "\x00"}, {Table: "a", Partition: "b"}, {Table: "a", Partition: "b\x00c"},
		{Table: "a", Partition: "\xff\xff"}, {Table: "ab"}, {Table: "a_"}, {Table: "b", Partition: "a"}}
	keys := []string{"\x00", "k", "k\x00", "k\x00\xff", "\xff\xff"}
	for i, at := range places {
		for j, key := range keys {
			k.write(at, store.Write{Key: key, Value: fmt.Appendf(nil, "%d/%d", i, j), Version: 1})
		}
	}
	k.restart()
	for i, at := range places {
		rows := k.scan(at, "", "", 2)
		if len(rows) != len(keys) {
			k.t.Fatalf("place %+q holds %d rows, want %d", at, len(rows), len(keys))
		}
		for j, key := range keys {
			k.has(at, key, fmt.Sprintf("%d/%d", i, j), 1)
			if want := fmt.Sprintf("%d/%d", i, j); rows[j].Key != key || string(rows[j].Value) != want || rows[j].Version != 1 {
				k.t.Fatalf("place %+q: scanned %q = %q, want %q = %q", at, rows[j].Key, rows[j].Value, key, want)
			}
		}
	}
	k.write(places[2], store.Write{Key: "k", Version: 2, Delete: true})
	k.lacks(places[2], "k")
	k.has(places[1], "k", "1/1", 1)
	k.has(places[3], "k", "3/1", 1)
}

func (k *kit) copies() {
	mine := []byte("before")
	k.write(here, store.Write{Key: "k", Value: mine, Version: 1})
	k.putIf("p", nil, mine, time.Time{})
	row, err := k.s.Get(k.ctx, here, "k")
	k.must(err)
	copy(mine, "after!")
	k.has(here, "k", "before", 1)
	k.has(here, "p", "before", 0)
	k.write(here, store.Write{Key: "k", Value: []byte("second"), Version: 2})
	if !bytes.Equal(row.Value, []byte("before")) {
		k.t.Fatalf("a row that was read changed to %q", row.Value)
	}
}

func (k *kit) closes() {
	k.write(here, store.Write{Key: "k", Version: 1})
	k.must(k.s.Close())
	_, got := k.s.Get(k.ctx, here, "k")
	_, latest := k.s.GetLatest(k.ctx, here, "k")
	_, scanned := k.s.Scan(k.ctx, here, "", "", 1)
	_, _, put := k.s.PutIf(k.ctx, here, "p", nil, nil, time.Time{})
	written := k.s.Write(k.ctx, here, store.Write{Key: "k", Version: 2})
	for i, err := range []error{got, latest, scanned, put, written, k.s.Close()} {
		if !errors.Is(err, store.ErrClosed) {
			k.t.Errorf("call %d after Close: %v", i, err)
		}
	}
}
