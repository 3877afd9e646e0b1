package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

const (
	forecastQuota = 6_000_000 // pushes a minute: a million in ten seconds
	forecastBound = 30        // per cent
)

// Foretold is a send and what was forecast with its 202, in milliseconds.
type Foretold struct {
	Recipients int     `json:"recipients"`
	Limited    bool    `json:"limited"` // by a quota
	Expected   float64 `json:"expected"`
	Last       float64 `json:"last"`
	Reason     string  `json:"reason"`
	Error      float64 `json:"error"` // as the API tells it, per cent of the drift
}

func forecast(ctx context.Context, l *lab, s *Section) error {
	n, err := l.large(ctx)
	if err != nil {
		return err
	}
	limited, err := n.town.open(ctx, audience{provider: tocsin.FCM, project: nationLimited, size: l.scaled(million),
		cohorts: []int{l.scaled(smallSend)}}, forecastQuota)
	if err != nil {
		return err
	}
	cases := []struct {
		room    *newsroom
		size    int
		limited bool
	}{{n, l.scaled(smallSend), false}, {n, l.scaled(million), false}, {n, l.scaled(bulkSend), false},
		{limited, l.scaled(smallSend), true}, {limited, l.scaled(million), true}}
	if _, err := n.measure(ctx, news, l.scaled(million)); err != nil { // rates were measured
		return n.town.failure(err)
	}
	rounds := make([][]Foretold, len(cases))
	for l.more(len(rounds[0])) {
		if _, err := l.steady(ctx); err != nil {
			return err
		}
		for i, c := range cases {
			one, err := c.room.foretold(ctx, c.size)
			if err != nil {
				return n.town.failure(err)
			}
			one.Limited = c.limited
			progress("  %8d recipients: %.0f ms expected (%s), %.0f ms, error %.0f %%", c.size, one.Expected, one.Reason, one.Last, one.Error)
			rounds[i] = append(rounds[i], *one)
			if err := l.quiet(ctx); err != nil {
				return err
			}
		}
	}
	forecastSection(s, rounds)
	return nil
}

// foretold sends and compares the drift with the forecast of the 202.
func (n *newsroom) foretold(ctx context.Context, size int) (*Foretold, error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	last, err := n.finish(ctx, client.SendRequest{Class: tocsin.Urgent, Target: n.everybody(size), Message: news})
	if err != nil {
		return nil, err
	}
	if err := balanced(last, size); err != nil {
		return nil, err
	}
	f := last.Forecast
	if f == nil || f.Error == nil {
		return nil, errors.New("the send has no forecast, or not its error")
	}
	return &Foretold{Recipients: size, Expected: f.Last, Last: last.Drift.Last, Reason: f.Reason, Error: 100 * *f.Error}, nil
}

func forecastSection(s *Section, rounds [][]Foretold) {
	s.Title = "The forecast of the last push, and what came"
	s.Text = []string{fmt.Sprintf("Urgent sends over APNs, and over FCM with a configured quota of %s a minute. The forecast comes with the 202, the error once the send has ended: by how much the last push came later than expected, as a part of its drift.",
		whole(forecastQuota))}
	t := Table{Head: []string{"recipients", "expected, ms", "reason", "last push, ms", "error, %"}}
	for _, all := range rounds {
		name := whole(float64(all[0].Recipients))
		if all[0].Limited {
			name += " under a quota"
		}
		t.add(name, ranged(of(all, func(f *Foretold) float64 { return f.Expected })), all[len(all)-1].Reason,
			ranged(of(all, func(f *Foretold) float64 { return f.Last })), ranged(of(all, func(f *Foretold) float64 { return f.Error })))
		s.Checks = append(s.Checks, atMost("error of the forecast for "+name, "%", forecastBound, 0, of(all, func(f *Foretold) float64 { return math.Abs(f.Error) })))
	}
	s.Tables, s.Rounds = []Table{t}, rounds
}
