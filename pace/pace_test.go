package pace

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

var start = time.Unix(1_800_000_000, 0)

// table is a machine at an instant and what it granted.
type table struct {
	t       testing.TB
	m       *Machine
	now     time.Time
	ids     uint64
	granted []Grant
	wake    time.Time
	asks    map[Ticket]Ask
}

func set(t testing.TB) *table {
	return &table{t: t, m: New(Default()), now: start, asks: map[Ticket]Ask{}}
}

func (b *table) step(e Event) (grants []Grant) {
	for _, effect := range b.m.Step(b.now, e) {
		switch e := effect.(type) {
		case Grant:
			grants = append(grants, e)
		case Wake:
			b.wake = e.At
		}
	}
	b.granted = append(b.granted, grants...)
	return grants
}

func via(credential byte) provider.Route {
	return provider.Route{Provider: tocsin.APNs, Credential: tocsin.CredentialID{credential}}
}

func (b *table) ask(project byte, class tocsin.Class, n int) []Grant {
	b.ids++
	a := Ask{Ticket: Ticket{ID: b.ids}, Route: via(1), Subject: "team", Project: tocsin.ProjectID{project}, Class: class, N: n}
	b.asks[a.Ticket] = a
	return b.step(a)
}

// finish lets pushes leave and brings their answers.
func (b *table) finish(n, proven int) []Grant {
	return append(b.step(Left{Route: via(1), N: n, Written: n}), b.step(Finished{Route: via(1), N: n, Proven: proven})...)
}

// proven is a table whose only route has room for n and a credential that works.
func proven(t testing.TB, n int) *table {
	b := set(t)
	b.step(Capacity{Route: via(1), N: n})
	if g := b.ask(9, tocsin.Urgent, 5); len(g) != 1 || g[0].N != 1 {
		t.Fatalf("first use granted %v, want one probe", g)
	}
	b.finish(1, 1)
	b.granted = nil
	return b
}

// until lets the machine wake itself up to an instant.
func (b *table) until(at time.Time) {
	for !b.wake.IsZero() && !b.wake.After(at) && b.wake.After(b.now) {
		b.now = b.wake
		b.step(Tick{})
	}
	b.now = at
}

func (b *table) want(grants []Grant, want string) {
	b.t.Helper()
	have := ""
	for _, g := range grants {
		have += fmt.Sprintf("%d:%d ", b.asks[g.Ticket].Project[0], g.N)
	}
	if have != want {
		b.t.Fatalf("granted (project:pushes) %q, want %q", have, want)
	}
}

func TestNothingBeforeTheFirstCapacity(t *testing.T) {
	b := set(t)
	b.want(b.ask(1, tocsin.Normal, 10), "")
	b.want(b.step(Capacity{Route: via(1), N: 100}), "1:1 ")
}

func TestAnUnknownCredentialTriesOnePush(t *testing.T) {
	b := set(t)
	b.step(Capacity{Route: via(1), N: 100})
	b.want(b.ask(1, tocsin.Normal, 10), "1:1 ")
	b.want(b.ask(1, tocsin.Normal, 9), "")
	b.want(b.ask(2, tocsin.Normal, 9), "")
	b.want(b.step(Finished{Route: via(1), N: 1, Faulted: 1}), "")
	b.until(b.now.Add(59 * time.Second))
	b.want(b.granted[1:], "")
	b.until(b.now.Add(2 * time.Second))
	b.want(b.granted[1:], "1:1 ")
	b.step(Finished{Route: via(1), N: 1, Faulted: 1})
	b.want(b.ask(1, tocsin.Normal, 8), "")
	b.want(b.step(Replaced{Credential: via(1).Credential}), "2:1 ")
	b.want(b.finish(1, 1), "1:8 ")
}

func TestACredentialThatFailsInMidSendStops(t *testing.T) {
	b := proven(t, 10)
	b.want(b.ask(1, tocsin.Normal, 8), "1:8 ")
	b.want(b.step(Finished{Route: via(1), N: 8, Proven: 3, Faulted: 5}), "")
	b.want(b.ask(1, tocsin.Normal, 8), "")
	b.want(b.finish(0, 0), "")
	b.until(b.now.Add(61 * time.Second))
	b.want(b.granted[1:], "1:1 ")
}

