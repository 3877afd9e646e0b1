package pace

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
)

// chooser sends on two subjects; what is granted leaves a while later.
type chooser struct {
	*table
	leaving []leaving
	left    []leave
}

type leaving struct {
	at    time.Time
	grant Grant
}

var sendOne = tocsin.SendID{1}

func (c *chooser) ask(subject string, n int) {
	c.ids++
	credential := byte(1)
	if subject == "other" {
		credential = 2
	}
	a := Ask{Ticket: Ticket{ID: c.ids}, Route: via(credential), Subject: subject, Project: tocsin.ProjectID{1}, Send: sendOne, Class: tocsin.Normal, N: n}
	c.asks[a.Ticket] = a
	c.step(a)
}

// The rate that a client chose holds where pushes leave, over all subjects, and
// is used as long as there is work.
func TestARateHoldsWherePushesLeave(outer *testing.T) {
	rapid.Check(outer, func(t *rapid.T) {
		perMinute := rapid.SampledFrom([]int{1, 30, 90, 600, 6_000, 60_000, 1_000_000}).Draw(t, "a minute")
		rate := float64(perMinute) / 60
		delay := time.Duration(rapid.IntRange(0, 40).Draw(t, "delay")) * time.Millisecond
		c := &chooser{table: &table{t: outer, m: New(Default()), now: start, asks: map[Ticket]Ask{}}}
		for i, subject := range []string{"team", "other"} {
			c.step(Capacity{Route: via(byte(i + 1)), N: 100_000})
			c.ask(subject, 1)
			c.step(Finished{Route: via(byte(i + 1)), Send: sendOne, N: 1, Proven: 1})
		}
		c.granted = nil
		c.step(Steered{Send: sendOne, Shard: 1, Version: 1, PerMinute: perMinute})
		c.ask("team", tocsin.PageSize)
		c.ask("other", tocsin.PageSize)
		span := 2 * time.Second
		if rate < 30 {
			span = 3 * time.Minute
		}
		total := 0
		for end := start.Add(span); c.now.Before(end); {
			for _, g := range c.granted {
				at := c.now.Add(delay)
				if len(c.left) == 10 { // an owner that stands still
					at = at.Add(time.Second)
				}
				c.leaving = append(c.leaving, leaving{at, g})
				c.ask(c.asks[g.Ticket].Subject, tocsin.PageSize)
			}
			c.granted = nil
			next := end
			if !c.wake.IsZero() && c.wake.Before(next) {
				next = c.wake
			}
			which := -1
			for i, l := range c.leaving {
				if l.at.Before(next) {
					next, which = l.at, i
				}
			}
			if next.Before(c.now) {
				next = c.now
			}
			c.now = next
			if which < 0 {
				c.wake = time.Time{}
				c.step(Tick{})
				continue
			}
			l := c.leaving[which]
			c.leaving = append(c.leaving[:which], c.leaving[which+1:]...)
			a := c.asks[l.grant.Ticket]
			total += l.grant.N
			c.left = append(c.left, leave{from: c.now, n: l.grant.N})
			c.step(Left{Route: a.Route, Send: sendOne, N: l.grant.N, Written: l.grant.N})
			c.step(Finished{Route: a.Route, Send: sendOne, N: l.grant.N, Proven: l.grant.N})
		}
		burst := max(1, rate*slack) + max(1, rate*0.02)
		for i := range c.left {
			sum := 0
			for _, l := range c.left[i:] {
				sum += l.n
				if most := rate*l.from.Sub(c.left[i].from).Seconds() + burst; float64(sum) > most+1e-6 {
					t.Fatalf("%d left in %v at %d a minute, at most %.1f may", sum, l.from.Sub(c.left[i].from), perMinute, most)
				}
			}
		}
		// It stood still for a second at most once, and not longer than its slack lasts.
		if least := rate*(span.Seconds()-1.2)*0.99 - 2; float64(total) < least {
			t.Fatalf("%d left in %v at %d a minute, want %.1f", total, span, perMinute, least)
		}
	})
}

func TestNobodyWaitsBehindASteeredSend(t *testing.T) {
	b := proven(t, 1000)
	b.asks[Ticket{ID: 90}] = Ask{Ticket: Ticket{ID: 90}, Route: via(1), Subject: "team", Project: tocsin.ProjectID{3}, Send: sendOne, Class: tocsin.Normal, N: 100}
	b.step(Steered{Send: sendOne, Shard: 0, Version: 1, PerMinute: 60})
	b.want(b.step(b.asks[Ticket{ID: 90}]), "3:1 ")
	b.asks[Ticket{ID: 91}] = Ask{Ticket: Ticket{ID: 91}, Route: via(1), Subject: "team", Project: tocsin.ProjectID{3}, Send: sendOne, Class: tocsin.Normal, N: 99}
	b.want(b.step(b.asks[Ticket{ID: 91}]), "")
	b.want(b.ask(3, tocsin.Normal, 100), "3:100 ")
	b.want(b.ask(4, tocsin.Normal, 100), "4:100 ")

	// An older word of another shard changes nothing; a newer one frees it.
	b.step(Left{Route: via(1), Send: sendOne, N: 1, Written: 1})
	b.want(b.step(Steered{Send: sendOne, Shard: 1, Version: 0}), "")
	b.want(b.step(Steered{Send: sendOne, Shard: 1, Version: 2}), "3:99 ")
}

// A send that is steered in mid-send has asks in the queue of all others.
func TestAsksMoveWhenASendIsSteered(t *testing.T) {
	b := proven(t, 10)
	b.want(b.ask(3, tocsin.Normal, 20), "3:20 ") // no room is left
	b.asks[Ticket{ID: 90}] = Ask{Ticket: Ticket{ID: 90}, Route: via(1), Subject: "team", Project: tocsin.ProjectID{3}, Send: sendOne, Class: tocsin.Normal, N: 10}
	b.step(b.asks[Ticket{ID: 90}])
	b.ask(3, tocsin.Normal, 10)
	b.step(Steered{Send: sendOne, Shard: 0, Version: 1, PerMinute: 60})
	b.want(b.finish(20, 20), "3:10 3:1 ")
	b.until(b.now.Add(5 * time.Second))
	b.step(Unsteered{Send: sendOne, Shard: 0})
	if len(b.m.steers) != 0 {
		t.Fatal("a rate is kept of a send that is open nowhere")
	}
}

// What has not left holds back every route of its send, and no longer.
func TestWhatHasLeftMakesRoomElsewhere(t *testing.T) {
	b := proven(t, 10)
	b.step(Capacity{Route: via(2), N: 10})
	b.step(Steered{Send: sendOne, Shard: 0, Version: 1, PerMinute: 60})
	ask := func(id uint64, credential byte, subject string) Ask {
		b.asks[Ticket{ID: id}] = Ask{Ticket: Ticket{ID: id}, Route: via(credential), Subject: subject, Project: tocsin.ProjectID{credential}, Send: sendOne, Class: tocsin.Normal, N: 1}
		return b.asks[Ticket{ID: id}]
	}
	b.want(b.step(ask(90, 1, "team")), "1:1 ")
	b.step(ask(91, 2, "other"))
	b.until(b.now.Add(time.Minute))
	b.want(b.granted, "1:1 ")
	b.want(b.step(Left{Route: via(1), Send: sendOne, N: 1, Written: 1}), "2:1 ")
	if waited := b.granted[1].Waited; waited != time.Minute {
		t.Fatalf("waited %v", waited)
	}
}
