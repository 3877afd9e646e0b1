package pace

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
)

// bay is one subject whose quota some processes share, in true time; each
// process has a clock of its own, that runs a little fast or slow.
type bay struct {
	*testing.T
	*rand.Rand
	now       time.Time
	events    alarms
	count     int
	quota     int // a minute
	row       Row
	processes []*hauler
	left      []leave
	grants    func(now time.Time, n int) (accepted int, wait time.Duration)
	troubled  bool // the store loses requests and answers
	named     int
}

// hauler is a process: its machine, its clock and what it has to send.
type hauler struct {
	*bay
	m       *Machine
	name    string
	life    int // rises with each crash: what was under way is lost
	offset  time.Duration
	drift   float64
	paused  time.Time // nothing runs before it
	cut     bool      // from the store
	class   tocsin.Class
	backlog int
	asked   int
	ticket  uint64
	asks    map[Ticket]int
	held    time.Time // of its clock
	quiet   time.Time
	last    time.Time // true time at which something left last
	sent    int
	alarm   int // of how many
	ticks   int
}

func newBay(t *testing.T, r *rand.Rand, quota, n int) *bay {
	b := &bay{T: t, Rand: r, now: start, quota: quota}
	b.grants = func(_ time.Time, n int) (int, time.Duration) { return n, 0 }
	for range n {
		h := &hauler{bay: b, class: tocsin.Normal}
		b.processes = append(b.processes, h)
		h.begin()
		h.report()
	}
	return b
}

func (b *bay) after(d time.Duration, do func()) {
	b.count++
	heap.Push(&b.events, alarm{b.now.Add(d), b.count, do})
}

func (b *bay) run(d time.Duration) {
	for end := b.now.Add(d); ; {
		if len(b.events) == 0 || b.events[0].at.After(end) {
			b.now = end
			return
		}
		a := heap.Pop(&b.events).(alarm)
		b.now = a.at
		a.do()
	}
}

func (b *bay) upTo(d time.Duration) time.Duration { return time.Duration(b.Int64N(int64(d) + 1)) }

// begin starts a process, or starts it again after a crash.
func (h *hauler) begin() {
	h.named++
	h.life++
	h.name = fmt.Sprintf("process %d", h.named)
	h.offset = h.upTo(time.Hour) - 30*time.Minute
	h.drift = (h.Float64() - 0.5) / 100
	h.m, h.asked, h.held, h.quiet, h.asks = New(Default()), 0, time.Time{}, time.Time{}, map[Ticket]int{}
	h.tell(Started{Process: h.name})
	h.tell(Configured{Subject: "team", Quota: h.quota})
	h.tell(Capacity{Route: via(1), N: 1 << 16})
	h.want()
}

// clock is the time that the process knows.
func (h *hauler) clock() time.Time {
	t := h.bay.now.Sub(start)
	return start.Add(h.offset + t + time.Duration(float64(t)*h.drift))
}

// then runs something in the process, unless it crashes before, when it is not paused.
func (h *hauler) then(d time.Duration, do func()) {
	life := h.life
	h.after(d, func() {
		if h.life != life {
			return
		}
		if wait := h.paused.Sub(h.bay.now); wait > 0 {
			h.then(wait+h.upTo(time.Millisecond), do)
			return
		}
		do()
	})
}

// report tells what is open, as shards do.
func (h *hauler) report() {
	h.after(100*time.Millisecond, h.report)
	if h.bay.now.Before(h.paused) {
		return
	}
	h.tell(Opened{Loads: []Load{{Route: via(1), Subject: "team", Project: tocsin.ProjectID{1}, Class: h.class, Slices: 1, Pushes: h.backlog}}})
	h.want()
}

// want asks for what there is to send.
func (h *hauler) want() {
	for len(h.m.asks) < 3 && h.backlog > h.asked {
		h.ticket++
		n := min(1024, h.backlog-h.asked)
		h.asked += n
		h.asks[Ticket{ID: h.ticket}] = n
		h.tell(Ask{Ticket: Ticket{ID: h.ticket}, Route: via(1), Subject: "team", Project: tocsin.ProjectID{1}, Class: h.class, N: n})
	}
}

func (h *hauler) tell(e Event) {
	for _, effect := range h.m.Step(h.clock(), e) {
		switch e := effect.(type) {
		case Grant:
			h.asked -= h.asks[e.Ticket] - e.N // the rest is asked for anew
			delete(h.asks, e.Ticket)
			h.then(h.upTo(30*time.Millisecond), func() { h.leave(e) })
		case Quiet:
			h.quiet = e.Until
		case Held:
			h.held = e.Until
		case Consult:
			h.consult(e)
		case Wake:
			h.alarm++ // the last one asked counts
			life, alarm := h.life, h.alarm
			h.after(max(0, time.Duration(float64(e.At.Sub(h.clock()))*1.006)), func() {
				if life == h.life && alarm == h.alarm {
					h.then(0, func() { h.ticks++; h.tell(Tick{}); h.want() })
				}
			})
		}
	}
}

