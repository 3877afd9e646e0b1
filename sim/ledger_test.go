package sim

import (
	"bytes"
	"slices"
	"sync"
	"testing"
)

func (l *Ledger) tokens() (tokens []uint64) {
	l.Each(func(r *Record) { tokens = append(tokens, r.Token) })
	slices.Sort(tokens)
	return tokens
}

// Records are there once published, gone after a reset, and their memory is used
// again, also that of connections which ended.
func TestLedger(t *testing.T) {
	var l Ledger
	write := func(w *writer, from, to uint64) {
		for token := from; token < to; token++ {
			*w.next() = Record{Token: token}
		}
	}
	one, two := &writer{ledger: &l}, &writer{ledger: &l}
	for round := range 3 {
		write(one, 0, 3)
		if n := len(l.tokens()); n != 0 {
			t.Fatalf("round %d: %d records were read before the batch was answered", round, n)
		}
		one.publish()
		write(two, 3, 5000)
		two.end()
		three := &writer{ledger: &l}
		write(three, 5000, 5001) // goes on in what two left
		three.end()
		tokens := l.tokens()
		for i, token := range tokens {
			if token != uint64(i) {
				t.Fatalf("round %d: record %d is of token %d", round, i, token)
			}
		}
		if len(tokens) != 5001 || len(l.chunks) != 6 {
			t.Fatalf("round %d: %d records in %d chunks, want 5001 in 6", round, len(tokens), len(l.chunks))
		}
		l.Reset()
		if len(l.tokens()) != 0 || len(l.free) != 5 {
			t.Fatalf("round %d: %d records after a reset, %d chunks to use again", round, len(l.tokens()), len(l.free))
		}
	}
	// A reader keeps what it looks at.
	write(two, 0, 2000)
	two.end()
	seen := 0
	l.Each(func(*Record) {
		if seen++; seen == 1 {
			l.Reset()
			write(one, 7000, 9000)
		}
	})
	if seen != 2000 {
		t.Fatalf("a reader saw %d of 2000 records", seen)
	}
}

func TestLedgerTogether(t *testing.T) {
	var l Ledger
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			w := writer{ledger: &l}
			for i := range 20_000 {
				*w.next() = Record{Token: uint64(i)}
				if i%100 == 0 {
					w.publish()
				}
				if i%1500 == 0 {
					w.end()
				}
			}
			w.end()
		})
	}
	for range 20 {
		l.Each(func(r *Record) {
			if r.Token >= 20_000 {
				t.Errorf("token %d", r.Token)
			}
		})
	}
	running.Wait()
	if n := len(l.tokens()); n != 80_000 {
		t.Fatalf("%d records, want 80,000", n)
	}
}

func TestRecordBinary(t *testing.T) {
	want := Record{At: 1, Token: 2, Send: 3, ID: [16]byte{4}, Status: 410, Attempt: 5, Provider: 2, Fault: Gone}
	b, err := want.AppendBinary(nil)
	if err != nil || len(b) != RecordSize {
		t.Fatal(len(b), err)
	}
	n := 0
	if err := ReadRecords(bytes.NewReader(append(b, b...)), func(r *Record) {
		if n++; *r != want {
			t.Errorf("%+v, want %+v", *r, want)
		}
	}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
}
