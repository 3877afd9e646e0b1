package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Network is what befalls whole connections, whatever they carry. A period
// of 0 is never.
type Network struct {
	GoAwayPeriod Duration `json:"goaway_period"` // a GOAWAY on every connection that often
	ResetPeriod  Duration `json:"reset_period"`  // so often one connection, drawn by the seed, ends in a TCP reset
	RefusePeriod Duration `json:"refuse_period"` // so often REFUSED_STREAM meets the next ...
	RefuseBurst  int      `json:"refuse_burst"`  // ... so many pushes
	Silent       int      `json:"silent"`        // so many connections go dead at their next push: nothing is read or written any more
	Drip         int      `json:"drip"`          // bytes a second that a connection carries each way; 0: no limit
	NoHandshake  bool     `json:"no_handshake"`  // new connections fail in TLS
}

const (
	leastPeriod = time.Millisecond
	maxBurst    = 1_000_000
	maxSilent   = 1000
	leastDrip   = 100
)

func (n *Network) validate() error {
	for _, period := range []Duration{n.GoAwayPeriod, n.ResetPeriod, n.RefusePeriod} {
		if period != 0 && time.Duration(period) < leastPeriod {
			return fmt.Errorf("sim: a period is %v: want 0 or at least %v", time.Duration(period), leastPeriod)
		}
	}
	switch {
	case n.RefuseBurst < 0 || n.RefuseBurst > maxBurst:
		return fmt.Errorf("sim: refuse_burst is %d: want 0 to %d", n.RefuseBurst, maxBurst)
	case n.RefusePeriod != 0 && n.RefuseBurst == 0:
		return errors.New("sim: refuse_period without refuse_burst")
	case n.Silent < 0 || n.Silent > maxSilent:
		return fmt.Errorf("sim: silent is %d: want 0 to %d", n.Silent, maxSilent)
	case n.Drip != 0 && n.Drip < leastDrip:
		return fmt.Errorf("sim: drip is %d: want 0 or at least %d", n.Drip, leastDrip)
	}
	return nil
}

// trouble is what is still to befall the connections of a service.
type trouble struct {
	refuse, silence allowance
}

// disturb carries out what happens at times, until end.
func (v *service) disturb(n Network, end <-chan struct{}) {
	every := func(period Duration) (<-chan time.Time, func()) {
		if period == 0 {
			return nil, func() {}
		}
		ticker := time.NewTicker(time.Duration(period))
		return ticker.C, ticker.Stop
	}
	goAway, stop1 := every(n.GoAwayPeriod)
	reset, stop2 := every(n.ResetPeriod)
	refuse, stop3 := every(n.RefusePeriod)
	defer stop1()
	defer stop2()
	defer stop3()
	for turn := uint64(0); ; turn++ {
		select {
		case <-end:
			return
		case <-v.server.stopping:
			return
		case <-goAway:
			for _, c := range v.server.live() {
				c.ask(askGoAway)
			}
		case <-reset:
			if live := v.server.live(); len(live) > 0 {
				slices.SortFunc(live, func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
				live[mix(v.seed^turn)%uint64(len(live))].ask(askReset)
			}
		case <-refuse:
			v.trouble.refuse.n.Store(int64(n.RefuseBurst))
		}
	}
}

// What another goroutine may ask of a connection's reader.
const (
	askGoAway uint32 = 1 << iota
	askReset
	askSilence
)

// ask wakes the reader up.
func (c *conn) ask(what uint32) {
	c.asked.Or(what)
	c.pipe.wake()
}

// obey does what was asked, when all that came before is answered.
func (c *conn) obey() error {
	if c.asked.Load() == 0 {
		return nil
	}
	asked, totals := c.asked.Swap(0), c.server.totals
	if asked&askGoAway != 0 && !c.goneAway && c.greeted {
		totals.goAways.Add(1)
		c.goAway(c.last, c.server.rules.Load().GoAwayDebug)
		c.flush()
	}
	if asked&askReset != 0 {
		totals.resets.Add(1)
		return errReset
	}
	if asked&askSilence != 0 {
		totals.silent.Add(1)
		c.mu.Lock()
		c.mute = true
		c.mu.Unlock()
		<-c.server.stopping
	}
	return nil
}
