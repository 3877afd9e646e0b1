package ask

import "time"

// Measured is how this node does when nothing holds it back.
type Measured struct {
	First     time.Duration      `json:"first"`      // drift of a send's first push
	PerSecond float64            `json:"per_second"` // pushes, over all ways
	Ways      map[string]float64 `json:"ways"`       // the same of a way, by its subject
}

// Unmeasured is what is assumed before the first large send has ended.
func Unmeasured() Measured {
	return Measured{First: 20 * time.Millisecond, PerSecond: 200_000, Ways: map[string]float64{}}
}

// Came is what became of a send.
type Came struct {
	Subject     string // that took nearly all of it; "" several
	Pushes      int
	First, Last time.Duration // drifts
	Waited      time.Duration // of the last one's: for the quota, a rate or a pause
	Alone       bool          // nothing else was open when it was accepted
}

const (
	// tells is how many pushes a send must have to tell of a rate.
	tells = 10_000
	// newest is the weight of the newest send in what is measured.
	newest = 0.4
	// mostWays bounds the subjects that are remembered.
	mostWays = 1_000
)

// Learn takes a send into account that has ended. It returns a new value.
func (m Measured) Learn(c Came) Measured {
	span := c.Last - c.First
	if !c.Alone || c.Pushes < tells || span <= 0 || c.Waited > span/20 {
		return m
	}
	rate := float64(c.Pushes) / span.Seconds()
	mix := func(old, now float64) float64 { return old + newest*(now-old) }
	out := Measured{First: time.Duration(mix(float64(m.First), float64(c.First))), PerSecond: m.PerSecond, Ways: map[string]float64{}}
	for subject, old := range m.Ways {
		if len(out.Ways) < mostWays {
			out.Ways[subject] = old
		}
	}
	if old := out.Ways[c.Subject]; old > 0 {
		rate = mix(old, rate)
	}
	if c.Subject != "" {
		out.Ways[c.Subject] = rate
	}
	// The node can do what its best way shows.
	best := 0.0
	for _, r := range out.Ways {
		best = max(best, r)
	}
	if c.Subject == "" {
		best = max(best, mix(m.PerSecond, rate))
	}
	out.PerSecond = best
	return out
}
