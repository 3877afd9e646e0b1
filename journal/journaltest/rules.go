package journaltest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

func (k *kit) trims() {
	data := texts("record %d", 20)
	positions := k.append(ledger3, data...)
	k.must(k.j.Trim(k.ctx, ledger3, 0))
	k.same(k.readAll(ledger3, 0, 1<<20), positions, data)

	cut := positions[8]
	kept, _, err := k.j.Read(k.ctx, ledger3, 0, 1<<20)
	k.must(err)
	k.must(k.j.Trim(k.ctx, ledger3, cut))
	k.same(kept, positions, data) // the reader's records stay the reader's
	for range 2 {
		for _, lower := range []journal.Position{0, positions[2], cut} {
			k.must(k.j.Trim(k.ctx, ledger3, lower))
		}
		if first := k.first(ledger3); first <= positions[7] || first > cut {
			k.t.Fatalf("First %d after Trim(%d)", first, cut)
		}
		for _, from := range []journal.Position{0, 1, positions[7]} {
			if records, _, err := k.j.Read(k.ctx, ledger3, from, 1<<20); !errors.Is(err, journal.ErrTrimmed) {
				k.t.Fatalf("Read(%d) below First returned %d records and %v", from, len(records), err)
			}
			k.must(k.j.Wait(k.ctx, ledger3, from))
		}
		k.same(k.readAll(ledger3, k.first(ledger3), 1<<20), positions[8:], data[8:])
		k.restart()
	}
}

func (k *kit) trimsAll() {
	for round := range 3 {
		positions := k.append(ledger3, texts("record %d", 5)...)
		end := k.end(ledger3)
		k.must(k.j.Trim(k.ctx, ledger3, end+1000))
		for range 2 {
			first, now := k.first(ledger3), k.end(ledger3)
			if first != now || now < end {
				k.t.Fatalf("round %d: First %d and End %d after everything below %d was trimmed", round, first, now, end)
			}
			k.same(k.readAll(ledger3, now, 1), nil, nil)
			if _, _, err := k.j.Read(k.ctx, ledger3, positions[4], 1); !errors.Is(err, journal.ErrTrimmed) {
				k.t.Fatalf("reading a trimmed record: %v", err)
			}
			k.restart()
		}
		// Trim above End reached no record yet to come.
		more := k.append(ledger3, []byte("later"))
		if more[0] < end {
			k.t.Fatalf("position %d below the earlier end %d", more[0], end)
		}
		k.same(k.readAll(ledger3, k.first(ledger3), 1), more, [][]byte{[]byte("later")})
	}
}

func (k *kit) waits() {
	waiting := func(ctx context.Context, from journal.Position) <-chan error {
		done := make(chan error, 1)
		go func(j journal.Journal) { done <- j.Wait(ctx, ledger3, from) }(k.j)
		return done
	}
	short, stop := context.WithTimeout(k.ctx, 20*time.Millisecond)
	defer stop()
	if err := <-waiting(short, k.end(ledger3)); !errors.Is(err, context.DeadlineExceeded) {
		k.t.Fatalf("Wait at the end of an empty partition: %v", err)
	}
	first, second := waiting(k.ctx, 0), waiting(k.ctx, 0)
	positions := k.append(ledger3, []byte("wakes"))
	k.must(<-first)
	k.must(<-second)
	k.must(<-waiting(k.ctx, positions[0]))

	// Another partition's record wakes nobody for good.
	other := journal.Partition{Topic: journal.Ledger, Shard: 4}
	short, stop = context.WithTimeout(k.ctx, 20*time.Millisecond)
	defer stop()
	idle := waiting(short, k.end(ledger3))
	k.append(other, []byte("elsewhere"))
	if err := <-idle; !errors.Is(err, context.DeadlineExceeded) {
		k.t.Fatalf("Wait returned %v for another partition's record", err)
	}
	// A reader always finds a record, or ErrTrimmed, after Wait has returned.
	at := k.end(ledger3)
	for range 50 {
		done := waiting(k.ctx, at)
		k.append(ledger3, []byte("next"))
		k.must(<-done)
		records, next, err := k.j.Read(k.ctx, ledger3, at, 1<<20)
		k.must(err)
		if len(records) != 1 {
			k.t.Fatalf("Read after Wait returned %d records", len(records))
		}
		at = next
	}
}

func (k *kit) copies() {
	mine := []byte("before")
	positions := k.append(ledger3, mine, mine)
	copy(mine, "after!")
	want := [][]byte{[]byte("before"), []byte("before")}
	got := k.readAll(ledger3, 0, 1<<20)
	k.same(got, positions, want)
	k.append(ledger3, texts("more %d", 100)...)
	k.same(got, positions, want)
}

func (k *kit) limits() {
	largest := bytes.Repeat([]byte("x"), journal.MaxRecord)
	positions := k.append(ledger3, largest)
	end := k.end(ledger3)
	if _, err := k.j.Append(k.ctx, ledger3, []byte("fits"), append(largest, 'x')); !errors.Is(err, journal.ErrTooLarge) {
		k.t.Fatalf("Append of a record over the limit: %v", err)
	}
	if k.end(ledger3) != end {
		k.t.Fatal("a refused Append moved the end")
	}
	k.same(k.readAll(ledger3, 0, 1), positions, [][]byte{largest})
	for _, p := range []journal.Partition{{}, {Topic: "nonsense"}, {Topic: journal.Sends, Shard: tocsin.MaxShards}} {
		if _, err := k.j.Append(k.ctx, p, []byte("x")); err == nil {
			k.t.Fatalf("Append to partition %v was accepted", p)
		}
		if _, _, err := k.j.Read(k.ctx, p, 0, 1); err == nil {
			k.t.Fatalf("Read of partition %v was accepted", p)
		}
	}
	gone, stop := context.WithCancel(k.ctx)
	stop()
	if err := k.j.Wait(gone, ledger3, k.end(ledger3)); !errors.Is(err, context.Canceled) {
		k.t.Fatalf("Wait with a cancelled context: %v", err)
	}
}

// lost: a reader that comes with a position above the end has read what is gone.
func (k *kit) lost() {
	k.append(ledger3, []byte("kept"))
	beyond := k.end(ledger3) + 100
	k.must(k.j.Wait(k.ctx, ledger3, beyond))
	if records, _, err := k.j.Read(k.ctx, ledger3, beyond, 1); !errors.Is(err, journal.ErrLost) {
		k.t.Fatalf("Read above the end returned %d records and %v", len(records), err)
	}
}

func (k *kit) closes() {
	k.append(ledger3, []byte("kept"))
	done := make(chan error, 1)
	end := k.end(ledger3)
	go func() { done <- k.j.Wait(k.ctx, ledger3, end) }()
	k.must(k.j.Close())
	if err := <-done; !errors.Is(err, journal.ErrClosed) {
		k.t.Fatalf("Wait when the journal was closed: %v", err)
	}
	_, appended := k.j.Append(k.ctx, ledger3, []byte("x"))
	_, _, read := k.j.Read(k.ctx, ledger3, 0, 1)
	_, first := k.j.First(k.ctx, ledger3)
	_, ended := k.j.End(k.ctx, ledger3)
	for i, err := range []error{appended, read, first, ended, k.j.Wait(k.ctx, ledger3, 0), k.j.Trim(k.ctx, ledger3, 1), k.j.Close()} {
		if !errors.Is(err, journal.ErrClosed) {
			k.t.Errorf("call %d after Close: %v", i, err)
		}
	}
}
