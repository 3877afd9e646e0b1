package ledger

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

func steered(send byte, version uint64, rate uint32, paused bool) *record.Envelope {
	return &record.Envelope{Body: &record.Envelope_Steer{Steer: &record.Steer{
		Send: sendID(send).Bytes(), Version: version, Rate: rate, Paused: paused}}}
}

func (s *story) steer(send byte, version uint64, rate uint32, paused bool) Verdict {
	s.t.Helper()
	return s.write(998, steered(send, version, rate, paused))
}

func (s *story) steersLike(send byte, want Steering) {
	s.t.Helper()
	if have := s.fold.Steering(sendID(send)); have != want {
		s.t.Fatalf("send %d is steered %+v, want %+v", send, have, want)
	}
}

// Steers reach the ledgers of different shards in different orders, and all
// shards must come to the same.
func TestTheHighestSteerCounts(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(s.steer(1, 2, 600, false)) // before its open
	s.void(s.steer(1, 1, 0, true))
	open := body(1, lot(tocsin.APNs, 0, 1))
	open.Steer = &record.Steer{Version: 1, Paused: true} // of a slice that was cut before
	s.must(o.open(open))
	s.steersLike(1, Steering{2, 600, false})
	s.must(s.steer(1, 4, 600, true))
	s.void(s.steer(1, 3, 5, false))
	s.void(s.repeat())
	s.steersLike(1, Steering{4, 600, true})
	s.must(o.claim(1, 0, 0, 2, 1)) // a pause is its owner's to obey
	s.must(o.settle(1, 2, run1(2, accepted)))
	s.must(o.close(1))
	s.void(s.steer(1, 5, 0, false))

	late := body(2, lot(tocsin.APNs, 0))
	late.Steer = &record.Steer{Version: 9, Rate: 7}
	s.must(s.steer(2, 8, 0, true))
	s.must(o.open(late))
	s.steersLike(2, Steering{9, 7, false}) // the slice is newer than what the ledger had
}

func TestACancelledSendIsNotSteered(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(s.steer(1, 1, 0, true))
	s.must(s.cancel(1))
	s.void(s.steer(1, 2, 0, false))
	s.must(o.open(body(1, lot(tocsin.APNs, 0))))
	s.is(1, 0, 0, Ended(tocsin.Cancelled), false)
	s.void(s.steer(1, 3, 0, false))

	s.must(s.steer(2, 1, 60, false)) // steered and opened, and not cancelled
	s.must(o.open(body(2, lot(tocsin.APNs, 0))))
	s.is(2, 0, 0, Unclaimed, false)
}

func TestPausesAddUp(t *testing.T) {
	s := tell(t)
	o := s.owner(1)
	s.must(o.take())
	s.must(o.open(body(1, lot(tocsin.APNs, 0))))
	at := func() time.Time { return time.Unix(0, s.last.At) }
	s.must(s.steer(1, 1, 0, true))
	paused := at()
	s.must(s.steer(1, 2, 100, true))
	s.must(s.steer(1, 3, 100, false))
	first := at().Sub(paused)
	s.must(s.steer(1, 4, 0, true))
	again, err := Unmarshal(s.fold.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	now := at().Add(time.Minute)
	if have := again.Send(sendID(1)).PausedFor(now); have != first+time.Minute || first <= 0 {
		t.Fatalf("paused for %v, want %v", have, first+time.Minute)
	}
}
