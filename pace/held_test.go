package pace

import (
	"testing"
	"time"
	"unsafe"

	"github.com/tocsin-push/tocsin"
)

// slept is the same instant on a machine whose wall clock went on by d while its
// monotonic clock stood still.
func slept(t *testing.T, now time.Time, d time.Duration) time.Time {
	t.Helper()
	later := now.Add(d)
	*(*int64)(unsafe.Add(unsafe.Pointer(&later), 8)) -= int64(d) // the monotonic reading follows the wall clock's
	if later.Sub(now) != 0 || later.Round(0).Sub(now.Round(0)) != d {
		t.Fatal("time.Time is another than it was")
	}
	return later
}

// holder is a process that has all of a quota of 1,000 a second, for lease from
// now on. Nothing answers what it asks of the store next.
func holder(t *testing.T) *table {
	b := set(t)
	b.now = time.Now()
	var asked *Consult
	step := func(e Event) {
		for _, effect := range b.m.Step(b.now, e) {
			switch e := effect.(type) {
			case Consult:
				asked = &e
			case Grant:
				b.granted = append(b.granted, e)
			}
		}
	}
	told := func() {
		t.Helper()
		if asked == nil || asked.New == nil {
			t.Fatalf("it asks for no write: %+v", asked)
		}
		row := *asked.New
		asked = nil
		step(Told{Subject: "team", Row: row, Wrote: true})
	}
	for _, e := range []Event{
		Started{Process: "this"}, Configured{Subject: "team", Quota: 60_000}, Capacity{Route: via(1), N: 5000},
		Ask{Ticket: Ticket{ID: 1}, Route: via(1), Subject: "team", Project: tocsin.ProjectID{1}, Class: tocsin.Normal, N: 1},
	} {
		step(e)
	}
	b.ids = 1
	told()
	b.now = b.now.Add(second) // what another before it may have used
	step(Tick{})
	if len(b.granted) != 1 {
		t.Fatalf("%d grants", len(b.granted))
	}
	step(Left{Route: via(1), N: 1, Written: 1})
	step(Finished{Route: via(1), N: 1, Proven: 1})
	told()
	return b
}

// Nothing is granted on a share that has ended: by the monotonic clock, or by
// the wall clock alone, as after the machine was suspended.
func TestNothingIsGrantedOnAShareThatEnded(t *testing.T) {
	for name, end := range map[string]func(time.Time) time.Time{
		"time passed":   func(now time.Time) time.Time { return now.Add(lease) },
		"the pc slept":  func(now time.Time) time.Time { return slept(t, now, lease) },
		"slept an hour": func(now time.Time) time.Time { return slept(t, now, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			b := holder(t)
			for range 3 { // it is due to be written, and no answer comes
				b.now = b.now.Add(renew / 5)
				if n := len(b.ask(1, tocsin.Normal, 1)); n != 1 {
					t.Fatalf("%d grants while it lasts", n)
				}
			}
			b.now = end(b.now)
			if n := len(b.ask(1, tocsin.Normal, 1)); n != 0 {
				t.Fatalf("%d grants on a share that has ended", n)
			}
			if own := b.m.State(b.now).Subjects[0].Shared.Own; own != 0 {
				t.Errorf("its part is told to be %d", own)
			}
		})
	}
}

func TestAShareEndsByTheFirstOfTwoClocks(t *testing.T) {
	now := time.Now()
	held := Held{Subject: "team", Until: now.Add(lease)}
	for _, c := range []struct {
		what  string
		now   time.Time
		ended bool
	}{
		{"at once", now, false},
		{"just before", now.Add(lease - 1), false},
		{"at its end", now.Add(lease), true},
		{"suspended for less", slept(t, now, lease-1), false},
		{"suspended for as long", slept(t, now, lease), true},
		{"the wall clock was set back", slept(t, now, -time.Hour), false},
		{"set back, and time passed", slept(t, now, -time.Hour).Add(lease), true},
	} {
		if got := held.Ended(c.now); got != c.ended {
			t.Errorf("%s: ended is %v", c.what, got)
		}
	}
}

// Whoever waits for a share, or for nothing, is not woken for it all the time.
func TestWaitingForAShareCostsLittle(t *testing.T) {
	for _, quota := range []int{60, 600_000} {
		b := newBay(t, draw(t), quota, 3)
		for _, h := range b.processes {
			h.backlog = 10 * quota
		}
		b.run(5 * time.Second)
		cut := b.processes[1]
		cut.cut = true
		b.run(5 * time.Second)
		was := cut.ticks
		b.run(10 * time.Second)
		if n := cut.ticks - was; n > 10*5 {
			t.Errorf("%d a minute: one cut off is woken %d times in ten seconds", quota, n)
		}
		cut.cut = false
		for _, h := range b.processes {
			for ticket, n := range h.asks {
				h.asked -= n
				delete(h.asks, ticket)
				h.tell(Drop{ticket})
			}
			h.backlog = h.asked
		}
		b.run(20 * time.Second)
		was = cut.ticks
		b.run(10 * time.Second)
		if n := cut.ticks - was; n > 0 {
			t.Errorf("%d a minute: one with nothing to send is woken %d times in ten seconds", quota, n)
		}
	}
}

// What the provider asked of us is told even when another was asked, too, and wrote
// it first: whoever read that at once would wait for less.
func TestTwoThatAreAskedToSlowDownBothTell(t *testing.T) {
	b := holder(t)
	consult := func(e Event) (asked *Consult) {
		for _, effect := range b.m.Step(b.now, e) {
			if e, ok := effect.(Consult); ok && e.New != nil {
				asked = &e
			}
		}
		return asked
	}
	b.now = b.now.Add(renew / 5)
	if n := len(b.ask(1, tocsin.Normal, 1)); n != 1 {
		t.Fatalf("%d grants", n)
	}
	b.step(Left{Route: via(1), N: 1, Written: 1})
	first := consult(Finished{Route: via(1), N: 1, Throttled: 1, RetryAfter: 3 * time.Second, Took: time.Millisecond})
	if first == nil || first.New.Slow.Serial != 1 {
		t.Fatalf("it tells %+v", first)
	}
	row := first.Old
	row.Edition++
	row.Slow = Slow{Serial: 1, Left: 3400 * time.Millisecond, Wait: 3 * time.Second, Allowed: 500}
	if second := consult(Told{Subject: "team", Row: row}); second == nil || second.New.Slow.Serial != 2 {
		t.Errorf("where another wrote before, it tells %+v", second)
	}
}
