package node_test

import (
	"flag"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// The whole promise is 1,000,000 people.
var (
	steerPeople = flag.Int("steer.people", 100_000, "recipients of the send that is steered")
	steerSpeed  = flag.Int("steer.speed", 20_000, "pushes a second that the provider takes of it")
)

// A send that is under way is slowed down, paused, kept paused over a restart
// and let go again. Each change is obeyed within 2 s of its answer, nobody is
// missed and nobody is reached twice.
func TestSteerInMidSend(t *testing.T) {
	t.Parallel()
	people, speed := *steerPeople, *steerSpeed
	slow := speed / 10 // a second
	town := newTown(t, func(_ *node.Config, s *sim.Config) { s.APNs.MaxRate = speed })
	town.populate(tocsin.APNs, people)
	id := town.send(everybody())
	steer := func(u client.SendUpdate) (now client.Send, asked, answered time.Time) {
		t.Helper()
		asked = time.Now()
		now, err := town.api.Steer(t.Context(), id, u)
		if err != nil {
			t.Fatal(err)
		}
		return now, asked, time.Now()
	}
	yes, no := true, false

	town.until(id, "under way", func(s client.Send) bool { return s.Counters != nil && s.Counters.Accepted > int64(speed/2) })
	_, _, slowed := steer(client.SendUpdate{Rate: client.AtMost(slow * 60)})
	begun := int64(-1)
	town.until(id, "going on slowly", func(s client.Send) bool {
		if begun < 0 && time.Since(slowed) > 2*time.Second {
			begun = s.Counters.Accepted
		}
		return begun >= 0 && s.Counters.Accepted > begun+int64(2*slow)
	})
	_, pausing, paused := steer(client.SendUpdate{Paused: &yes})
	town.stop()
	town.start()
	if now, err := town.api.GetSend(t.Context(), id); err != nil || !now.Paused || now.Rate != slow*60 || now.Status.Ended() {
		t.Fatalf("after a restart: %+v, %v", now, err)
	}
	town.ended(town.send(everybody())) // another one is not held up
	_, resumed, _ := steer(client.SendUpdate{Paused: &no, Rate: client.AtMost(0)})
	if now := town.ended(id); now.Counters.Accepted != int64(people) || now.Counters.Doubtful != 0 {
		t.Fatalf("%+v", now.Counters)
	}

	const obeyed = 2 * time.Second
	reached, whileSlow, late := map[uint64]int{}, 0, 0
	tag := sim.Hash(content.Collapse(town.project.ID, id))
	town.sim.Ledger().Each(func(r *sim.Record) {
		if r.Send != tag {
			return
		}
		reached[r.Token]++
		at := time.Unix(0, r.At)
		if at.After(slowed.Add(obeyed)) && at.Before(pausing) {
			whileSlow++
		}
		if at.After(paused.Add(obeyed)) && at.Before(resumed) {
			late++
		}
	})
	span := pausing.Sub(slowed.Add(obeyed))
	most := int(float64(slow)*(span.Seconds()+0.3)) + 2
	t.Logf("%d left in %v at %d a second; paused for %v", whileSlow, span, slow, resumed.Sub(paused))
	if whileSlow > most || whileSlow == 0 {
		t.Errorf("%d left in %v, at most %d may", whileSlow, span, most)
	}
	if late > 0 || resumed.Sub(paused) < obeyed {
		t.Errorf("%d left later than %v after the pause, which lasted %v", late, obeyed, resumed.Sub(paused))
	}
	if len(reached) != people {
		t.Errorf("%d of %d were reached", len(reached), people)
	}
	for _, times := range reached {
		if times != 1 {
			t.Fatal("somebody was reached twice")
		}
	}
}
