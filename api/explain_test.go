package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// The funnel of all shards is one, adds up, and names people that are in and out.
func TestExplain(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	var batch client.Batch
	for n := range 60 {
		one := client.Subscription{Provider: tocsin.FCM, Token: strconv.Itoa(n), User: "u" + strconv.Itoa(n),
			Attributes: map[string]client.Value{"number": client.IntegerValue(int64(n)), "even": client.BooleanValue(n%2 == 0)}}
		if n < 4 {
			no := false
			one.OptedIn = &no
		}
		batch.Subscriptions = append(batch.Subscriptions, one)
	}
	if _, err := c.PutSubscriptions(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	aim := client.Target{Query: json.RawMessage(`{"number":{"$lt":40},"even":true,"$or":[{"number":{"$gte":30}},{"number":{"$lt":20}}],"$not":{"nobody":1}}`)}
	got, err := c.Explain(t.Context(), client.ExplainRequest{Target: aim, Sample: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got.Live != 60 || len(got.Steps) != 4 || got.Matched != 15 || got.OptedOut != 2 || got.Reachable != 13 || len(got.In) != 3 || len(got.Hints) != 1 {
		t.Fatalf("%+v", got)
	}
	for i, want := range []client.ExplainedStep{{Left: 40, Excluded: 20, Only: 10}, {Left: 20, Excluded: 20, Only: 15}, {Left: 15, Excluded: 5, Only: 5}, {Left: 15}} {
		step := got.Steps[i]
		if step.Left != want.Left || step.Excluded != want.Excluded || step.Only != want.Only || len(step.Out) != int(min(3, want.Excluded)) {
			t.Errorf("step %d: %+v", i, step)
		}
	}
	if inner := got.Steps[2].Inner; len(inner) != 2 || inner[0].Matched != 5 || inner[1].Matched != 10 {
		t.Errorf("%+v", inner)
	}
	for _, one := range append(got.In, got.Steps[1].Out...) {
		v, err := c.Verdicts(t.Context(), client.VerdictRequest{Target: aim, Subscription: one.Subscription})
		if err != nil || len(v.Subscriptions) != 1 || v.Subscriptions[0].User != one.User || v.Subscriptions[0].Verdict.Inner[1].Matches != (one != got.Steps[1].Out[0] && one != got.Steps[1].Out[1] && one != got.Steps[1].Out[2]) {
			t.Errorf("%+v: %+v %v", one, v, err)
		}
	}
	_, err = c.Verdicts(t.Context(), client.VerdictRequest{Target: aim, User: "nobody"})
	wantProblem(t, err, http.StatusNotFound, "not_found", "")
	_, err = c.Verdicts(t.Context(), client.VerdictRequest{Target: aim})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "user")
	_, err = c.Explain(t.Context(), client.ExplainRequest{Target: client.Target{Recipients: []client.Recipient{{User: "u1"}}}})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "target")
}

// The target of a send is judged for the instant at which it was due, whenever
// somebody asks why.
func TestWhyIsAsOfTheSend(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	w := newWorld(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return time.Unix(0, now.Load()) } })
	p, c := w.newProject("a")
	id, err := c.PutSubscription(t.Context(), client.Subscription{Provider: tocsin.FCM, Token: "x",
		Attributes: map[string]client.Value{"until": client.TimeValue(time.Unix(0, now.Load()).Add(time.Hour))}})
	if err != nil {
		t.Fatal(err)
	}
	request := hello()
	request.Target.Query = json.RawMessage(`{"until":{"$gt":"now"}}`)
	send, err := c.Send(t.Context(), request, "")
	if err != nil {
		t.Fatal(err)
	}
	now.Add(int64(24 * time.Hour))
	row, err := w.server.listed(t.Context(), p.ID, send.ID)
	if err != nil {
		t.Fatal(err)
	}
	found, at, ok, _ := w.server.find(t.Context(), p.ID, id.ID)
	out := client.Trace{Explanation: "x"}
	if err := w.server.judge(t.Context(), p.ID, row, at, &found, &out); !ok || err != nil || out.Verdict == nil || !out.Verdict.Matches {
		t.Errorf("%+v %v", out, err)
	}
	if v, err := c.Verdicts(t.Context(), client.VerdictRequest{Target: request.Target, Subscription: id.ID}); err != nil || v.Subscriptions[0].Verdict.Matches {
		t.Errorf("as of now: %+v %v", v, err)
	}
}
