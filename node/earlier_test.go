package node_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// outcomes are those of a send that has ended, by subscription.
func (t *town) outcomes(id tocsin.SendID) map[tocsin.SubscriptionID]tocsin.Outcome {
	t.Helper()
	all := map[tocsin.SubscriptionID]tocsin.Outcome{}
	for one, err := range t.api.Outcomes(t.Context(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all[one.Subscription] = one.Outcome
	}
	return all
}

func queried(format string, arguments ...any) client.Target {
	return client.Target{Query: fmt.Appendf(nil, format, arguments...)}
}

func (t *town) count(to client.Target) int64 {
	t.Helper()
	n, err := t.api.Count(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return n.Count
}

// A send goes to a list; later ones ask who got it, and who opened it: while it
// runs, after its end, and after the node was started again. What they find is what
// its outcomes say.
func TestListsAndEarlierSends(t *testing.T) {
	t.Parallel()
	const people, refused = 300, 40
	town := newTown(t, func(_ *node.Config, s *sim.Config) {
		s.APNs.Script = map[string][]sim.Answer{}
		for n := range refused {
			s.APNs.Script[token(n)] = []sim.Answer{{Status: 400, Reason: "PayloadEmpty"}, {Status: 200}, {Status: 200}}
		}
	})
	// The list is there before its people, and holds strangers.
	var list strings.Builder
	for n := range people {
		if n%3 != 2 {
			fmt.Fprintf(&list, `{"user":"person-%d"}`+"\n", n)
		}
	}
	list.WriteString(`{"user":"stranger"}` + "\n")
	open, err := town.api.OpenList(t.Context(), "readers", client.ListReplace, client.ImportRequest{Format: client.NDJSON}, false)
	if err == nil {
		open, err = town.api.Upload(t.Context(), open, strings.NewReader(list.String()), nil)
	}
	if err != nil || open.Imported != people*2/3+1 {
		t.Fatal(open, err)
	}
	town.populate(tocsin.APNs, people)
	if n := town.count(queried(`{"list":"readers"}`)); n != people*2/3 {
		t.Fatalf("%d are in the list", n)
	}

	made, err := town.api.Send(t.Context(), client.SendRequest{Target: queried(`{"list":"readers"}`), Message: message(), Rate: 1200}, "")
	if err != nil {
		t.Fatal(err)
	}
	first := made.ID
	for seen := int64(0); seen == 0; { // it is under way
		if seen = town.count(queried(`{"sent":"%s"}`, first)); seen >= people*2/3-refused {
			t.Fatalf("%d got it at once", seen)
		}
	}
	if _, err := town.api.Steer(t.Context(), first, client.SendUpdate{Rate: client.AtMost(0)}); err != nil {
		t.Fatal(err)
	}
	town.ended(first)
	got := town.outcomes(first)
	var reached []tocsin.SubscriptionID
	for id, outcome := range got {
		if outcome == tocsin.Accepted {
			reached = append(reached, id)
		}
	}
	if len(got) != people*2/3 || len(reached) >= len(got) || len(reached) < len(got)-refused {
		t.Fatalf("%d of %d were reached", len(reached), len(got))
	}
	for n := int64(-1); n != int64(len(reached)); { // what was known within the last second
		if n = town.count(queried(`{"sent":"%s"}`, first)); n > int64(len(reached)) || t.Context().Err() != nil {
			t.Fatalf("%d got it, %d were reached", n, len(reached))
		}
	}

	// Some open it: two by their device, the others by name.
	slices.SortFunc(reached, func(a, b tocsin.SubscriptionID) int { return strings.Compare(a.String(), b.String()) })
	opened, left := reached[:50], reached[50:]
	var events []client.Event
	for _, id := range opened {
		events = append(events, client.Event{Name: "opened", Send: first, Subscription: id})
	}
	if told, err := town.api.PutEvents(t.Context(), client.EventBatch{Events: events}); err != nil || told.Accepted != len(events) {
		t.Fatal(told, err)
	}
	again := town.send(queried(`{"sent":"%s","$not":{"opened":"%s"}}`, first, first))
	town.ended(again)
	same := func(what string, have map[tocsin.SubscriptionID]tocsin.Outcome, want []tocsin.SubscriptionID) {
		t.Helper()
		if len(have) != len(want) {
			t.Errorf("%s: %d recipients, want %d", what, len(have), len(want))
		}
		for _, id := range want {
			if have[id] == 0 {
				t.Errorf("%s: %s is missing", what, id)
			}
		}
	}
	same("not opened", town.outcomes(again), left)

	town.stop()
	town.start()
	if n := town.count(queried(`{"opened":"%s"}`, first)); n != int64(len(opened)) {
		t.Errorf("%d opened it, want %d", n, len(opened))
	}
	if n := town.count(queried(`{"list":"readers","sent":"%s"}`, again)); n != int64(len(left)) {
		t.Errorf("%d got the second, want %d", n, len(left))
	}
	rest := town.send(queried(`{"list":"readers","sent":{"$nin":["%s","%s"]}}`, first, again))
	town.ended(rest)
	var others []tocsin.SubscriptionID
	for _, id := range slices.Collect(maps.Keys(got)) {
		if got[id] != tocsin.Accepted {
			others = append(others, id)
		}
	}
	same("not reached", town.outcomes(rest), others)
}
