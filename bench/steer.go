package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

const (
	steerFast  = 10  // seconds that the send would take as it begins
	steerSlow  = 100 // and as it is slowed to
	steerHold  = 3 * time.Second
	steerGrain = 100 * time.Millisecond
	steerLimit = 2000 // ms until a change is obeyed, at most
)

// Steered is a send whose rate was changed while it ran. Times are milliseconds
// from the answer to each change.
type Steered struct {
	Fast   float64 `json:"fast"`   // pushes a second before
	Slow   float64 `json:"slow"`   // and after it was slowed
	Slowed float64 `json:"slowed"` // until no tenth of a second had more than 10 % above the rate
	Paused float64 `json:"paused"` // until the last push
	Went   float64 `json:"went"`   // until the first push after it was resumed
	Last   float64 `json:"last"`   // ms from the due time to the last push of all
}

func steer(ctx context.Context, l *lab, s *Section) error {
	n, err := l.readers(ctx)
	if err != nil {
		return err
	}
	var rounds []Steered
	for l.more(len(rounds)) {
		if _, err := l.steady(ctx); err != nil {
			return err
		}
		r, err := n.steered(ctx, l.lasting(steerHold))
		if err != nil {
			return n.town.failure(err)
		}
		progress("  slowed in %.0f ms, paused in %.0f ms, resumed in %.0f ms", r.Slowed, r.Paused, r.Went)
		rounds = append(rounds, *r)
	}
	s.Title = "Slowed, paused and resumed while it runs"
	s.Text = []string{fmt.Sprintf("A send to %s begins at %s pushes a second, is slowed to %s, paused, and resumed as fast as possible, %v between the changes; as the provider saw it.",
		whole(float64(n.people.size)), whole(float64(n.people.size/steerFast)), whole(float64(n.people.size/steerSlow)), steerHold)}
	t := Table{Head: []string{"ms from the answer to a change", "median (least - most)"}}
	t.add("no more than the new rate", ranged(of(rounds, func(r *Steered) float64 { return r.Slowed })))
	t.add("last push after a pause", ranged(of(rounds, func(r *Steered) float64 { return r.Paused })))
	t.add("first push after it was resumed", ranged(of(rounds, func(r *Steered) float64 { return r.Went })))
	t.add("pushes/s before", ranged(of(rounds, func(r *Steered) float64 { return r.Fast })))
	t.add("pushes/s slowed", ranged(of(rounds, func(r *Steered) float64 { return r.Slow })))
	s.Tables, s.Rounds = []Table{t}, rounds
	s.Checks = []Check{atMost("slowest change obeyed", "ms", steerLimit, 0, of(rounds, func(r *Steered) float64 { return max(r.Slowed, r.Paused, r.Went) }))}
	return nil
}

func (n *newsroom) steered(ctx context.Context, hold time.Duration) (*Steered, error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	if err := n.town.sim.reset(ctx); err != nil {
		return nil, err
	}
	made, err := n.api.Send(ctx, client.SendRequest{Target: n.everybody(n.people.size), Message: news, Rate: 60 * n.people.size / steerFast}, "")
	if err != nil {
		return nil, err
	}
	paused, resumed := true, false
	var turns [3]turn
	for i, change := range []client.SendUpdate{{Rate: client.AtMost(60 * n.people.size / steerSlow)}, {Paused: &paused}, {Rate: client.AtMost(0), Paused: &resumed}} {
		if err := pause(ctx, hold); err != nil {
			return nil, err
		}
		turns[i].asked = time.Now().UnixNano()
		if _, err := n.api.Steer(ctx, made.ID, change); err != nil {
			return nil, err
		}
		turns[i].answered = time.Now().UnixNano()
	}
	last, err := n.ended(ctx, made.ID)
	if err != nil {
		return nil, err
	}
	if err := balanced(last, n.people.size); err != nil {
		return nil, err
	}
	var at []int64
	if err := n.town.sim.records(ctx, "", func(r *sim.Record) { at = append(at, r.At) }); err != nil {
		return nil, err
	}
	r := judgeSteering(at, last.DueAt.UnixNano(), turns, float64(n.people.size)/steerSlow)
	r.Last = last.Drift.Last
	return r, nil
}

// turn is when a change was asked for, and when it was acknowledged.
type turn struct{ asked, answered int64 }

// judgeSteering looks at the instants of all pushes, in nanoseconds: slowed,
// paused and resumed at the turns, slowed to a rate. What happens between request and answer of a
// change belongs to neither side of it.
func judgeSteering(at []int64, due int64, turns [3]turn, rate float64) *Steered {
	r := &Steered{}
	slowed, paused, resumed := turns[0], turns[1], turns[2]
	settled := slowed.answered + (paused.asked-slowed.answered)/3
	var fast, slow int
	grains := make([]int, (paused.asked-slowed.answered)/int64(steerGrain)+1)
	first := int64(0)
	for _, t := range at {
		switch {
		case t < slowed.asked:
			fast++
		case t >= slowed.answered && t < paused.asked:
			grains[(t-slowed.answered)/int64(steerGrain)]++
			if t >= settled {
				slow++
			}
		case t >= paused.answered && t < resumed.asked:
			r.Paused = max(r.Paused, float64(t-paused.answered)/1e6)
		case t >= resumed.asked && (first == 0 || t < first):
			first = t
		}
	}
	for i, n := range grains {
		if float64(n) > 1.1*rate*steerGrain.Seconds() {
			r.Slowed = float64((i + 1) * int(steerGrain.Milliseconds()))
		}
	}
	r.Fast, r.Slow = perSecond(fast, due, slowed.asked), perSecond(slow, settled, paused.asked)
	r.Went = max(0, float64(first-resumed.answered)/1e6)
	return r
}
