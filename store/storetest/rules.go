package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

func (k *kit) scans() {
	var batch []store.Write
	for i := range 100 {
		batch = append(batch, store.Write{Key: fmt.Sprintf("%02d", (i*37)%100), Value: []byte("v"), Version: 1})
	}
	k.write(here, batch...)
	k.write(here, store.Write{Key: "50", Version: 2, Delete: true}, store.Write{Key: "51", Version: 2, Delete: true})
	for range 2 {
		for _, limit := range []int{1, 7, 98, 1000, store.MaxScan} {
			if rows := k.scan(here, "", "", limit); len(rows) != 98 || rows[50].Key != "52" {
				k.t.Fatalf("scan by %d returned %d rows", limit, len(rows))
			}
		}
		if rows := k.scan(here, "10", "20", 3); len(rows) != 10 || rows[0].Key != "10" || rows[9].Key != "19" {
			k.t.Fatalf("scan from 10 to 20 returned %d rows", len(rows))
		}
		for _, none := range [][2]string{{"50", "52"}, {"20", "10"}, {"99x", ""}} {
			if rows := k.scan(here, none[0], none[1], 5); len(rows) != 0 {
				k.t.Fatalf("scan from %q to %q returned %q", none[0], none[1], rows[0].Key)
			}
		}
		k.restart()
	}
}

func (k *kit) expiry() {
	start := k.engine.Now()
	k.write(here, store.Write{Key: "short", Value: []byte("v"), Version: 5, Expires: start.Add(5 * time.Second)},
		store.Write{Key: "long", Value: []byte("v"), Version: 5, Expires: start.Add(time.Hour)})
	if !k.putIf("lock", nil, []byte("mine"), start.Add(5*time.Second)) {
		k.t.Fatal("PutIf on an absent row wrote nothing")
	}
	k.has(here, "short", "v", 5)
	k.has(here, "lock", "mine", 0)
	row, err := k.s.Get(k.ctx, here, "long")
	k.must(err)
	if d := row.Expires.Sub(start.Add(time.Hour)).Abs(); d > time.Second {
		k.t.Fatalf("expiry is off by %v", d)
	}
	k.engine.Advance(6 * time.Second)
	for range 2 {
		k.lacks(here, "short")
		k.lacks(here, "lock")
		if rows := k.scan(here, "", "", 1); len(rows) != 1 || rows[0].Key != "long" {
			k.t.Fatalf("scan found %d rows, want the unexpired one", len(rows))
		}
		k.restart()
	}
	k.write(here, store.Write{Key: "short", Value: []byte("late"), Version: 4})
	k.lacks(here, "short")
	k.write(here, store.Write{Key: "short", Value: []byte("next"), Version: 6})
	k.has(here, "short", "next", 6)
	if k.putIf("lock", []byte("mine"), []byte("renewed"), time.Time{}) {
		k.t.Fatal("PutIf took an expired row for present")
	}
	if !k.putIf("lock", nil, []byte("theirs"), time.Time{}) {
		k.t.Fatal("PutIf took an expired row for present")
	}
	k.has(here, "lock", "theirs", 0)
	// A longer life replaces a shorter one.
	k.write(here, store.Write{Key: "long", Value: []byte("v"), Version: 6})
	row, err = k.s.Get(k.ctx, here, "long")
	k.must(err)
	if !row.Expires.IsZero() {
		k.t.Fatalf("a row without expiry expires at %v", row.Expires)
	}
}

func (k *kit) conditional() {
	never := time.Time{}
	if k.putIf("p", []byte("a"), []byte("b"), never) {
		k.t.Fatal("PutIf replaced an absent row")
	}
	if !k.putIf("p", nil, []byte("a"), never) || k.putIf("p", nil, []byte("b"), never) {
		k.t.Fatal("PutIf of a new row is not once only")
	}
	k.restart()
	ok, now, err := k.s.PutIf(k.ctx, here, "p", []byte("x"), []byte("b"), never)
	k.must(err)
	if ok || now.Key != "p" || string(now.Value) != "a" || now.Version != 0 {
		k.t.Fatalf("PutIf on another value: %v, %+v", ok, now)
	}
	if !k.putIf("p", []byte("a"), []byte{}, never) {
		k.t.Fatal("PutIf on the right value wrote nothing")
	}
	k.has(here, "p", "", 0)
	if k.putIf("p", nil, []byte("c"), never) {
		k.t.Fatal("an empty value was taken for an absent row")
	}
	if !k.putIf("p", []byte{}, nil, never) {
		k.t.Fatal("PutIf of nil deleted nothing")
	}
	k.lacks(here, "p")
	k.restart()
	if k.putIf("p", []byte{}, []byte("d"), never) || !k.putIf("p", nil, []byte("e"), never) {
		k.t.Fatal("a deleted row is not absent")
	}
	k.has(here, "p", "e", 0)
	if rows := k.scan(here, "p", "q", 5); len(rows) != 1 || string(rows[0].Value) != "e" {
		k.t.Fatalf("scan over a conditional row returned %+v", rows)
	}
}

