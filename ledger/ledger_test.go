package ledger

import (
	"bytes"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// The numbers are those of the counterexamples that the model checker found
// when a rule was missing. Those that only an owner can break are told in fanout.
func TestCounterexamples(t *testing.T) {
	// opened is a shard whose owner opened send 1 with four pushes.
	opened := func(t *testing.T) (*story, *owner) {
		s := tell(t)
		o := s.owner(1)
		s.must(o.take())
		s.must(o.open(body(1, lot(tocsin.APNs, 0, 1, 2, 3))))
		return s, o
	}
	tests := map[string]func(*testing.T){
		"1 a late take supersedes nothing": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			s.void(s.owner(2).takeOver(0))
			s.must(o.settle(1, 2, run1(4, accepted)))
		},
		"2 a repeated take marks nothing": func(t *testing.T) {
			s, o := opened(t)
			next := s.owner(2)
			s.must(next.take())
			s.void(s.repeat())
			s.must(next.claim(1, 0, 0, 4, 1))
			s.void(s.apply(&record.Envelope{Writer: 2, Number: 1, Body: &record.Envelope_Take{Take: &record.Take{Incarnation: 2, Supersedes: s.fold.Term()}}}))
			s.is(1, 0, 0, Claimed, false)
			_ = o
		},
		"3 the third owner sees what the second settled": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			second, third := s.owner(2), s.owner(3)
			if v := s.must(second.take()); len(v.Marked) != 1 || v.Marked[0].To != 4 {
				t.Fatalf("marked %v", v.Marked)
			}
			s.must(second.claim(1, 0, 0, 4, 1))
			s.must(second.settle(1, 1, run1(4, accepted)))
			s.must(third.take())
			s.void(third.claim(1, 0, 0, 4, 1))
			s.is(1, 0, 3, Ended(tocsin.Accepted), true)
		},
		"4 the mark stays": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			next := s.owner(2)
			s.must(next.take())
			s.must(next.claim(1, 0, 0, 4, 1))
			s.must(next.settle(1, 1, run1(4, Later)))
			s.is(1, 0, 0, Waiting, true)
			s.must(next.claim(1, 0, 0, 4, 2))
			s.must(next.settle(1, 3, run1(4, accepted)))
			s.is(1, 0, 0, Ended(tocsin.Accepted), true)
		},
		"5 a claim is settled once": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			s.must(o.settle(1, 2, run1(4, Later)))
			s.void(o.settle(1, 2, run1(4, accepted)))
			s.is(1, 0, 0, Waiting, false)
		},
		"6 two ranges of a page retry apart": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 2, 1))
			s.must(o.claim(1, 0, 2, 4, 1))
			s.must(o.settle(1, 2, run1(2, Later)))
			s.must(o.settle(1, 3, run1(2, Later)))
			s.must(o.claim(1, 0, 2, 4, 2))
			s.must(o.claim(1, 0, 0, 2, 2))
		},
		"7 an attempt is claimed once": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			s.must(o.settle(1, 2, run1(4, Later)))
			s.must(o.claim(1, 0, 0, 4, 2))
			s.must(o.settle(1, 4, run1(4, Later)))
			s.void(o.claim(1, 0, 0, 4, 2))
			s.void(o.claim(1, 0, 0, 4, 4))
			s.must(o.claim(1, 0, 0, 4, 3))
		},
		"8 skip and unanswered is in doubt": func(t *testing.T) {
			s := tell(t)
			o := s.owner(1)
			s.must(o.take())
			open := body(1, lot(tocsin.APNs, 0, 1, 2, 3))
			open.OnDoubt = uint32(tocsin.Skip)
			s.must(o.open(open))
			s.must(o.claim(1, 0, 0, 2, 1))
			s.must(o.settle(1, 2, later(1, true), later(1, false)))
			s.is(1, 0, 0, Ended(tocsin.InDoubt), true)
			s.is(1, 0, 1, Waiting, false)
			s.must(o.claim(1, 0, 2, 4, 1))
			s.must(s.owner(2).take())
			s.is(1, 0, 3, Ended(tocsin.InDoubt), true)
		},
		"9 nothing is claimed after a cancel": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 3, 1))
			s.must(s.cancel(1))
			s.is(1, 0, 3, Ended(tocsin.Cancelled), false)
			s.void(o.claim(1, 0, 3, 4, 1))
			s.void(s.cancel(1))
			s.must(o.settle(1, 2, run1(1, accepted), run1(1, Later), run1(1, Released)))
			s.is(1, 0, 0, Ended(tocsin.Accepted), false)
			s.is(1, 0, 1, Ended(tocsin.Cancelled), false)
			s.is(1, 0, 2, Ended(tocsin.Cancelled), false)
			s.must(o.close(1))
		},
		"10 a marked push never ends cancelled or expired": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			next := s.owner(2)
			s.must(next.take())
			s.must(next.claim(1, 0, 0, 1, 1))
			s.must(next.settle(1, 1, run1(1, expired)))
			s.is(1, 0, 0, Ended(tocsin.InDoubt), true)
			s.must(s.cancel(1))
			s.is(1, 0, 3, Ended(tocsin.InDoubt), true)
		},
		"10 a take after a cancel leaves doubt": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			s.must(s.cancel(1))
			s.must(s.owner(2).take())
			s.is(1, 0, 0, Ended(tocsin.InDoubt), true)
		},
		"11 chunks of two owners do not join": func(t *testing.T) {
			s := tell(t)
			o, next := s.owner(1), s.owner(2)
			s.must(o.take())
			first, second := body(1, lot(tocsin.APNs, 0)), body(1, lot(tocsin.APNs, 1))
			first.Chunks, second.Chunks, second.Chunk = 2, 2, 1
			s.must(o.open(first))
			s.must(next.take())
			s.void(next.open(second))
			s.must(next.open(first))
			if v := s.must(next.open(second)); !v.Opened || v.Send.Audience != 2 {
				t.Fatalf("%+v", v)
			}
			s.void(next.open(second))
		},
		"13 a push in later keeps a send open": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			s.must(o.settle(1, 2, run1(3, accepted), run1(1, Later)))
			s.void(o.close(1))
			v := s.must(o.claim(1, 0, 3, 4, 2))
			s.must(o.settle(1, v.Claim.Seq, run1(1, accepted)))
			s.must(o.close(1))
			s.void(o.close(1))
		},
		"14 and 16 a snapshot keeps term, claims and marks": func(t *testing.T) {
			s, o := opened(t)
			s.must(o.claim(1, 0, 0, 4, 1))
			next := s.owner(2)
			s.must(next.take())
			s.must(next.claim(1, 0, 0, 2, 1))
			again, err := Unmarshal(s.fold.Marshal())
			if err != nil {
				t.Fatal(err)
			}
			s.fold = again
			s.void(s.repeat())
			s.void(o.settle(1, 2, run1(4, accepted)))
			s.must(next.settle(1, 1, run1(2, accepted)))
			s.is(1, 0, 0, Ended(tocsin.Accepted), true)
			s.is(1, 0, 2, Unclaimed, true)
		},
		"15 nothing counts after a gap": func(t *testing.T) {
			s, o := opened(t)
			o.seq++ // lost on its way
			s.void(o.claim(1, 0, 0, 4, 1))
			s.void(o.claim(1, 0, 0, 4, 1))
			s.must(o.take())
			s.must(o.claim(1, 0, 0, 4, 1))
		},
		"a void record uses up its number": func(t *testing.T) {
			s, o := opened(t)
			s.void(o.claim(1, 7, 0, 4, 1))
			s.must(o.claim(1, 0, 0, 4, 1))
			s.void(o.settle(1, 3, run1(3, accepted)))
			s.void(o.settle(1, 3, run1(4, 9)))
			s.must(o.settle(1, 3, run1(4, accepted)))
		},
		"open and claim in one record": func(t *testing.T) {
			s, o := opened(t)
			both := body(2, lot(tocsin.FCM, 5, 6))
			both.Claim = &record.Claim{To: 3, Attempt: 1}
			s.void(o.open(both))
			if s.fold.Send(sendID(2)) != nil {
				t.Fatal("opened without its claim")
			}
			both.Claim.To = 2
			if v := s.must(o.open(both)); !v.Opened || v.Claim == nil || v.Claim.Seq != 3 {
				t.Fatalf("%+v", v)
			}
			s.must(s.cancel(3))
			both = body(3, lot(tocsin.FCM, 5, 6))
			both.Claim = &record.Claim{To: 2, Attempt: 1}
			s.void(o.open(both))
			both.Claim = nil
			s.must(o.open(both))
			s.is(3, 0, 1, Ended(tocsin.Cancelled), false)
			s.must(o.close(3))
		},
		"the last attempt": func(t *testing.T) {
			s, o := opened(t)
			for attempt := uint32(1); attempt <= 3; attempt++ {
				v := s.must(o.claim(1, 0, 0, 3, attempt))
				refused := run1(1, Later)
				refused.Reason = uint32(tocsin.ReasonCredential)
				s.must(o.settle(1, v.Claim.Seq, run1(1, Later), later(1, true), refused))
				v = s.must(o.claim(1, 0, 3, 4, 1))
				s.must(o.settle(1, v.Claim.Seq, run1(1, Released)))
			}
			s.is(1, 0, 0, Waiting, false) // an answer costs nothing
			s.is(1, 0, 1, Ended(tocsin.InDoubt), true)
			s.is(1, 0, 2, Waiting, false)
			s.is(1, 0, 3, Unclaimed, false)
		},
	}
	for name, run := range tests {
		t.Run(name, run)
	}
}

