package pace

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

func way(i int) (provider.Route, string) {
	return provider.Route{Provider: tocsin.APNs, Credential: tocsin.CredentialID{byte(i), byte(i >> 8), 1}}, fmt.Sprint("team ", i)
}

// begin opens a route of its own for a project, and sends on it.
func (n *night) begin(i int, class tocsin.Class, pushes int) *sending {
	r, subject := way(i)
	n.open(r, subject)
	return n.send(byte(i), class, r, subject, pushes)
}

// An urgent send overtakes bulk of ten projects, also on the route of one of
// them, within a tenth of a second.
func TestUrgentOvertakes(t *testing.T) {
	for _, rate := range []int{200_000, 1_000_000} {
		n := nightfall(t, rate)
		for i := range 10 {
			n.begin(i, tocsin.Normal, 10*rate)
		}
		n.run(n.now.Add(2 * time.Second))
		begun := n.now
		r, subject := way(3)
		other, same := n.begin(77, tocsin.Urgent, rate/10), n.send(88, tocsin.Urgent, r, subject, 1)
		n.run(begun.Add(time.Second))
		for _, s := range []*sending{other, same} {
			if s.first.IsZero() || s.first.Sub(begun) > 100*time.Millisecond {
				t.Errorf("the first push left %v after the send", s.first.Sub(begun))
			}
		}
		if took := other.finished.Sub(begun); other.finished.IsZero() || took > 300*time.Millisecond {
			t.Errorf("a tenth of a second's work took %v", took)
		}
		t.Logf("at %d a second: first %v, on a busy route %v, last %v", rate, other.first.Sub(begun), same.first.Sub(begun), other.finished.Sub(begun))
	}
}

// While a class has more than enough to do, each that waits below it gets a
// fiftieth, on the road and on a quota.
func TestLowerClassesGetTheirFloor(t *testing.T) {
	for _, quota := range []int{0, 600_000} {
		n := nightfall(t, 500_000)
		r, subject := way(1)
		n.open(r, subject)
		n.tell(Configured{Subject: subject, Quota: quota})
		n.tell(Capacity{Route: r, N: 8000})
		got := map[tocsin.Class]int{}
		end := n.now.Add(22 * time.Second)
		for class := tocsin.Urgent; class <= tocsin.Synthetic; class++ {
			s := n.send(byte(class), class, r, subject, 20_000_000)
			s.wrote = func(at time.Time, count int) {
				if at.After(end.Add(-20 * time.Second)) {
					got[class] += count
				}
			}
		}
		n.run(end)
		total := got[1] + got[2] + got[3] + got[4]
		for class := tocsin.Transactional; class <= tocsin.Synthetic; class++ {
			if part := float64(got[class]) / float64(total); part < 0.015 || part > 0.025 {
				t.Errorf("quota %d: %v got %.2f %% of %d", quota, class, 100*part, total)
			}
		}
		if least := 20 * quota / 60 * 98 / 100; total < least {
			t.Errorf("quota %d: %d left, want %d", quota, total, least)
		}
	}
}

// Nobody waits behind a project whose provider is dead, has no quota left, or
// refused its credential, though they all asked first.
func TestNobodyWaitsForAnothersTrouble(t *testing.T) {
	n := nightfall(t, 500_000)
	dead, slow, refused := 1, 2, 3
	n.answer = func(c *caller, count int, done func(int, int, time.Duration)) {
		if r, _ := way(dead); c.route == r {
			return
		}
		n.after(time.Millisecond, func() { done(count, 0, 0) })
	}
	r, subject := way(slow)
	n.open(r, subject)
	n.tell(Configured{Subject: subject, Quota: 60})
	for _, i := range []int{dead, slow, refused} {
		n.begin(i, tocsin.Urgent, 1_000_000)
	}
	r, _ = way(refused)
	n.tell(Finished{Route: r, Faulted: 1})
	n.run(n.now.Add(2 * time.Second))
	begun := n.now
	s := n.begin(9, tocsin.Normal, 500_000)
	n.run(begun.Add(3 * time.Second))
	if took := s.finished.Sub(begun); s.finished.IsZero() || took > 1200*time.Millisecond {
		t.Errorf("a second's work took %v", took)
	}
}

// A provider that takes nothing more in mid-send holds what was granted to it,
// and nothing of the others.
func TestADeadProviderTakesNoRoomFromOthers(t *testing.T) {
	n := nightfall(t, 500_000)
	r, subject := way(1)
	n.open(r, subject)
	n.send(1, tocsin.Urgent, r, subject, 5_000_000)
	n.run(n.now.Add(time.Second))
	n.dead[r] = true
	begun := n.now
	s := n.begin(2, tocsin.Normal, 500_000)
	n.run(begun.Add(3 * time.Second))
	held := n.m.routes[r].ahead
	if took := s.finished.Sub(begun); held == 0 || s.finished.IsZero() || took > 1500*time.Millisecond {
		t.Errorf("a second's work took %v beside %d that are stuck", took, held)
	}
}

