package pace

import (
	"container/heap"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

var seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random tests")

func draw(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("play it again: -seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 7))
}

// night is a process in virtual time: its shards claim what is granted, and one
// processor writes it in the order in which it was granted.
type night struct {
	*testing.T
	*table
	events  alarms
	count   int
	claim   time.Duration // from a grant to its turn at the processor
	write   time.Duration // of a push
	answer  func(c *caller, n int, done func(accepted, throttled int, wait time.Duration))
	free    time.Time // the processor
	callers map[Ticket]*caller
	quiet   map[string]time.Time
	dead    map[provider.Route]bool // nothing is written there
	ticket  uint64
	alarm   time.Time
}

// caller is the part of a send that lies on one shard and one route.
type caller struct {
	send    *sending
	route   provider.Route
	subject string
	left    int // to be asked for
}

// sending is one project's send.
type sending struct {
	project  tocsin.ProjectID
	class    tocsin.Class
	open     int // without an answer
	first    time.Time
	finished time.Time
	wrote    func(at time.Time, n int)
}

type alarm struct {
	at time.Time
	n  int
	do func()
}
type alarms []alarm

func (a alarms) Len() int { return len(a) }
func (a alarms) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a alarms) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *alarms) Push(x any)   { *a = append(*a, x.(alarm)) }
func (a *alarms) Pop() any     { old := *a; x := old[len(old)-1]; *a = old[:len(old)-1]; return x }

func nightfall(t *testing.T, perSecond int) *night {
	n := &night{T: t, table: set(t), claim: 3 * time.Millisecond, write: time.Second / time.Duration(perSecond), callers: map[Ticket]*caller{}, quiet: map[string]time.Time{}, dead: map[provider.Route]bool{}}
	n.answer = func(_ *caller, count int, done func(int, int, time.Duration)) {
		n.after(time.Millisecond, func() { done(count, 0, 0) })
	}
	return n
}

func (n *night) after(d time.Duration, do func()) {
	n.count++
	heap.Push(&n.events, alarm{n.now.Add(d), n.count, do})
}

func (n *night) tell(e Event) {
	for _, effect := range n.m.Step(n.now, e) {
		switch e := effect.(type) {
		case Grant:
			n.granted(e)
		case Quiet:
			n.quiet[e.Subject] = e.Until
		case Wake:
			n.alarm = e.At
			n.after(max(0, e.At.Sub(n.now)), func() {
				if !n.alarm.IsZero() && !n.now.Before(n.alarm) {
					n.alarm = time.Time{}
					n.tell(Tick{})
				}
			})
		}
	}
}

// open brings a route up with a credential that works.
func (n *night) open(r provider.Route, subject string) {
	n.tell(Capacity{Route: r, N: 8000})
	n.m.credential(r.Credential).proven = true
	n.m.join(n.m.route(n.now, r), n.m.subject(subject))
}

const shards = 8

// send begins a send, spread over the shards.
func (n *night) send(number byte, class tocsin.Class, r provider.Route, subject string, pushes int) *sending {
	s := &sending{project: tocsin.ProjectID{number, 1}, class: class, open: pushes}
	for shard := range shards {
		c := &caller{send: s, route: r, subject: subject, left: pushes * (shard + 1) / shards}
		c.left -= pushes * shard / shards
		n.ask(c)
		n.ask(c)
	}
	return s
}

func (n *night) ask(c *caller) {
	if c.left == 0 {
		return
	}
	n.ticket++
	count := min(c.left, tocsin.PageSize)
	c.left -= count
	a := Ask{Ticket: Ticket{ID: n.ticket}, Route: c.route, Subject: c.subject, Project: c.send.project, Class: c.send.class, N: count}
	n.callers[a.Ticket], n.asks[a.Ticket] = c, a
	n.tell(a)
}

func (n *night) granted(g Grant) {
	c := n.callers[g.Ticket]
	c.left += n.asks[g.Ticket].N - g.N
	delete(n.callers, g.Ticket)
	delete(n.asks, g.Ticket)
	n.after(200*time.Microsecond, func() { n.ask(c) })
	n.after(n.claim, func() {
		if n.dead[c.route] {
			return
		}
		if n.now.Before(n.quiet[c.subject]) { // claimed too late: it is released
			c.left += g.N
			n.tell(Finished{Route: c.route, N: g.N, Unused: g.N})
			n.ask(c)
			return
		}
		n.free = later(n.free, n.now).Add(time.Duration(g.N) * n.write)
		n.after(n.free.Sub(n.now), func() { n.written(c, g.N) })
	})
}