// Of two readers the one with other ideas of activity still sees these pages.
func TestPagesAreAFunctionOfTheOpen(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(o.open(body(1, lot(tocsin.APNs, upTo(2500)...), lot(tocsin.FCM, 1, 3))))
	send := s.fold.Send(sendID(1))
	if send.Pages() != 4 || send.Page(2).Size() != 452 || send.Page(3).Lot().Provider != tocsin.FCM || send.Page(3).Lot().First != 3 {
		t.Fatalf("%d pages", send.Pages())
	}
	for _, n := range []int{2, 0, 1, 3} { // any order
		for i, ordinal := range send.Ordinals(n, nil) {
			page, index, ok := send.Locate(ordinal)
			if !ok || page != n || index != i {
				t.Fatalf("ordinal %d of page %d push %d is located at %d, %d", ordinal, n, i, page, index)
			}
			if want := uint32(n*1024+i) * 2; n < 3 && ordinal != want {
				t.Fatalf("page %d push %d is %d, want %d", n, i, ordinal, want)
			}
		}
	}
	if _, _, ok := send.Locate(5); ok {
		t.Error("located somebody who is not in the audience")
	}
}

// pass lets time go by in a ledger that is awake.
func (s *story) pass(d time.Duration) {
	s.t.Helper()
	for ; d > 0; d -= Silence {
		s.position += uint64(Silence.Seconds())
		s.cancel(77)
	}
}