// leave writes a grant, unless it may not any more, as a flight does.
func (h *hauler) leave(g Grant) {
	ask, now := g, h.clock()
	h.asked -= g.N
	if !now.Before(h.held) || now.Before(h.quiet) {
		h.tell(Finished{Route: ask.Route, N: g.N, Unused: g.N})
		h.want()
		return
	}
	sent := h.bay.now
	h.backlog -= g.N
	h.sent += g.N
	h.last = sent
	h.tell(Left{Route: g.Route, N: g.N, Written: g.N})
	accepted, wait := g.N, time.Duration(0)
	h.after(h.upTo(4*time.Millisecond), func() {
		h.left = append(h.left, leave{h.bay.now, h.bay.now, g.N})
		accepted, wait = h.grants(h.bay.now, g.N)
	})
	h.then(20*time.Millisecond, func() {
		h.backlog += g.N - accepted
		h.tell(Finished{Route: g.Route, N: g.N, Proven: accepted, Throttled: g.N - accepted, RetryAfter: wait, Took: h.bay.now.Sub(sent)})
		h.want()
	})
	h.want()
}

// consult takes a request to the store and its answer back.
func (h *hauler) consult(e Consult) {
	const limit = time.Second
	there, back := time.Millisecond+h.upTo(5*time.Millisecond), time.Millisecond+h.upTo(5*time.Millisecond)
	lost := h.cut || h.troubled && h.IntN(20) == 0
	late := h.troubled && h.IntN(20) == 0
	if late { // it comes into effect when nobody waits for it any more
		there, lost = h.upTo(4*time.Second), true
	}
	failed := func() { h.then(limit, func() { h.tell(Told{Subject: e.Subject, Failed: true}); h.want() }) }
	if lost {
		failed()
	}
	if h.cut || lost && !late && h.IntN(2) == 0 {
		return
	}
	h.after(there, func() {
		answer := Told{Subject: e.Subject}
		if e.New != nil && e.Old.Edition == h.row.Edition && slices.EqualFunc(e.Old.Shares, h.row.Shares, func(a, b Share) bool { return a == b }) {
			h.row, answer.Wrote = *e.New, true
		}
		answer.Row = h.row
		answer.Row.Shares = slices.Clone(h.row.Shares)
		if !lost {
			h.then(back, func() { h.tell(answer); h.want() })
		}
	})
}

// most is the most that came in any second, and when that began.
func (b *bay) most() (most int, at time.Duration) {
	slices.SortStableFunc(b.left, func(x, y leave) int { return x.from.Compare(y.from) })
	from, sum := 0, 0
	for _, l := range b.left {
		sum += l.n
		for l.from.Sub(b.left[from].from) >= time.Second {
			sum -= b.left[from].n
			from++
		}
		if sum > most {
			most, at = sum, b.left[from].from.Sub(start)
		}
	}
	return most, at
}

func (b *bay) within() {
	b.Helper()
	if most, at := b.most(); most > max(1, b.quota/60) {
		b.Fatalf("%d came in the second from %v on, the quota is %d", most, at, b.quota/60)
	}
}

// used is the part of the quota that came from an instant on, for a time.
func (b *bay) used(from, d time.Duration) float64 {
	sum := 0
	for _, l := range b.left {
		if at := l.from.Sub(start); at >= from && at < from+d {
			sum += l.n
		}
	}
	return float64(sum) / (float64(b.quota) / 60 * d.Seconds())
}

// Law L7 in sum over processes, whatever befalls them and the store.
func TestProcessesNeverExceedAQuotaTogether(t *testing.T) {
	r := draw(t)
	for i := range 10 {
		quota := []int{60, 300, 3000, 60_000, 600_000}[i%5]
		b := newBay(t, r, quota, 1+r.IntN(6))
		b.troubled = true
		for range 40 {
			h := b.processes[r.IntN(len(b.processes))]
			switch r.IntN(7) {
			case 0, 1:
				h.backlog += r.IntN(quota)
			case 2:
				h.paused = b.now.Add(b.upTo(8 * time.Second))
			case 3:
				h.cut = !h.cut
			case 4:
				h.begin()
			case 5:
				h.class = tocsin.Class(1 + r.IntN(4))
			case 6:
				h.backlog = h.asked
			}
			b.run(b.upTo(2 * time.Second))
		}
		b.within()
		for _, h := range b.processes { // once faults stop, all get their turn
			h.cut, h.backlog, h.sent = false, 100*quota, 0
		}
		b.troubled = false
		b.run(50 * time.Second)
		b.within()
		for _, h := range b.processes {
			if h.sent == 0 {
				t.Fatalf("case %d: %s sends nothing", i, h.name)
			}
		}
	}
}

// Whoever cannot reach the store sends nothing after two seconds, and the others
// take over what it had.
func TestAProcessCutOffStops(t *testing.T) {
	b := newBay(t, draw(t), 60_000, 3)
	for _, h := range b.processes {
		h.backlog = 1_000_000
	}
	b.run(10 * time.Second)
	h, since := b.processes[1], b.now
	h.cut = true
	b.run(10 * time.Second)
	if d := h.last.Sub(since); d > lease || d <= 0 {
		t.Errorf("it sent for %v", d)
	}
	if used := b.used(15*time.Second, 5*time.Second); used < 0.95 {
		t.Errorf("the others use %.3f of the quota", used)
	}
	h.cut = false
	sent := h.sent
	b.run(5 * time.Second)
	if h.sent == sent {
		t.Error("it never began again")
	}
	b.within()
}

