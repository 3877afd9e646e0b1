package node_test

import (
	"flag"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// The whole promise is 1,000,000 people at 100,000 pushes a second.
var (
	cancelPeople = flag.Int("cancel.people", 100_000, "recipients of the send that is cancelled")
	cancelRate   = flag.Int("cancel.rate", 20_000, "pushes a second that the provider takes of it")
)

// A cancel while a provider takes 20,000 pushes a second: nothing leaves later
// than 2 s after its answer (law L4), and who was reached is known exactly.
func TestCancelInMidSend(t *testing.T) {
	t.Parallel()
	people, rate := *cancelPeople, *cancelRate
	town := newTown(t, func(_ *node.Config, s *sim.Config) { s.APNs.MaxRate = rate })
	town.populate(tocsin.APNs, people)
	id := town.send(everybody())
	town.until(id, "under way", func(s client.Send) bool { return s.Counters != nil && s.Counters.Accepted > int64(rate/2) })
	if _, err := town.api.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	answered := time.Now()
	now := town.ended(id)
	if c := now.Counters; now.Status != client.SendCancelled || c.Audience != int64(people) || c.Accepted+c.Cancelled != c.Audience || c.Cancelled == 0 {
		t.Fatalf("%s: %+v", now.Status, c)
	}

	// Reached is who is in the provider's ledger, each once.
	reached := map[uint64]int{}
	var last time.Time
	tag := sim.Hash(content.Collapse(town.project.ID, id))
	town.sim.Ledger().Each(func(r *sim.Record) {
		if r.Send != tag || !r.Accepted() {
			t.Errorf("%+v", r)
		}
		reached[r.Token]++
		if at := time.Unix(0, r.At); at.After(last) {
			last = at
		}
	})
	t.Logf("%d reached; the last push left %v after the cancel's answer", len(reached), last.Sub(answered))
	if last.Sub(answered) > 2*time.Second {
		t.Errorf("a push left %v after the cancel's answer", last.Sub(answered))
	}
	if int64(len(reached)) != now.Counters.Accepted {
		t.Errorf("%d were reached, %d accepted", len(reached), now.Counters.Accepted)
	}
	want := func(n int) tocsin.Outcome {
		switch reached[sim.Hash(token(n))] {
		case 1:
			return tocsin.Accepted
		case 0:
			return tocsin.Cancelled
		}
		t.Errorf("person %d was reached twice", n)
		return 0
	}
	listed := make([]bool, people)
	for one, err := range town.api.Outcomes(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimPrefix(one.User, "person-"))
		if err != nil || listed[n] {
			t.Fatalf("%+v is listed: %v", one, err)
		}
		if listed[n] = true; one.Outcome != want(n) {
			t.Fatalf("person %d is listed as %s instead of %s", n, one.Outcome, want(n))
		}
	}
	if n := slices.Index(listed, false); n >= 0 {
		t.Errorf("person %d is not listed", n)
	}
	cancelled := 0
	for one, err := range town.api.Outcomes(t.Context(), id, tocsin.Cancelled) {
		if cancelled++; err != nil || one.Outcome != tocsin.Cancelled {
			t.Fatalf("%+v, %v", one, err)
		}
	}
	if int64(cancelled) != now.Counters.Cancelled {
		t.Errorf("%d are listed as cancelled, %d counted", cancelled, now.Counters.Cancelled)
	}
	for n := 0; n < people; n += people / 200 {
		if trace := town.trace(id, n); trace.Outcome != want(n) {
			t.Errorf("person %d: %+v instead of %s", n, trace, want(n))
		}
	}
	if _, err := town.api.Cancel(t.Context(), id); err != nil { // repeating it changes nothing
		t.Error(err)
	}
}