// Answers that come a hundred times as late, and then soon again: what is under
// way stays within the room of the route and a tenth of a second's work, nobody is
// asked to be quiet, nothing leaves twice, and the rate is back at once.
func TestALatencyThatJumps(t *testing.T) {
	const rate, room = 500_000, 8000 // as open tells
	n := nightfall(t, rate)
	latency := 5 * time.Millisecond
	n.answer = func(_ *caller, count int, done func(int, int, time.Duration)) {
		n.after(latency, func() { done(count, 0, 0) })
	}
	r, subject := way(1)
	n.open(r, subject)
	const pushes = 3 * rate
	s, wrote, most := n.send(1, tocsin.Urgent, r, subject, pushes), 0, 0
	s.wrote = func(_ time.Time, count int) {
		wrote += count
		most = max(most, n.m.routes[r].underway)
	}
	n.run(n.now.Add(time.Second))
	latency = 500 * time.Millisecond
	before, at := wrote, n.now
	n.run(at.Add(5 * time.Second))
	if during := wrote - before; during < 5*2*room {
		t.Errorf("%d left in 5 s of late answers, and the route has room for %d at a time", during, room)
	}
	if limit := room + rate/10 + tocsin.PageSize; most > limit {
		t.Errorf("%d under way at a time, want at most %d", most, limit)
	}
	latency = 5 * time.Millisecond
	n.run(n.now.Add(500 * time.Millisecond)) // the late ones are answered
	rest, at := pushes-wrote, n.now
	n.run(at.Add(10 * time.Second))
	if took, want := s.finished.Sub(at), time.Duration(float64(rest)/rate*1.1*1e9)+50*time.Millisecond; s.finished.IsZero() || took > want {
		t.Errorf("the last %d took %v after it, want %v", rest, took, want)
	}
	if wrote != pushes || len(n.quiet) > 0 {
		t.Errorf("%d written for %d pushes; quiet %v", wrote, pushes, n.quiet)
	}
	t.Logf("%d under way at most", most)
}

// Projects that send together get shares by their weights, also by one that
// changes meanwhile; whoever is alone gets all.
func TestWeights(t *testing.T) {
	n := nightfall(t, 500_000)
	got := map[byte]int{}
	var from, to time.Time
	light, heavy := n.begin(1, tocsin.Normal, 5_000_000), n.begin(2, tocsin.Normal, 5_000_000)
	for number, s := range map[byte]*sending{1: light, 2: heavy} {
		s.wrote = func(at time.Time, count int) {
			if at.After(from) && !at.After(to) {
				got[number] += count
			}
		}
	}
	for _, weights := range [][2]int{{1, 3}, {5, 1}, {1, 1}} {
		n.tell(Weighed{Project: light.project, Weight: weights[0]})
		n.tell(Weighed{Project: heavy.project, Weight: weights[1]})
		from, to = n.now.Add(time.Second), n.now.Add(3*time.Second)
		clear(got)
		n.run(to)
		want := float64(weights[0]) / float64(weights[0]+weights[1])
		if share := float64(got[1]) / float64(got[1]+got[2]); share < want-0.02 || share > want+0.02 {
			t.Errorf("weights %v: the first got %.3f of what left, want %.3f", weights, share, want)
		}
	}
	if len(n.m.weights) != 0 {
		t.Errorf("%d weights are kept", len(n.m.weights))
	}
}

// What is not used any more is forgotten.
func TestWhatIsClosedIsForgotten(t *testing.T) {
	n := nightfall(t, 500_000)
	for i := range 300 {
		n.begin(i, tocsin.Normal, 10)
	}
	n.run(n.now.Add(time.Second))
	for i := range 300 {
		r, _ := way(i)
		if !n.m.Idle(r) {
			t.Fatalf("route %d is not idle", i)
		}
		n.tell(Closed{Route: r})
	}
	if m := n.m; len(m.routes)+len(m.subjects)+len(m.order)+len(m.credentials)+len(m.asks)+len(m.classes[tocsin.Normal].ring) > 0 {
		t.Fatalf("%d routes, %d subjects (%d), %d credentials, %d asks and %d projects are kept",
			len(m.routes), len(m.subjects), len(m.order), len(m.credentials), len(m.asks), len(m.classes[tocsin.Normal].ring))
	}
}

// A credential that was replaced by one of another team takes its route along.
func TestARouteMovesToAnotherSubject(t *testing.T) {
	b := proven(t, 1000)
	b.step(Configured{Subject: "team", Quota: 6000})
	b.granted = nil
	b.ask(1, tocsin.Normal, 100)
	b.until(b.now.Add(2 * time.Second))
	if len(b.granted) == 0 {
		t.Fatal("nothing was granted")
	}
	for len(b.m.asks) == 0 {
		b.ask(1, tocsin.Normal, 100)
	}
	old, granted := b.m.subjects["team"], 0
	for _, g := range b.granted {
		granted += g.N
	}
	b.step(Ask{Ticket: Ticket{ID: 99}, Route: via(1), Subject: "other", Project: tocsin.ProjectID{1}, Class: tocsin.Normal, N: 1})
	if s := b.m.subjects["other"]; s.underway != granted+101 || s.routes != 1 || b.m.subjects["team"] != nil || old.underway != 0 || old.window.pending != 0 {
		t.Errorf("the old one is left with %+v, the new one has %+v", old, s)
	}
}
