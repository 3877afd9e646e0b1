package trial

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
)

// obeyed is how long after its answer a change may take to be obeyed.
const obeyed = 2 * time.Second

// steering is one change of how fast a send goes, as its client knows it.
type steering struct {
	ledger.Steering
	asked, answered time.Time
}

// steer lets a client change a send a few times; the last change frees it.
func (r *request) steer(w *World) {
	if !r.answered {
		w.after(300*time.Millisecond, "steer", func() { r.steer(w) })
		return
	}
	if r.cancel || w.healing {
		return
	}
	to := ledger.Steering{Paused: w.chance(2)}
	if !w.chance(3) {
		to.PerMinute = []int{60, 300, 1_200, 6_000}[w.random.IntN(4)]
	}
	r.change(w, to)
	w.after(w.between(500*time.Millisecond, 6*time.Second), "steer", func() {
		if w.chance(3) {
			r.change(w, ledger.Steering{})
		} else {
			r.steer(w)
		}
	})
}

// free ends what a client has asked for.
func (r *request) free(w *World) {
	if len(r.steers) > 0 {
		r.change(w, ledger.Steering{})
	}
}

// change asks for one change and repeats it until it is durable everywhere: on
// the ledgers first, and where plan reads it.
func (r *request) change(w *World, to ledger.Steering) {
	to.Version = uint64(len(r.steers)) + 1
	n := len(r.steers)
	r.steers = append(r.steers, steering{Steering: to, asked: w.now})
	steer := func() *record.Envelope {
		s := to.Record()
		s.Send = r.id.Bytes()
		return &record.Envelope{Body: &record.Envelope_Steer{Steer: s}}
	}
	left := w.options.Shards
	for shard := range w.options.Shards {
		w.write(w.log(journal.Ledger, tocsin.Shard(shard)), r.project.scope(), steer, func() {
			if left--; left > 0 {
				return
			}
			w.write(w.log(journal.Sends, r.shard(w, r.id)), r.project.scope(), steer, func() { r.steers[n].answered = w.now })
		})
	}
}

// inForce is the last change that was answered, if none was asked for since.
func (r *request) inForce() *steering {
	if n := len(r.steers); n > 0 && !r.steers[n-1].answered.IsZero() {
		return &r.steers[n-1]
	}
	return nil
}

// checkPaused holds that nothing of a paused send leaves beyond what was
// claimed, as bytes leave.
func (w *World) checkPaused(d *delivery) {
	r := w.sends[d.send]
	s := r.inForce()
	if s == nil || w.now.Sub(s.answered) <= obeyed || !d.x.s.p.wokenAt.Before(s.answered) {
		return
	}
	if s.Paused {
		w.broken("steer", "%s leaves %v after its pause was answered", r.key, w.now.Sub(s.answered))
	}
	if s.PerMinute > 0 {
		key := rated{d.life, r.number, s.Version}
		if w.provider.rates == nil {
			w.provider.rates = map[rated][]time.Time{}
		}
		w.provider.rates[key] = append(w.provider.rates[key], w.now)
	}
}

// rated is what a life of a process lets leave of a send while a rate is in force.
type rated struct {
	life    uint64
	send    int
	version uint64
}

// judgeRates holds that in no span of time more left than the rate of the send
// allows, a quarter of a second's worth and one beside: until processes share
// it, each has the whole of it.
func (s *simulated) judgeRates() {
	for key, list := range s.rates {
		if len(list) > 10 {
			s.w.reach(rateHeld)
		}
		slices.SortFunc(list, time.Time.Compare)
		r := s.w.sends[key.send]
		rate := float64(r.steers[key.version-1].PerMinute) / 60
		for i := range list {
			for k := i; k < len(list); k++ {
				span := list[k].Sub(list[i])
				if most := rate*(span.Seconds()+0.27) + 2; float64(k-i+1) > most {
					s.w.broken("steer", "%d of %s left in %v before %v, its rate is %.1f a second", k-i+1, r.key, span, list[k].Sub(dawn), rate)
					return
				}
			}
		}
	}
}

// judgeSteering counts what was reached.
func (w *World) judgeSteering() {
	w.provider.judgeRates()
	for _, r := range w.sends {
		for i := range r.steers {
			s := r.steers[i]
			if s.Paused && i+1 < len(r.steers) && !s.answered.IsZero() && r.steers[i+1].asked.Sub(s.answered) > obeyed {
				w.reach(pauseHeld)
			}
		}
	}
}