// What was granted before a pause of the process does not leave after it.
func TestAProcessThatWakesUpHoldsNothing(t *testing.T) {
	b := newBay(t, draw(t), 60_000, 2)
	for _, h := range b.processes {
		h.backlog = 1_000_000
	}
	b.run(10 * time.Second)
	h := b.processes[0]
	sent := h.sent
	h.paused = b.now.Add(8 * time.Second)
	b.run(8*time.Second + time.Millisecond)
	if h.sent != sent {
		t.Errorf("%d left", h.sent-sent)
	}
	if used := b.used(14*time.Second, 4*time.Second); used < 0.95 {
		t.Errorf("the other uses %.3f of the quota", used)
	}
	b.run(5 * time.Second)
	if h.sent == sent {
		t.Error("it never began again")
	}
	b.within()
}

// A quota that several want is used, shared by what each has to send, and
// follows what they want.
func TestASharedQuotaIsUsed(t *testing.T) {
	for _, quota := range []int{600, 30_000} {
		for _, n := range []int{1, 2, 7} {
			b := newBay(t, draw(t), quota, n)
			for _, h := range b.processes {
				h.backlog = 100 * quota
			}
			b.run(25 * time.Second)
			if used := b.used(5*time.Second, 20*time.Second); used < 0.95 {
				t.Errorf("%d a minute, %d processes that all want: %.3f used", quota, n, used)
			}
			if n == 1 {
				continue
			}
			for i, h := range b.processes { // one has nothing left, the others four times as much each
				if h.sent = 0; i == 0 {
					h.backlog = h.asked
				}
			}
			b.run(13 * time.Second)
			if used := b.used(28*time.Second, 10*time.Second); used < 0.9 {
				t.Errorf("%d a minute, %d processes, three seconds after one stopped: %.3f used", quota, n, used)
			}
			b.within()
		}
	}
}

// All that one process wants moves to another.
func TestDemandMoves(t *testing.T) {
	for _, class := range []tocsin.Class{tocsin.Urgent, tocsin.Normal} {
		b := newBay(t, draw(t), 60_000, 2)
		one, other := b.processes[0], b.processes[1]
		one.backlog, other.class = 1_000_000, class
		b.run(10 * time.Second)
		if used := b.used(5*time.Second, 5*time.Second); used < 0.95 {
			t.Errorf("one alone uses %.3f", used)
		}
		other.backlog = 1_000_000
		if class == tocsin.Normal {
			one.backlog = one.asked
		}
		b.run(13 * time.Second)
		if used := b.used(13*time.Second, 10*time.Second); used < 0.9 {
			t.Errorf("class %v: three seconds later %.3f is used", class, used)
		}
		if part := float64(other.sent) / float64(13*1000); part < 0.75 {
			t.Errorf("class %v: the other sent %.2f of the quota", class, part)
		}
		b.within()
	}
}

// Who has more to send gets more.
func TestMoreToSendGetsMore(t *testing.T) {
	b := newBay(t, draw(t), 60_000, 2)
	b.processes[0].backlog, b.processes[1].backlog = 90_000, 30_000
	b.run(60 * time.Second)
	if a, b := b.processes[0].sent, b.processes[1].sent; a < 2*b || a > 4*b {
		t.Errorf("%d and %d were sent, of 90000 and 30000 in a minute that takes half", a, b)
	}
	b.within()
}

// When a provider asks one process to slow down, the others stop, too, and all
// together come to what it grants.
func TestProcessesSlowDownTogether(t *testing.T) {
	for _, quota := range []int{60_000, 600_000} {
		b := newBay(t, draw(t), quota, 3)
		granted := float64(quota) / 120 // a second: half
		tokens, at := granted, b.now
		var said []time.Time
		b.grants = func(now time.Time, n int) (int, time.Duration) {
			tokens = min(granted, tokens+granted*now.Sub(at).Seconds())
			at = now
			if ok := min(n, int(tokens)); ok < n {
				tokens -= float64(ok)
				said = append(said, now)
				return ok, 3 * time.Second
			}
			tokens -= float64(n)
			return n, 0
		}
		for _, h := range b.processes {
			h.backlog = 1000 * quota
		}
		b.run(100 * time.Second)
		b.within()
		slices.SortFunc(b.left, func(x, y leave) int { return x.from.Compare(y.from) })
		for _, s := range said {
			for _, l := range b.left {
				if d := l.from.Sub(s); d > time.Second && d < 3*time.Second {
					t.Fatalf("%d came %v after one was told to wait three seconds", l.n, d)
				}
			}
		}
		used := 2 * b.used(60*time.Second, 40*time.Second)
		if used < 0.84 {
			t.Errorf("%.3f was sent of what is granted", used)
		}
		t.Logf("%d a minute: %d times 429, %.3f of what is granted", quota, len(said), used)
	}
}
