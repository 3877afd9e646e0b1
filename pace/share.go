package pace

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Row is what the processes that share a subject's quota know of each other. It
// is written only where it still is as it was read.
type Row struct {
	Edition uint64 // rises with each write; 0: there is no row
	Shares  []Share
	Slow    Slow
	Raw     []byte // as it is stored; whoever stores it keeps it here
}

// Share is one process's part of a quota.
type Share struct {
	Process string
	Serial  uint64 // another one with each write of the process: it lives
	Part    int    // pushes that it may let leave in any second
	Quota   int    // a minute, as it was told
	Want    [tocsin.Synthetic + 1]int
	Level   float64 // of its ramp
	Gone    bool    // nothing of it will leave any more
}

// Slow is the last time that the provider asked one of them to slow down.
type Slow struct {
	Serial  uint64
	Left    time.Duration // of the wait, when the row was written
	Wait    time.Duration // that was asked for
	Allowed float64       // pushes a second that the subject is held to be granted; 0 all
}

// What keeps the sum of all parts within the quota, whatever clocks say.
//
// A process uses its part for lease, counted from before it asked for the write
// that says so; that write came into the row later. Whoever finds it there
// starts to count later still, and writes the part off after takeover: lease, the
// second in which what left last still counts, and a reserve for clocks and for
// the way to the provider. If the owner wrote meanwhile, that write fails and it
// counts anew.
//
// It rests on durations alone: no two clocks have to show the same time, but none
// that counts takeover may run ahead of one that counts lease by more than the
// reserve. So takeover is counted by the monotonic clock, which no step moves and
// which is never ahead but by drift (0.05 % at most while it is slewed), and lease
// by whichever is first of that and the wall clock: the monotonic one stands still
// while a machine is suspended (Linux), the wall clock is right again when it wakes
// up. A step forward ends a share early, a step back does nothing. A guest whose
// host stops both of its clocks cannot know: what it may let leave too much is at
// most its part, for what was left of lease.
//
// What is checked last is Held, when a range is handed to its lane. A process that
// is stopped between that and its write to the socket writes what is in that lane
// when it goes on.
//
// A part is raised only in a row in which the sum stays within the quota, and
// used once that row is known to be written. It is lowered in reverse: first no
// more leaves than the lower part, and when no more than that has left within a
// second, or is about to, the row says so. While the end of a write is not
// known, the lower of what it says and what was before is used.
const (
	lease    = 2 * time.Second
	takeover = lease + second + 240*time.Millisecond
	// handover is the wait for the part of one that is known to be gone.
	handover = second + 40*time.Millisecond

	renew  = 500 * time.Millisecond // from write to write
	poll   = 200 * time.Millisecond // from look to look while there is too little
	drain  = 20 * time.Millisecond  // between looks at whether a lower part is kept to
	again  = 100 * time.Millisecond // after a write whose end is not known
	rumour = 2 * time.Second        // from look to look at a subject without a quota
	linger = 10 * time.Second       // after the last push a share is kept
)

// holding is this process's share of a subject.
type holding struct {
	process string
	row     Row
	known   bool             // the row was read
	seen    map[string]sight // the others in it
	serial  uint64           // of our last write that is known to be in the row
	part    int              // in the row
	goal    int              // to be kept to: part, or less before the row says so
	until   time.Time        // part may be used
	doubt   *doubt
	asking  *Row // being written; nil none
	reading bool
	telling bool      // asking says that the provider wants to be left alone
	asked   time.Time // last
	wrote   time.Time // asked for last of what was written
	looked  time.Time
	next    time.Time // when to act; zero: when something is asked for
	busy    time.Time // last
	tries   int       // writes in a row that came too late
	quota   int       // a minute: the least that any of the processes was told
	last    float64   // last fraction above 0
	slow    uint64    // the last serial that was heeded
	tell    bool      // the provider asked us to slow down and the others do not know
	lapsed  bool
	taken   [2][tocsin.Synthetic + 1]int // granted in this second or so and the one before
	since   [2]time.Time
}

// sight is since when another's serial stands in the row, as far as we saw.
type sight struct {
	serial uint64
	since  time.Time
}