func (n *night) written(c *caller, count int) {
	n.tell(Left{Route: c.route, N: count, Written: count})
	if c.send.first.IsZero() {
		c.send.first = n.now
	}
	if c.send.wrote != nil {
		c.send.wrote(n.now, count)
	}
	at := n.now
	n.answer(c, count, func(accepted, throttled int, wait time.Duration) {
		n.tell(Finished{Route: c.route, N: count, Took: n.now.Sub(at), Proven: accepted, Throttled: throttled, RetryAfter: wait})
		if c.left += throttled; throttled > 0 {
			n.ask(c)
		}
		if c.send.open -= accepted; c.send.open == 0 {
			c.send.finished = n.now
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// run lets time pass until an instant, or until nothing happens any more.
func (n *night) run(until time.Time) {
	for len(n.events) > 0 && !n.events[0].at.After(until) {
		e := heap.Pop(&n.events).(alarm)
		n.now = later(n.now, e.at)
		e.do()
	}
	n.now = later(n.now, until)
}

// ideal is when each of these sizes would end if all were served the same from
// the same instant, at a total rate.
func ideal(sizes []int, perSecond float64) map[int]time.Duration {
	sorted := slices.Sorted(slices.Values(sizes))
	ends, served, at := map[int]time.Duration{}, 0, 0.0
	for i, size := range sorted {
		at += float64(size-served) * float64(len(sorted)-i) / perSecond
		served = size
		ends[size] = time.Duration(at * 1e9)
	}
	return ends
}

// Two hundred newsrooms send in the same instant, a thousand to a million each
// and some millions in all: nobody ends much later than if all had been served
// the same, whoever else sends normal bulk.
func TestElectionNightIsFair(t *testing.T) {
	random := draw(t)
	const rate = 500_000
	sizes, total := make([]int, 200), 0
	for i := range sizes { // many small ones, few large ones
		sizes[i] = int(1000 * math.Pow(1000, random.Float64()*random.Float64()))
		total += sizes[i]
	}
	for _, bulk := range []int{0, 4} {
		n := nightfall(t, rate)
		route := func(i int) provider.Route {
			return provider.Route{Provider: tocsin.APNs, Credential: tocsin.CredentialID{byte(i), 1}}
		}
		for i := range len(sizes) + bulk {
			n.open(route(i), fmt.Sprint("team ", i))
		}
		for i := range bulk {
			n.send(byte(len(sizes)+i), tocsin.Normal, route(len(sizes)+i), fmt.Sprint("team ", len(sizes)+i), 1_000_000)
		}
		n.run(n.now.Add(500 * time.Millisecond))
		begun := n.now
		var sends []*sending
		for i, size := range sizes {
			sends = append(sends, n.send(byte(i), tocsin.Urgent, route(i), fmt.Sprint("team ", i), size))
		}
		n.run(begun.Add(time.Minute))
		last := time.Duration(0)
		for _, s := range sends {
			if s.finished.IsZero() {
				t.Fatal("a send did not end")
			}
			last = max(last, s.finished.Sub(begun))
		}
		measured := float64(total) / last.Seconds()
		ends := ideal(sizes, measured)
		ratios := make([]float64, len(sends))
		for i, s := range sends {
			ratios[i] = (s.finished.Sub(begun) - 20*time.Millisecond).Seconds() / ends[sizes[i]].Seconds()
		}
		slices.Sort(ratios)
		p99 := ratios[len(ratios)*99/100-1]
		t.Logf("%d pushes, %d bulk sends: %.0f a second of %d, p99 of finish to ideal %.3f, worst %.3f", total, bulk, measured, rate, p99, ratios[len(ratios)-1])
		if p99 > 1.1 {
			t.Errorf("p99 %.3f, want at most 1.1", p99)
		}
		if measured < 0.9*rate {
			t.Errorf("%.0f a second, want nine tenths of %d", measured, rate)
		}
	}
}
