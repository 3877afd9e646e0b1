package fanout

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// stage is how far a job is with its open.
type stage uint8

const (
	waiting    stage = iota // for the audience to apply its mark
	evaluating              // Evaluate is under way
	evaluated               // its audience is known
	sent                    // its open was put into the outbox
	open                    // its open is in force
)

// job is one send on this shard: first a slice to open, then an open send.
type job struct {
	id       tocsin.SendID
	position uint64           // of the slice
	content  *record.Envelope // the slice; nil until it was fetched after a takeover
	stage    stage
	dirty    bool

	// While it opens.
	audience Evaluated
	first    *task     // the claim that its open would carry
	deadline time.Time // then it opens without; zero: not waiting
	plain    bool      // its open carries no claim

	// Once it is open.
	send    *ledger.Send
	feeds   []*feed
	byRoute map[provider.Route]*feed // the same
	outcome tocsin.Outcome           // of every push not begun yet: set when the send expired, or its content is gone
	reason  tocsin.Reason
	closing bool
}

// feed brings the pushes of one send on one route, page after page.
type feed struct {
	job   *job
	route provider.Route
	pages []int  // their numbers
	at    int    // index of the page that comes next
	from  int    // and where in it
	again []todo // ranges that come before, in their order: released, the rest of a small grant, retries
	asked int    // tasks that wait for pace

	// Later ranges are asked for when earlier ones are granted, so that the wait
	// of one Ask is only a part of what a quota costs it: all since the first is.
	paced  bool          // something was granted
	began  time.Duration // pace.Grant.Total when the first was asked for
	total  time.Duration // the same at the last grant
	before time.Duration // waited before a pause
}

// todo is a range that may be claimed.
type todo struct {
	page int
	ledger.Span
	attempt int
}

// task is a todo on its way: asked, granted, claimed, delivered.
type task struct {
	todo
	id     uint64 // ticket
	feed   *feed
	n      int // granted pushes, from the first on
	waited time.Duration
	ref    ClaimRef // once claimed

	settled bool // in the same breath: nothing of it was granted, no byte leaves
}

func (j *job) slice() *record.Slice { return j.content.GetSlice() }

// maxTTL is what a send without a time to live gets: the longest that every
// provider takes.
const maxTTL = 28 * 24 * time.Hour

// opened makes the feeds of a send: everything in it that may be claimed.
func (m *Machine) opened(j *job, s *ledger.Send) {
	j.stage, j.send, j.first, j.feeds, j.closing = open, s, nil, nil, false
	j.deadline, j.audience, j.position = time.Time{}, Evaluated{}, s.Slice
	if s.Cancelled {
		m.look(j)
		return
	}
	m.tellRate(s)
	for n := range s.Pages() {
		lot := s.Page(n).Lot()
		r := provider.Route{Provider: lot.Provider, Credential: lot.Credential, Host: lot.Host, Topic: lot.Topic}
		f := j.feed(r)
		f.pages = append(f.pages, n)
	}
	m.refreshed = true
	m.look(j)
}

func (j *job) feed(r provider.Route) *feed {
	if f := j.byRoute[r]; f != nil {
		return f
	}
	if j.byRoute == nil {
		j.byRoute = map[provider.Route]*feed{}
	}
	f := &feed{job: j, route: r}
	j.byRoute[r] = f
	j.feeds = append(j.feeds, f)
	return f
}

func (j *job) feedOf(page int) *feed {
	lot := j.send.Page(page).Lot()
	return j.feed(provider.Route{Provider: lot.Provider, Credential: lot.Credential, Host: lot.Host, Topic: lot.Topic})
}

// next takes the next range of at most size pushes that may be claimed, all for
// the same attempt.
func (f *feed) next(size int) (t todo, ok bool) {
	for len(f.again) > 0 {
		next := &f.again[0]
		t := f.claimable(*next)
		t.To = min(t.To, t.From+size)
		if next.From = t.To; next.From == next.To {
			f.again = f.again[1:]
		}
		if t.From < t.To {
			return t, true
		}
	}
	for f.at < len(f.pages) {
		n := f.pages[f.at]
		page := f.job.send.Page(n)
		t := todo{page: n, Span: ledger.Span{From: f.from, To: f.from}}
		if page.Open() > 0 {
			for span, push := range page.Runs(ledger.Span{From: f.from, To: page.Size()}) {
				fits := push.State() == ledger.Unclaimed && (t.attempt == 0 || t.attempt == push.Attempt())
				if !fits && t.attempt > 0 {
					break
				}
				if fits {
					if t.attempt == 0 {
						t.From, t.attempt = span.From, push.Attempt()
					}
					if t.To = min(span.To, t.From+size); t.To < span.To {
						break
					}
				}
			}
		}
		if t.attempt > 0 {
			if f.from = t.To; f.from == page.Size() {
				f.at, f.from = f.at+1, 0
			}
			return t, true
		}
		f.at, f.from = f.at+1, 0
	}
	return todo{}, false
}

// claimable is the first part of a range that may still be claimed: empty and at
// its end when there is none.
func (f *feed) claimable(t todo) todo {
	part := todo{t.page, ledger.Span{From: t.To, To: t.To}, t.attempt}
	for span, push := range f.job.send.Page(t.page).Runs(t.Span) {
		switch fits := push.Claimable() == t.attempt; {
		case fits && part.From == t.To:
			part.Span = span
		case fits:
			part.To = span.To
		case part.From < t.To:
			return part
		}
	}
	return part
}

// waits reports whether a range of the feed is waiting to be claimed already.
func (m *Machine) waits(f *feed, t todo) bool {
	same := func(o todo) bool {
		return o.page == t.page && o.attempt == t.attempt && o.From < t.To && t.From < o.To
	}
	for _, o := range f.again {
		if same(o) {
			return true
		}
	}
	for _, o := range m.asked {
		if o.feed == f && same(o.todo) {
			return true
		}
	}
	for _, o := range m.ready {
		if o.feed == f && same(o.todo) {
			return true
		}
	}
	for _, o := range m.claims {
		if o.feed == f && same(o.todo) {
			return true
		}
	}
	return false
}

// advance does what an open send needs next.
func (m *Machine) advance(j *job) {
	if j.stage != open || j.send.Closed {
		return
	}
	if j.send.Open() == 0 {
		if !j.closing {
			j.closing = true
			m.put(&record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Send: j.id.Bytes()}}}, j.send.Scope)
		}
		return
	}
	if m.leaving || j.send.Cancelled {
		return
	}
	if j.outcome != 0 {
		m.endRest(j)
		return
	}
	if j.send.Steering.Paused || j.content == nil || m.applied < j.send.Changes {
		return // until it goes on, its content is fetched, and its people are known here
	}
	for _, f := range j.feeds {
		for f.asked < asksAhead {
			t, ok := f.next(m.config.RangeSize)
			if !ok {
				break
			}
			m.ask(f, t)
		}
	}
}

// asksAhead is how many ranges of a feed wait for pace at a time: enough that
// there is always one while another is granted.
const asksAhead = 2