// doubt is a write, or some, whose end is not known: they can come into effect
// as long as the row has the edition.
type doubt struct {
	edition uint64
	first   uint64 // serial of the first
	part    int    // the least that one of them says
	asked   time.Time
}

func (h *holding) mine(r Row) int {
	return slices.IndexFunc(r.Shares, func(s Share) bool { return s.Process == h.process })
}

// whole is how many may leave in any second, from all processes.
func (h *holding) whole() int { return max(1, h.quota/60) }

// most is how many may leave in any second from here.
func (h *holding) most() int {
	n := min(h.part, h.goal)
	if h.doubt != nil {
		n = min(n, h.doubt.part)
	}
	return n
}

// holds reports whether our part may be used.
func (h *holding) holds(now time.Time) bool { return !ended(now, h.until) }

// ended reports whether an instant has come by the monotonic clock or by the
// wall clock.
func ended(now, until time.Time) bool {
	return !now.Before(until) || !now.Round(0).Before(until.Round(0))
}

// limit brings what may leave to the subject.
func (s *subject) limit() {
	if s.held == nil || s.quota == 0 {
		return
	}
	s.window.most = s.held.most()
	if f := float64(s.window.most) / float64(s.held.whole()); f > 0 {
		s.held.last = f
	}
}

// fraction is our part of the whole.
func (s *subject) fraction() float64 {
	if s.held == nil || s.quota == 0 {
		return 1
	}
	return s.held.last
}

// live is who else is in the row and not written off, and the least quota that
// one of all was told.
func (h *holding) live(now time.Time, own int) (others []Share, quota int) {
	quota = own
	for _, s := range h.row.Shares {
		age := now.Sub(h.seen[s.Process].since)
		if s.Process == h.process || age >= takeover || s.Gone && age >= handover {
			continue
		}
		others = append(others, s)
		if !s.Gone && s.Quota > 0 {
			quota = min(quota, s.Quota)
		}
	}
	return others, quota
}

// shared is how the parts stand.
func (h *holding) shared(now time.Time) Shared {
	others, _ := h.live(now, 0)
	all := Shared{Processes: 1 + len(others)}
	if h.holds(now) {
		all.Own = h.most()
	}
	for _, o := range others {
		all.Others += o.Part
	}
	return all
}

// note counts what was granted, for what a process wants.
func (h *holding) note(now time.Time, class tocsin.Class, n int) {
	h.turn(now)
	h.taken[0][class] += n
}

func (h *holding) turn(now time.Time) {
	if now.Sub(h.since[0]) <= recently {
		return
	}
	h.taken[1], h.since[1] = h.taken[0], h.since[0]
	if now.Sub(h.since[0]) > 2*recently {
		h.taken[1] = [tocsin.Synthetic + 1]int{}
	}
	h.taken[0], h.since[0] = [tocsin.Synthetic + 1]int{}, now
}

// want is what is open here, by class, and what left in the last second.
func (m *Machine) want(now time.Time, s *subject) (want [tocsin.Synthetic + 1]int) {
	for _, loads := range m.loads {
		for _, l := range loads {
			if l.Subject == s.name {
				want[Known(l.Class)] += l.Pushes
			}
		}
	}
	var asked [tocsin.Synthetic + 1]int
	for _, a := range m.asks {
		if a.queue.route.subject == s {
			asked[a.Class] += a.N
		}
	}
	h := s.held
	h.turn(now)
	sum := 0
	for c := range want {
		want[c] = max(want[c], asked[c]) + max(h.taken[0][c], h.taken[1][c])
		sum += want[c]
	}
	if sum == 0 && !h.busy.IsZero() && now.Sub(h.busy) < linger {
		want[tocsin.Normal] = 1
	}
	return want
}

// due is when to act, or when our part ends while others may wait for it; zero:
// never.
func (h *holding) due() time.Time {
	if h == nil || h.asking != nil || h.reading {
		if h != nil && !h.lapsed && h.part > 0 {
			return h.until
		}
		return time.Time{}
	}
	at := h.next
	if !h.lapsed && h.part > 0 && (at.IsZero() || h.until.Before(at)) {
		at = h.until
	}
	return at
}
