package node_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
)

// told reports whether an explanation says something, and of one that registered in
// the second of the send that it may have been that.
func told(explanation, what string) bool {
	before, what, ok := strings.Cut(what, ": ")
	return explanation == before || ok && strings.HasPrefix(explanation, before+": ") && strings.Contains(explanation, what)
}

// Why somebody is in the audience of a send or not, clause by clause, and honestly
// where what is known has changed since the audience was stored.
func TestWhyATarget(t *testing.T) {
	t.Parallel()
	town := newTown(t, nil)
	const (
		in = iota
		elsewhere
		out
		moved // matches since
		left  // does not match any more
		gone
		late
	)
	var lines strings.Builder
	for n := range late {
		fmt.Fprintf(&lines, `{"provider":"apns","token":"%s","user":"person-%d","opted_in":%t,"attributes":{"country":"%s"}}`+"\n",
			token(n), n, n != out, map[bool]string{true: "BE", false: "FR"}[n == elsewhere || n == moved])
	}
	town.load(lines.String(), late)
	for n := range late {
		town.person(n)
	}
	id := town.send(client.Target{Query: []byte(`{"country":"FR","$not":{"country":"DE"}}`)})
	if s := town.ended(id); s.Counters.Audience != 3 {
		t.Fatalf("%+v", s.Counters)
	}
	for n, country := range map[int]string{moved: "FR", left: "DE"} {
		change := client.ProfileUpdate{Attributes: map[string]client.Value{"country": client.TextValue(country)}}
		if err := town.api.UpdateProfile(t.Context(), fmt.Sprintf("person-%d", n), change); err != nil {
			t.Fatal(err)
		}
	}
	if err := town.api.DeleteSubscription(t.Context(), town.person(gone)); err != nil {
		t.Fatal(err)
	}
	town.load(fmt.Sprintf(`{"provider":"apns","token":"%s","user":"person-%d","attributes":{"country":"FR"}}`, token(late), late), 1)
	check := func() {
		for n, want := range map[int]struct {
			targeted, matches bool
			explanation       string
		}{
			in:        {true, true, "taken by the provider after 1 attempt"},
			elsewhere: {false, false, `not in the audience of this send: {"country":{"$eq":"FR"}} does not hold, it is BE`},
			out:       {false, true, "not in the audience of this send: it has opted out"},
			moved:     {false, true, "not in the audience of this send: what is known of it has changed since"},
			left:      {true, false, `taken by the provider after 1 attempt; by what is known of it now it would not have been in: {"country":{"$eq":"FR"}} does not hold, it is DE`},
			late:      {false, true, "not in the audience of this send: it registered"},
		} {
			got := town.trace(id, n)
			if got.Targeted != want.targeted || got.Verdict == nil || got.Verdict.Matches != want.matches || len(got.Verdict.Inner) != 2 || !told(got.Explanation, want.explanation) {
				t.Errorf("person %d: %+v, %+v", n, got, got.Verdict)
			}
		}
		if got := town.trace(id, gone); !got.Targeted || got.Verdict != nil || !strings.HasSuffix(got.Explanation, "; the subscription is deleted by now") {
			t.Errorf("deleted: %+v", got)
		}
	}
	check()
	town.stop()
	town.start()
	check()
}
