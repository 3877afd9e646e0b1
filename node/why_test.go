package node_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// trace asks what became of a person, and notes how long the answer took.
func (t *town) trace(id tocsin.SendID, n int) client.Trace {
	t.Helper()
	subscription := t.person(n)
	asked := time.Now()
	trace, err := t.api.Trace(t.Context(), id, subscription)
	if err != nil {
		t.Fatal(err)
	}
	t.slowest = max(t.slowest, time.Since(asked))
	return trace
}

// What support asks about a phone: every kind of answer, while the send is
// under way, after its end, and after the node was started again.
func TestWhy(t *testing.T) {
	t.Parallel()
	const (
		reached = iota
		gone
		retried
		cancelled
		doubtful
		refused
		never
		people = 3000
	)
	town := newTown(t, func(c *node.Config, s *sim.Config) {
		c.Fanout.APNs = fanout.Retry{First: 20 * time.Millisecond, Most: 20 * time.Millisecond}
		c.APNs.ServerError = time.Hour
		c.APNs.Bulk.AnswerTimeout = 200 * time.Millisecond
		s.APNs.Script = map[string][]sim.Answer{
			token(gone):      {{Status: 410, Reason: "Unregistered", Timestamp: time.Now().UnixMilli()}},
			token(retried):   {{Status: 429, Reason: "TooManyRequests"}, {Status: 200}},
			token(cancelled): {{Status: 503, Reason: "ServiceUnavailable"}},
			token(doubtful):  {{Status: 0}, {Status: 200}},
			token(refused):   {{Status: 400, Reason: "BadDeviceToken"}},
		}
	})
	town.populate(tocsin.APNs, people)
	var all []int
	for n := range people {
		if n <= never {
			town.person(n)
		}
		if n != never {
			all = append(all, n)
		}
	}
	before := time.Now()
	id := town.send(persons(all...))
	town.until(id, "waiting", func(s client.Send) bool { return s.Counters != nil && s.Counters.Pending == 1 && s.Counters.Later == 1 })

	waits := town.trace(id, cancelled)
	if waits.Outcome != 0 || len(waits.Attempts) != 1 || waits.Attempts[0].Result != "later" ||
		waits.Attempts[0].NotBefore.Before(before.Add(30*time.Minute)) || !strings.Contains(waits.Explanation, "another attempt") {
		t.Errorf("one that waits: %+v", waits)
	}
	if _, err := town.api.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	town.ended(id)
	after := time.Now()

	check := func(t *testing.T) {
		for n, want := range map[int]client.Trace{
			reached:    {Outcome: tocsin.Accepted, Attempts: []client.Attempt{{Result: "accepted"}}, Explanation: "taken by the provider"},
			people - 1: {Outcome: tocsin.Accepted, Attempts: []client.Attempt{{Result: "accepted"}}, Explanation: "taken by the provider"},
			gone:       {Outcome: tocsin.Gone, Attempts: []client.Attempt{{Result: "gone"}}, Explanation: "dead"},
			retried:    {Outcome: tocsin.Accepted, Attempts: []client.Attempt{{Result: "later"}, {Result: "accepted"}}, Explanation: "after 2 attempts"},
			cancelled:  {Outcome: tocsin.Cancelled, Attempts: []client.Attempt{{Result: "later"}}, Explanation: "cancelled"},
			doubtful: {Outcome: tocsin.Accepted, Doubtful: true, Attempts: []client.Attempt{{Result: "later"}, {Result: "accepted"}},
				Explanation: "may have been taken too"},
			refused: {Outcome: tocsin.Refused, Reason: tocsin.ReasonToken, Attempts: []client.Attempt{{Result: "refused"}}, Explanation: "refused for good"},
		} {
			got := town.trace(id, n)
			if !got.Targeted || got.Outcome != want.Outcome || got.Reason != want.Reason && want.Reason != 0 || got.Doubtful != want.Doubtful ||
				got.Provider != tocsin.APNs || len(got.Attempts) != len(want.Attempts) || !strings.Contains(got.Explanation, want.Explanation) {
				t.Errorf("person %d: %+v", n, got)
				continue
			}
			earliest := before
			for i, a := range got.Attempts {
				if a.Number != i+1 || a.Result != want.Attempts[i].Result || a.ClaimedAt.Before(earliest) || a.WrittenAt.Before(a.ClaimedAt) ||
					a.SettledAt.Before(a.WrittenAt) || a.SettledAt.After(after) {
					t.Errorf("person %d, attempt %d: %+v", n, i+1, a)
				}
				earliest = a.SettledAt
			}
		}
		if got := town.trace(id, never); got.Targeted || got.Outcome != 0 || len(got.Attempts) != 0 || got.Explanation != "not in the audience of this send" {
			t.Errorf("never targeted: %+v", got)
		}
		var nobody tocsin.SubscriptionID
		nobody[0] = 1
		if _, err := town.api.Trace(t.Context(), id, nobody); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("a subscription that does not exist: %v", err)
		}
	}
	check(t)
	town.stop()
	town.start()
	check(t)
	t.Logf("the slowest of these answers took %v", town.slowest)
}
