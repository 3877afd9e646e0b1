package node_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// While a project has half of what may be open, its next send is told when to
// come back, an urgent one comes in, and whoever comes back then is let in.
func TestTooManySendsAreToldWhenToComeBack(t *testing.T) {
	t.Parallel()
	const people = 4000
	town := newTown(t, func(c *node.Config, s *sim.Config) {
		c.Lanes.Pace.Pushes = 2 * people * 5 / 4 // a fifth of it is not for normal sends
		s.APNs.MaxRate = people / 2
	})
	town.populate(tocsin.APNs, people)
	first := town.send(everybody())
	impatient, err := client.New(client.Config{URL: town.url, Key: town.project.Key, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	sends := []tocsin.SendID{first}
	var refused *client.Problem
	for refused == nil && t.Context().Err() == nil { // what is open is told ten times a second
		made, err := impatient.Send(t.Context(), client.SendRequest{Target: persons(1), Message: message()}, "")
		if err == nil {
			sends = append(sends, made.ID)
		} else if !errors.As(err, &refused) {
			t.Fatal(err)
		}
	}
	if refused.Status != http.StatusTooManyRequests || refused.Code != "crowded" || refused.RetryAfter < time.Second || refused.RetryAfter > 2*time.Minute {
		t.Fatalf("%+v, come back after %v", refused, refused.RetryAfter)
	}
	urgent, err := impatient.Send(t.Context(), client.SendRequest{Class: tocsin.Urgent, Target: persons(2), Message: message()}, "")
	if err != nil {
		t.Fatal(err)
	}
	patient := town.send(persons(3)) // its client obeys Retry-After
	for _, id := range append(sends, urgent.ID, patient) {
		if now := town.ended(id); now.Counters.Accepted != now.Counters.Audience {
			t.Errorf("%+v", now.Counters)
		}
	}
	for left := "1"; left != "0" && left != "" && t.Context().Err() == nil; { // the end is told too
		left = town.metric("tocsin_pace_project_backlog{", town.project.ID.String())
	}
}