func TestRetryAfterIsObeyed(t *testing.T) {
	b := proven(t, 1000)
	b.want(b.ask(1, tocsin.Normal, 100), "1:100 ")
	b.step(Finished{Route: via(1), N: 100, Proven: 90, Throttled: 10, RetryAfter: 7 * time.Second})
	b.want(b.ask(1, tocsin.Urgent, 100), "")
	b.until(b.now.Add(7*time.Second - 1))
	b.want(b.granted[1:], "")
	b.until(b.now.Add(50 * time.Millisecond))
	if len(b.granted) < 2 || b.granted[1].N > 100 {
		t.Fatalf("after the wait: %v", b.granted[1:])
	}
	if w := b.granted[1].Waited; w < 7*time.Second || w > 7*time.Second+50*time.Millisecond {
		t.Errorf("waited %v for the quota, want 7s", w)
	}
}

func TestSlowDownWithoutATimeDoubles(t *testing.T) {
	b := proven(t, 1000)
	for want := time.Second; want <= 4*time.Second; want *= 2 {
		b.step(Finished{Route: via(1), N: 1, Throttled: 1})
		b.granted = nil
		b.want(b.ask(1, tocsin.Normal, 1), "")
		b.until(b.now.Add(want - 1))
		b.want(b.granted, "")
		b.until(b.now.Add(time.Second)) // one a second at least is left of the rate
		b.want(b.granted, "1:1 ")
	}
}

func TestProjectsTakeTurns(t *testing.T) {
	b := proven(t, 50) // room for 100 with the work ahead
	b.want(b.ask(9, tocsin.Normal, 100), "9:100 ")
	for range 3 {
		b.want(b.ask(1, tocsin.Normal, 50), "")
	}
	b.want(b.ask(2, tocsin.Normal, 50), "")
	b.want(b.ask(3, tocsin.Normal, 50), "")
	b.want(b.finish(100, 100), "1:50 2:50 ")
	b.want(b.finish(100, 100), "3:50 1:50 ")
	b.want(b.finish(100, 100), "1:50 ")
}

func TestClassesAreStrict(t *testing.T) {
	b := proven(t, 50)
	b.want(b.ask(9, tocsin.Normal, 100), "9:100 ")
	b.ask(1, tocsin.Synthetic, 10)
	b.ask(2, tocsin.Normal, 10)
	b.ask(3, tocsin.Transactional, 10)
	b.ask(4, tocsin.Urgent, 10)
	b.want(b.finish(100, 100), "4:10 3:10 2:10 1:10 ")
}

func TestADroppedAskIsNeverGranted(t *testing.T) {
	b := proven(t, 50)
	b.ask(9, tocsin.Normal, 100)
	b.ask(1, tocsin.Normal, 10)
	b.step(Drop{Ticket: Ticket{ID: b.ids}})
	b.ask(2, tocsin.Normal, 10)
	b.want(b.finish(100, 100), "2:10 ")
	b.step(Drop{Ticket: Ticket{ID: b.ids}})
}

