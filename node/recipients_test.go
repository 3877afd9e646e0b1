package node_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// 10,000 recipients with five values each, over the whole road and a restart in
// the middle of it. One in twenty has values that no APNs payload holds: who
// renders without them is found out.
func TestManyRecipientsOverARestart(t *testing.T) {
	t.Parallel()
	const people, long, rate = 10_000, 500, 4000
	town := newTown(t, func(_ *node.Config, s *sim.Config) { s.APNs.MaxRate = rate })
	town.populate(tocsin.APNs, people)
	request := client.SendRequest{Message: client.Message{Languages: map[string]client.Content{"en": {Title: "{{ a }} {{ b }}", Body: "{{ c }} {{ d }} {{ e }}"}}}}
	for n := range people {
		text := strings.Repeat("x", 80)
		if n%20 == 7 {
			text = strings.Repeat("x", 850)
		}
		request.Target.Recipients = append(request.Target.Recipients, client.Recipient{User: fmt.Sprintf("person-%d", n),
			Values: map[string]string{"a": text, "b": text, "c": text, "d": text, "e": text}})
	}
	dry, err := town.api.DryRun(t.Context(), request)
	if err != nil || dry.Forecast.Pushes != people {
		t.Fatalf("%+v, %v", dry.Forecast, err)
	}
	made, err := town.api.Send(t.Context(), request, "key")
	if err != nil {
		t.Fatal(err)
	}
	begun := town.until(made.ID, "under way", func(s client.Send) bool { return s.Counters != nil && s.Counters.Accepted > people/5 })
	if begun.Status.Ended() {
		t.Fatal("it ended before the restart")
	}
	town.stop()
	town.start()
	if again, err := town.api.Send(t.Context(), request, "key"); err != nil || again.ID != made.ID {
		t.Fatalf("the same key: %+v, %v", again, err)
	}
	now := town.ended(made.ID)
	if c := now.Counters; c.Audience != people || c.Accepted != people-long || c.Reasons["size"] != long || c.Doubtful != 0 || c.Unknown != 0 {
		t.Fatalf("%+v", c)
	}

	reached := map[uint64]int{}
	tag := sim.Hash(content.Collapse(town.project.ID, made.ID))
	town.sim.Ledger().Each(func(r *sim.Record) {
		if r.Send != tag || !r.Accepted() {
			t.Errorf("%+v", r)
		}
		reached[r.Token]++
	})
	for n := range people {
		want := 1
		if n%20 == 7 {
			want = 0
		}
		if have := reached[sim.Hash(token(n))]; have != want {
			t.Fatalf("person %d was reached %d times, want %d", n, have, want)
		}
	}
}