// race lets many count up one row: every success is counted once, and a put whose
// outcome is not known at most once.
func (k *kit) race() {
	const racers, rounds = 4, 25
	var doubts atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, racers)
	count := func() error {
		for wins := 0; wins < rounds; {
			var old []byte
			row, err := k.s.GetLatest(k.ctx, here, "count")
			if err == nil {
				old = row.Value
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
			n := 0
			if old != nil {
				n = int(old[0])
			}
			ok, now, err := k.s.PutIf(k.ctx, here, "count", old, []byte{byte(n + 1)}, time.Time{})
			if errors.Is(err, store.ErrAmbiguous) && doubts.Add(1) <= 100 {
				continue
			}
			if err != nil {
				return err
			}
			if ok {
				wins++
			} else if len(now.Value) == 0 || int(now.Value[0]) <= n {
				return fmt.Errorf("PutIf failed on %d and returned %+v", n, now)
			}
		}
		return nil
	}
	for range racers {
		all.Go(func() { errs <- count() })
	}
	all.Wait()
	for range racers {
		k.must(<-errs)
	}
	k.restart()
	row, err := k.s.GetLatest(k.ctx, here, "count")
	k.must(err)
	k.has(here, "count", string(row.Value), 0)
	if n := int(row.Value[0]); n < racers*rounds || n > racers*rounds+int(doubts.Load()) {
		k.t.Fatalf("%d puts succeeded, %d are not known, and %d are counted", racers*rounds, doubts.Load(), n)
	}
}

// batches lets readers watch a pair of rows that is only ever written together.
func (k *kit) batches() {
	var all sync.WaitGroup
	errs := make(chan error, 2)
	done := make(chan struct{})
	all.Go(func() {
		defer close(done)
		for v := uint64(1); v <= 60; v++ {
			value := fmt.Appendf(nil, "%d", v)
			batch := []store.Write{{Key: "a", Value: value, Version: v}, {Key: "b", Value: value, Version: v}}
			if err := k.s.Write(k.ctx, here, batch...); err != nil {
				errs <- err
				return
			}
		}
	})
	all.Go(func() {
		var last uint64
		for {
			rows, err := k.s.Scan(k.ctx, here, "", "", 10)
			if err != nil || len(rows) > 0 && (len(rows) != 2 || rows[0].Version != rows[1].Version || rows[0].Version < last) {
				errs <- fmt.Errorf("a batch was seen in part: %+v, %v", rows, err)
				return
			}
			if len(rows) > 0 {
				last = rows[0].Version
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	all.Wait()
	close(errs)
	k.must(<-errs)
	k.has(here, "a", "60", 60)
	k.has(here, "b", "60", 60)
}

func (k *kit) limits() {
	long := func(n int) string { return strings.Repeat("x", n) }
	value := []byte(long(store.MaxValue))
	k.write(here, store.Write{Key: long(store.MaxKey), Value: value, Version: 1})
	k.has(here, long(store.MaxKey), string(value), 1)
	widest := store.Place{Table: strings.Repeat("z", store.MaxTable), Partition: long(store.MaxPartition)}
	k.write(widest, store.Write{Key: "k", Version: 1})
	k.has(widest, "k", "", 1)
	k.write(here) // an empty batch is no error
	most := make([]store.Write, store.MaxWrites)
	for i := range most {
		most[i] = store.Write{Key: fmt.Sprintf("most %04d", i), Version: 1}
	}
	k.write(here, most...)
	if rows := k.scan(here, "most ", "most~", 300); len(rows) != len(most) {
		k.t.Fatalf("%d rows are left of a batch of %d", len(rows), len(most))
	}
	half := store.Write{Value: value[:store.MaxValue-1], Version: 1}
	batch := []store.Write{half, half, half, half}
	for i := range batch {
		batch[i].Key = string(rune('1' + i))
	}
	k.write(here, batch...)
	k.has(here, "4", string(half.Value), 1)

	tooLarge := map[string]error{
		"value":     k.s.Write(k.ctx, here, store.Write{Key: "k", Value: append(value, 'x'), Version: 1}),
		"key":       k.s.Write(k.ctx, here, store.Write{Key: long(store.MaxKey + 1), Version: 1}),
		"partition": k.s.Write(k.ctx, store.Place{Table: "kit", Partition: long(store.MaxPartition + 1)}, store.Write{Key: "k", Version: 1}),
		"batch":     k.s.Write(k.ctx, here, store.Write{Key: "k", Version: 1, Value: value}, store.Write{Key: "l", Version: 1, Value: value}, store.Write{Key: "m", Version: 1, Value: value}, store.Write{Key: "n", Version: 1, Value: value}),
		"rows":      k.s.Write(k.ctx, here, make([]store.Write, store.MaxWrites+1)...),
		"conditional": func() error {
			_, _, err := k.s.PutIf(k.ctx, here, "k", nil, append(value, 'x'), time.Time{})
			return err
		}(),
	}
	for what, err := range tooLarge {
		if !errors.Is(err, store.ErrTooLarge) {
			k.t.Errorf("%s over the limit: %v", what, err)
		}
	}
	refused := map[string]error{
		"version 0":     k.s.Write(k.ctx, here, store.Write{Key: "k"}),
		"no key":        k.s.Write(k.ctx, here, store.Write{Version: 1}),
		"no table":      k.s.Write(k.ctx, store.Place{}, store.Write{Key: "k", Version: 1}),
		"table's name":  k.s.Write(k.ctx, store.Place{Table: "Upper"}, store.Write{Key: "k", Version: 1}),
		"limit 0":       func() error { _, err := k.s.Scan(k.ctx, here, "", "", 0); return err }(),
		"limit too big": func() error { _, err := k.s.Scan(k.ctx, here, "", "", store.MaxScan+1); return err }(),
	}
	for what, err := range refused {
		if err == nil {
			k.t.Errorf("%s was accepted", what)
		}
	}
	k.lacks(here, "k")
}
