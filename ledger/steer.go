package ledger

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Steering is how fast a client lets a send go. It is no matter of safety:
// claims are in force whatever it says, and its owner obeys it.
type Steering struct {
	Version   uint64 // the highest counts, in whatever order they come; 0 is what the send began with
	PerMinute int    // pushes; 0 as fast as possible
	Paused    bool
}

// SteeringOf reads a record; nil steers nothing.
func SteeringOf(r *record.Steer) Steering {
	return Steering{r.GetVersion(), int(r.GetRate()), r.GetPaused()}
}

// Record is the reverse of SteeringOf, without the send; nil when nothing was
// ever steered.
func (s Steering) Record() *record.Steer {
	if s == (Steering{}) {
		return nil
	}
	return &record.Steer{Version: s.Version, Rate: uint32(s.PerMinute), Paused: s.Paused}
}

// Steering is the last that the ledger holds for a send that is not closed,
// opened or not.
func (f *Fold) Steering(id tocsin.SendID) Steering {
	if s := f.byID[id]; s != nil {
		return s.Steering
	}
	if t := f.tombs.byID[id]; t != nil {
		return t.steering
	}
	return Steering{}
}

// PausedFor is how long the send stood still by a client's wish since it was opened.
func (s *Send) PausedFor(now time.Time) time.Duration {
	sum := s.pausedFor
	if s.Steering.Paused {
		sum += max(0, now.UnixNano()-s.pausedAt)
	}
	return time.Duration(sum)
}

// steer takes a newer steering, of a record of the instant at.
func (s *Send) steer(at int64, to Steering) {
	if s.Steering.Paused {
		s.pausedFor += max(0, at-s.pausedAt)
	}
	s.Steering, s.pausedAt = to, at
}

func (f *Fold) steer(at int64, r *record.Steer) Verdict {
	id, to := tocsin.SendID(fixed(r.Send)), SteeringOf(r)
	s := f.byID[id]
	switch {
	case f.Cancelled(id):
		return void("the send is cancelled")
	case f.closed(id):
		return void("the send is closed")
	case to.Version <= f.Steering(id).Version:
		return void("a newer one was there before")
	case s != nil:
		s.steer(at, to)
	default:
		f.tombs.add(&tomb{id: id, at: f.awake, steering: to})
	}
	return Verdict{InForce: true, Send: s}
}
