package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

const (
	steadyDelay = 50 * time.Millisecond
	lowDelay    = 5 * time.Millisecond
	highDelay   = 500 * time.Millisecond
	jumpAfter   = 200 * time.Millisecond
	jumpLasting = time.Second

	latencyLast   = 1500 // ms for a million, at most
	latencyMemory = 125  // % of what the node held before the jump, at most
	latencyAfter  = 50   // % of the rate before it, at least
)

// Slow is a round of latency.
type Slow struct {
	Wire        Side    `json:"wire"`
	Steady      RoadRun `json:"steady"`
	Connections int64   `json:"connections"` // that the provider saw in the steady run and in those before
	Jump        Jump    `json:"jump"`
}

// Jump is a send in which the provider's latency rose and fell again. Rates
// are pushes a second as the provider read them.
type Jump struct {
	Before      float64 `json:"before"`
	During      float64 `json:"during"`
	After       float64 `json:"after"` // once what was under way when it fell is answered; 0: all had left
	Last        float64 `json:"last"`  // ms
	Received    int     `json:"received"`
	Recipients  int     `json:"recipients"`
	Connections int64   `json:"connections"` // opened meanwhile
	Idle        uint64  `json:"idle"`        // resident bytes of the node before
	Memory      uint64  `json:"memory"`      // and at most
}

func latency(ctx context.Context, l *lab, s *Section) error {
	n, err := l.readers(ctx)
	if err != nil {
		return err
	}
	set := func(d time.Duration) error {
		return n.town.sim.behave(ctx, tocsin.APNs, map[string]any{"delay": d.String()})
	}
	defer n.town.sim.behave(context.WithoutCancel(ctx), tocsin.APNs, map[string]any{"delay": "0s"})
	var rounds []Slow
	for l.more(len(rounds)) {
		var r Slow
		if r.Wire, err = l.steady(ctx); err != nil {
			return err
		}
		if err := set(steadyDelay); err != nil {
			return err
		}
		for range 2 { // the first opens the connections
			if r.Steady, err = n.measure(ctx, news, n.people.size); err != nil {
				return n.town.failure(err)
			}
			totals, err := n.town.sim.totals(ctx, tocsin.APNs)
			if err != nil {
				return err
			}
			r.Connections += totals.Connections
			if err := l.quiet(ctx); err != nil {
				return err
			}
		}
		progress("  %v: last push after %.0f ms", steadyDelay, r.Steady.Drift.Last)
		if r.Jump, err = n.jump(ctx, set); err != nil {
			return n.town.failure(err)
		}
		j := &r.Jump
		progress("  %v to %v and back: %.0f, %.0f, %.0f pushes/s, last after %.0f ms", lowDelay, highDelay, j.Before, j.During, j.After, j.Last)
		rounds = append(rounds, r)
	}
	latencySection(s, rounds)
	return nil
}

// jump sends while the provider's latency rises and falls.
func (n *newsroom) jump(ctx context.Context, set func(time.Duration) error) (j Jump, err error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	t := n.town
	if err := set(lowDelay); err != nil {
		return j, err
	}
	if err := t.sim.reset(ctx); err != nil {
		return j, err
	}
	if err := resetPeak(t.pid); err != nil {
		return j, err
	}
	if j.Idle, err = peakMemory(t.pid); err != nil {
		return j, err
	}
	made, err := n.api.Send(ctx, client.SendRequest{Target: n.everybody(n.people.size), Message: news}, "")
	if err != nil {
		return j, err
	}
	var turns [2]time.Time
	for i, step := range []struct{ wait, delay time.Duration }{{jumpAfter, highDelay}, {jumpLasting, lowDelay}} {
		if err := pause(ctx, step.wait); err != nil {
			return j, err
		}
		if err := set(step.delay); err != nil {
			return j, err
		}
		turns[i] = time.Now()
	}
	last, err := n.ended(ctx, made.ID)
	if err != nil {
		return j, err
	}
	if j.Memory, err = peakMemory(t.pid); err != nil {
		return j, err
	}
	totals, err := t.sim.totals(ctx, tocsin.APNs)
	if err != nil {
		return j, err
	}
	if err := balanced(last, n.people.size); err != nil {
		return j, err
	}
	j.Connections, j.Recipients, j.Last = totals.Connections, n.people.size, last.Drift.Last
	begin, end := last.DueAt.UnixNano(), last.DueAt.UnixNano()+int64(last.Drift.Last*1e6)
	up, down := turns[0].UnixNano(), turns[1].UnixNano()
	settled := down + int64(highDelay)
	var before, during, after int
	err = t.sim.records(ctx, "", func(r *sim.Record) {
		j.Received++
		switch {
		case r.At < up:
			before++
		case r.At < down:
			during++
		case r.At >= settled:
			after++
		}
	})
	j.Before = perSecond(before, begin, min(up, end))
	j.During = perSecond(during, up, min(down, end))
	j.After = perSecond(after, settled, end)
	return j, err
}

