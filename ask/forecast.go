package ask

import (
	"math"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Cause is what a drift is owed to.
type Cause uint8

const (
	Ours    Cause = iota + 1 // what this node can send
	Quota                    // what the provider grants, or asked to wait
	Latency                  // how long the provider takes to answer
	Rate                     // the rate that the client chose for the send
)

var causes = [...]string{Ours: "ours", Quota: "quota", Latency: "latency", Rate: "rate"}

func (c Cause) String() string {
	if int(c) < len(causes) {
		return causes[c]
	}
	return ""
}

// Way is what a send has to do with one whom a provider counts.
type Way struct {
	Provider tocsin.Provider
	Subject  string
	Pushes   int     // of the send
	Ahead    int     // of others, that share the way with it
	Quota    float64 // pushes a second that it is granted; 0 no limit
	Ramp     Ramp
	Until    time.Time // the provider wants to hear nothing before it
	Latency  time.Duration
}

// Ramp lets a quota be used in part at first: from the level now, above 0 to 1,
// rising to 1 in what is left of Over. Over 0 is no ramp.
type Ramp struct {
	Level float64
	Over  time.Duration
}

// Outlook is what a forecast stands on.
type Outlook struct {
	Now       time.Time
	Ways      []Way
	Ahead     int // pushes of others on ways that the send does not use
	PerMinute int // rate that the client chose; 0 none
	Measured  Measured
}

// Expected is a forecast: drifts of the send's pushes, and what most of the
// last one's is owed to.
type Expected struct {
	Pushes           int
	First, P99, Last time.Duration
	Cause            Cause
}

// Forecast tells what is to be expected of a send. Ways share what the node can
// send evenly, none above what it is granted; on a way the send takes turns with
// whatever is ahead. A send without pushes has no drift.
func Forecast(o Outlook) Expected {
	e := Expected{Cause: Ours}
	flows := make([]flow, 0, len(o.Ways)+1)
	for _, w := range o.Ways {
		if w.Pushes == 0 {
			continue
		}
		e.Pushes += w.Pushes
		f := flow{ours: float64(w.Pushes), all: float64(w.Pushes + w.Ahead), quota: w.Quota, ramp: w.Ramp, start: max(0, w.Until.Sub(o.Now).Seconds())}
		if usual := o.Measured.Ways[w.Subject]; usual > 0 && usual < o.Measured.PerSecond {
			f.usual, f.why = usual, Ours
			if w.Latency > slowAnswer {
				f.why = Latency
			}
		}
		flows = append(flows, f)
	}
	if e.Pushes == 0 {
		return e
	}
	if o.Ahead > 0 {
		flows = append(flows, flow{all: float64(o.Ahead)})
	}
	first, p99, last := run(flows, o.Measured.PerSecond, 0.99*float64(e.Pushes))
	for _, f := range flows {
		if f.ours > 0 && f.end == last {
			f.owed[Ours] += o.Measured.First.Seconds()
			for c, seconds := range f.owed {
				if seconds > f.owed[e.Cause] {
					e.Cause = Cause(c)
				}
			}
		}
	}
	if o.PerMinute > 0 {
		all := float64(e.Pushes) / float64(o.PerMinute) * 60
		if all > last {
			e.Cause = Rate
		}
		p99, last = max(p99, 0.99*all), max(last, all)
	}
	at := func(seconds float64) time.Duration {
		return o.Measured.First + time.Duration(math.Round(min(seconds, longest)*1e9))
	}
	e.First, e.P99, e.Last = at(first), at(p99), at(last)
	return e
}

const (
	slowAnswer = 10 * time.Millisecond
	longest    = 366 * 24 * 3600 // seconds
	rampSteps  = 50              // pieces of a ramp, in each of which the rate is its mean
)

// flow is one way while it is played through.
type flow struct {
	ours, all   float64
	done        float64 // of all
	quota       float64
	ramp        Ramp
	usual       float64 // that it takes without a quota; 0 unknown
	why         Cause   // of that
	start, end  float64 // seconds
	rate        float64 // now
	limit, next float64 // the rate's limit, until when
	cause       Cause
	owed        [Rate + 1]float64
}

// bound sets what limits a flow at an instant, and until when.
func (f *flow) bound(t float64) {
	f.limit, f.cause, f.next = math.Inf(1), Ours, math.Inf(1)
	if t < f.start {
		f.limit, f.cause, f.next = 0, Quota, f.start
		return
	}
	if f.usual > 0 {
		f.limit, f.cause = f.usual, f.why
	}
	quota := f.quota
	if rest := (1 - f.ramp.Level) * f.ramp.Over.Seconds(); quota > 0 && rest > 0 && t < f.start+rest {
		step := rest / rampSteps
		n := math.Floor((t-f.start)/step + 1e-9)
		f.next = f.start + (n+1)*step
		quota *= f.ramp.Level + (1-f.ramp.Level)*(n+0.5)/rampSteps
	}
	if quota > 0 && quota < f.limit {
		f.limit, f.cause = quota, Quota
	}
}

// run plays the flows through at perSecond in all and returns when the first
// push of ours leaves, when as many as p99 have, and when the last has.
func run(flows []flow, perSecond, p99 float64) (first, at99, last float64) {
	first, at99 = math.Inf(1), -1
	for t := 0.0; ; {
		share(flows, perSecond, t)
		step, ours, pace := math.Inf(1), 0.0, 0.0
		for i := range flows {
			f := &flows[i]
			left := f.all - f.done
			ours += f.ours * f.done / f.all
			if left <= 0 {
				continue
			}
			step = min(step, f.next-t)
			if f.rate > 0 {
				step = min(step, left/f.rate)
				pace += f.rate * f.ours / f.all
				if f.ours > 0 {
					first = min(first, t)
				}
			}
		}
		if math.IsInf(step, 1) {
			break
		}
		if at99 < 0 && ours+pace*step >= p99 && pace > 0 {
			at99 = t + max(0, p99-ours)/pace
		}
		for i := range flows {
			f := &flows[i]
			if f.done >= f.all {
				continue
			}
			f.owed[f.cause] += step
			if f.done += f.rate * step; f.done > f.all-1e-6 {
				f.done, f.end = f.all, t+step
				if f.ours > 0 {
					last = max(last, f.end)
				}
			}
		}
		t += step
	}
	if at99 < 0 {
		at99 = last
	}
	return first, at99, last
}

// share divides what the node can send evenly among the flows at an instant;
// what one may not use goes to the others.
func share(flows []flow, perSecond, t float64) {
	waiting := 0
	for i := range flows {
		if f := &flows[i]; f.done < f.all {
			f.bound(t)
			f.rate = -1
			waiting++
		} else {
			f.rate = 0
		}
	}
	for left := perSecond; waiting > 0; {
		even, settled := left/float64(waiting), false
		for i := range flows {
			if f := &flows[i]; f.rate < 0 && f.limit <= even {
				f.rate, settled = f.limit, true
				left -= f.limit
				waiting--
			}
		}
		if settled {
			continue
		}
		for i := range flows {
			if f := &flows[i]; f.rate < 0 {
				f.rate, f.cause = even, Ours
			}
		}
		return
	}
}
