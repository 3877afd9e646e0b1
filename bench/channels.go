package main

import (
	"context"
	"fmt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Beside is a round of another way of sending beside constant APNs.
type Beside struct {
	Wire     Side    `json:"wire"`
	Constant RoadRun `json:"constant_apns"`
	Other    RoadRun `json:"other"`
}

// unlimited is a quota that nothing here reaches, in pushes a minute.
const unlimited = 1_000_000_000

// overFCM compares FCM, whose address travels in the body, with APNs.
func overFCM(ctx context.Context, l *lab, s *Section) error {
	n, err := l.readers(ctx)
	if err != nil {
		return err
	}
	other, err := n.town.open(ctx, audience{provider: tocsin.FCM, project: pressFCM, size: l.scaled(million)}, unlimited)
	if err != nil {
		return err
	}
	s.Title = "FCM: the token in the body of each push"
	s.Text = []string{"The simulator grants FCM no quota here, and the credential is configured so; HTTP/2 with 100 streams a connection, as FCM allows. The simulator parses every body. Sends are urgent: others rise to the quota in a minute, as FCM asks."}
	return compareRoads(ctx, l, s, n, other, news, "FCM", 15)
}

// named compares messages that call each person by name with constant ones.
func named(ctx context.Context, l *lab, s *Section) error {
	n, err := l.readers(ctx)
	if err != nil {
		return err
	}
	s.Title = "Personalised: every recipient by name"
	s.Text = []string{"A title of one plain output with a default, rendered for each recipient from an attribute."}
	return compareRoads(ctx, l, s, n, n, personal, "personalised APNs", 12)
}

func compareRoads(ctx context.Context, l *lab, s *Section, n, other *newsroom, message client.Message, name string, floor float64) error {
	for _, warm := range []*newsroom{n, other} {
		if _, err := warm.measure(ctx, message, warm.people.size); err != nil {
			return warm.town.failure(err)
		}
	}
	var rounds []Beside
	for l.more(len(rounds)) {
		var r Beside
		var err error
		if r.Wire, err = l.steady(ctx); err != nil {
			return err
		}
		if r.Constant, err = n.measure(ctx, news, n.people.size); err != nil {
			return n.town.failure(err)
		}
		if err := l.quiet(ctx); err != nil {
			return err
		}
		if r.Other, err = other.measure(ctx, message, other.people.size); err != nil {
			return other.town.failure(err)
		}
		progress("  constant APNs     %11.0f pushes/s\n  %-17s %11.0f pushes/s", r.Constant.Rate, name, r.Other.Rate)
		rounds = append(rounds, r)
	}
	t := Table{Head: append(sidesHead[:len(sidesHead):len(sidesHead)], "last push, ms")}
	line := func(name string, run func(*Beside) RoadRun) {
		all := make([]Side, len(rounds))
		for i := range rounds {
			all[i] = run(&rounds[i]).Side
		}
		t.add(append(sides(name, all), ranged(of(rounds, func(r *Beside) float64 { return run(r).Drift.Last })))...)
	}
	line("constant APNs", func(r *Beside) RoadRun { return r.Constant })
	line(name, func(r *Beside) RoadRun { return r.Other })
	s.Text = append(s.Text, fmt.Sprintf("%s recipients, %d rounds.", whole(float64(n.people.size)), len(rounds)))
	s.Tables, s.Rounds = []Table{t}, rounds
	s.Checks = []Check{
		atLeast(name+" of raw TLS", "%", floor, 0, of(rounds, func(r *Beside) float64 { return 100 * r.Other.Rate / r.Wire.Rate })),
		shown(name+" of constant APNs", "%", of(rounds, func(r *Beside) float64 { return 100 * r.Other.Rate / r.Constant.Rate })),
	}
	return nil
}