func TestAScheduledSendIsRememberedForTwoDays(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(o.open(body(1)))
	s.must(o.close(1))
	again := body(1)
	again.Slice = 50
	s.void(o.open(again))
	s.void(s.cancel(1))
	s.pass(Remembered - time.Hour)
	s.position += 1000 * 3600 // nobody was there for weeks
	s.cancel(77)
	if !s.fold.Finished(sendID(1), nil) {
		t.Error("forgotten while nobody was there")
	}
	s.pass(2 * time.Hour)
	if s.fold.Finished(sendID(1), nil) {
		t.Error("still remembered")
	}
	again.Slice = 1
	s.void(o.open(again)) // its slice is behind
}

// A cancel must hold however long the shard had no owner: to forget it lets
// everything leave.
func TestACancelOutlivesASilence(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(s.cancel(1))
	s.position += 10 * uint64(Remembered.Seconds())
	next := s.owner(2)
	s.must(next.take())
	s.must(next.open(body(1, lot(tocsin.APNs, 0, 1))))
	s.is(1, 0, 0, Ended(tocsin.Cancelled), false)
}

// Sends that are not scheduled are remembered for ever, by one number for each
// shard of sends.
func TestAnOriginOpensOnce(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	slice := uint64(0)
	open := func(send byte, shard uint32, position uint64) Verdict {
		slice++
		r := body(send)
		r.Slice, r.Origin = slice, &record.Origin{Shard: shard, Position: position}
		return o.open(r)
	}
	small := len(s.fold.Marshal())
	for n := range byte(100) {
		s.must(open(n, 3, uint64(n)+10))
		s.must(o.close(n))
	}
	if now := len(s.fold.Marshal()); now > small+10 {
		t.Errorf("100 closed sends take %d bytes of a snapshot", now-small)
	}
	s.pass(2 * Remembered)
	for name, origin := range map[string][2]uint64{"itself": {3, 109}, "an earlier one": {3, 10}, "one that never came": {3, 9}} {
		if !s.fold.Finished(sendID(99), &record.Origin{Shard: uint32(origin[0]), Position: origin[1]}) {
			t.Errorf("%s is not known as finished", name)
		}
		if open(99, uint32(origin[0]), origin[1]).InForce {
			t.Errorf("%s was opened again", name)
		}
	}
	s.must(open(99, 4, 10)) // of another shard, another order
	s.must(open(100, 3, 110))
	s.void(open(101, 3, 110))
}

func TestADamagedSnapshotIsRefused(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(o.open(body(1, lot(tocsin.APNs, upTo(3000)...))))
	data := s.fold.Marshal()
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if _, err := Unmarshal(bad); err == nil {
			t.Fatalf("byte %d flipped and read as good", i)
		}
		if _, err := Unmarshal(data[:i]); err == nil {
			t.Fatalf("cut at %d and read as good", i)
		}
	}
}