// recovered is the rate after it in % of the one before; all of it when all had left.
func (j *Jump) recovered() float64 {
	if j.After == 0 {
		return 100
	}
	return 100 * j.After / j.Before
}

// perSecond is a rate between two instants in nanoseconds; 0 where there is no
// time between them.
func perSecond(n int, from, to int64) float64 {
	if to <= from {
		return 0
	}
	return float64(n) / (float64(to-from) / 1e9)
}

func latencySection(s *Section, rounds []Slow) {
	s.Title = "A provider that answers late"
	s.Text = []string{fmt.Sprintf("Every answer comes %v after its push, 1,000 streams a connection, so that one connection can carry 20,000 pushes a second; warm after one earlier send. "+
		"Then answers come after %v, from %v into a send on after %v, and %v later after %v again.", steadyDelay, lowDelay, jumpAfter, highDelay, jumpLasting, lowDelay)}
	t := Table{Head: append(sidesHead[:len(sidesHead):len(sidesHead)], "last push, ms", "connections")}
	all := make([]Side, len(rounds))
	for i := range rounds {
		all[i] = rounds[i].Steady.Side
	}
	t.add(append(sides(fmt.Sprintf("%v, %s recipients", steadyDelay, whole(float64(rounds[0].Jump.Recipients))), all),
		ranged(of(rounds, func(r *Slow) float64 { return r.Steady.Drift.Last })), ranged(of(rounds, func(r *Slow) float64 { return float64(r.Connections) })))...)
	jump := Table{Head: []string{"latency rises and falls in mid-send", "median (least - most)"}}
	for _, one := range []struct {
		name   string
		figure func(*Jump) float64
	}{
		{fmt.Sprintf("pushes/s at %v", lowDelay), func(j *Jump) float64 { return j.Before }},
		{fmt.Sprintf("pushes/s at %v", highDelay), func(j *Jump) float64 { return j.During }},
		{fmt.Sprintf("pushes/s from %v after it fell; 0: all had left", highDelay), func(j *Jump) float64 { return j.After }},
		{"last push, ms", func(j *Jump) float64 { return j.Last }},
		{"connections opened", func(j *Jump) float64 { return float64(j.Connections) }},
		{"memory of the node before, MiB", func(j *Jump) float64 { return float64(j.Idle >> 20) }},
		{"at most, MiB", func(j *Jump) float64 { return float64(j.Memory >> 20) }},
	} {
		jump.add(one.name, ranged(of(rounds, func(r *Slow) float64 { return one.figure(&r.Jump) })))
	}
	s.Tables, s.Rounds = []Table{t, jump}, rounds
	s.Checks = []Check{
		atMost("last push at "+steadyDelay.String(), "ms", latencyLast, 0, of(rounds, func(r *Slow) float64 { return r.Steady.Drift.Last })),
		atMost("pushes received for each recipient", "", 1, 0, of(rounds, func(r *Slow) float64 { return float64(r.Jump.Received) / float64(r.Jump.Recipients) })),
		atMost("memory in the jump against before it", "%", latencyMemory, 0, of(rounds, func(r *Slow) float64 { return 100 * float64(r.Jump.Memory) / float64(r.Jump.Idle) })),
		atLeast("pushes/s after the jump against before it", "%", latencyAfter, 0, of(rounds, func(r *Slow) float64 { return r.Jump.recovered() })),
	}
}