// Law L7: in no second more than the quota, whoever asks however.
func TestNeverAboveTheQuotaInAnySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := set(&testing.T{})
		quota := rapid.SampledFrom([]int{30, 60, 90, 600, 3000, 6000, 600_000}).Draw(t, "quota")
		b.step(Configured{Subject: "team", Quota: quota})
		b.step(Capacity{Route: via(1), N: 1 << 20})
		type given struct {
			at time.Time
			n  int
		}
		var all []given
		note := func(at time.Time) {
			for _, g := range b.granted {
				all = append(all, given{at, g.N})
			}
			b.granted = nil
		}
		asked := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0, 1:
				n := rapid.IntRange(1, 1024).Draw(t, "n")
				asked += n
				b.ask(byte(rapid.IntRange(1, 3).Draw(t, "project")), tocsin.Class(rapid.IntRange(1, 4).Draw(t, "class")), n)
			case 2:
				b.finish(1, 1)
			case 3:
				end := b.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
				for !b.wake.IsZero() && b.wake.After(b.now) && !b.wake.After(end) {
					note(b.now)
					b.now = b.wake
					b.step(Tick{})
				}
				note(b.now)
				b.now = end
				b.step(Tick{})
			}
			note(b.now)
		}
		allowed := max(1, quota/60)
		for i := range all {
			sum := 0
			for j := i; j < len(all) && all[j].at.Sub(all[i].at) < time.Second; j++ {
				sum += all[j].n
			}
			if sum > allowed {
				t.Fatalf("%d granted in a second, quota %d a minute", sum, quota)
			}
		}
	})
}

// What was granted leaves late, in one lump: the provider counts it then.
func TestNeverAboveTheQuotaWhenGrantsLeaveLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := proven(&testing.T{}, 1<<20)
		quota := rapid.SampledFrom([]int{30, 60, 600, 6000}).Draw(t, "quota")
		b.step(Configured{Subject: "team", Quota: quota})
		var at []time.Time
		for range rapid.IntRange(1, 40).Draw(t, "lumps") {
			b.granted = nil
			end := b.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			for len(b.m.asks) < 3 {
				b.ask(1, tocsin.Normal, 1024)
			}
			for !b.wake.IsZero() && b.wake.After(b.now) && !b.wake.After(end) {
				b.now = b.wake
				b.step(Tick{})
				for len(b.m.asks) < 3 {
					b.ask(1, tocsin.Normal, 1024)
				}
			}
			b.now = end
			for i := 0; i < len(b.granted); i++ { // what is finished makes room for more
				g := b.granted[i]
				if rapid.IntRange(0, 9).Draw(t, "unused") == 0 {
					b.step(Finished{Route: via(1), N: g.N, Unused: g.N})
					continue
				}
				for range g.N {
					at = append(at, b.now)
				}
				b.finish(g.N, g.N)
			}
		}
		allowed := max(1, quota/60)
		for i := allowed; i < len(at); i++ {
			if at[i].Sub(at[i-allowed]) < time.Second {
				t.Fatalf("more than %d left in a second, quota %d a minute", allowed, quota)
			}
		}
		if len(at) == 0 && b.now.Sub(start) > 10*time.Second {
			t.Fatal("nothing ever left")
		}
	})
}

// A process that starts again at once does not add its quota to what the one
// before it used.
func TestAQuotaIsNotUsedTwiceOverARestart(t *testing.T) {
	b := set(t)
	b.step(Started{})
	b.step(Capacity{Route: via(1), N: 100})
	b.step(Configured{Subject: "team", Quota: 6000})
	b.want(b.ask(1, tocsin.Normal, 10), "")
	b.until(b.now.Add(time.Second))
	b.want(b.granted, "")
	b.until(b.now.Add(100 * time.Millisecond))
	b.want(b.granted, "1:1 ")
}

// The quota is not only kept but used: 98 % of it at least.
func TestTheQuotaIsUsed(t *testing.T) {
	for _, quota := range []int{60, 600, 6000, 600_000} {
		b := proven(t, 1<<20)
		b.step(Configured{Subject: "team", Quota: quota})
		end, sum := b.now.Add(100*time.Second), 0
		for b.now.Before(end) {
			for len(b.m.asks) < 3 {
				b.ask(1, tocsin.Normal, 1024)
			}
			if !b.wake.After(b.now) {
				t.Fatal("asks wait and nothing wakes")
			}
			b.now = b.wake
			b.step(Tick{})
			for _, g := range b.granted {
				sum += g.N
				b.finish(g.N, g.N)
			}
			b.granted = nil
		}
		if want := quota * 100 / 60 * 98 / 100; sum < want {
			t.Errorf("quota %d a minute: %d granted in 100 s, want at least %d", quota, sum, want)
		}
	}
}
