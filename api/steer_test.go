package api

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
)

// A change of rate is durable on every shard that may hold a recipient, and in
// the log that plan reads, before it is answered. What it does not name stays.
func TestASteerReachesEveryShard(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	r := hello()
	r.At, r.Rate = new(time.Now().Add(time.Hour)), 600
	send, err := c.Send(ctx, r, "")
	if err != nil || send.Rate != 600 || send.Paused || !send.SteeredAt.IsZero() {
		t.Fatalf("%+v %v", send, err)
	}
	yes := true
	got, err := c.Steer(ctx, send.ID, client.SendUpdate{Paused: &yes})
	if err != nil || !got.Paused || got.Rate != 600 || got.SteeredAt.IsZero() || got.Status != client.SendScheduled {
		t.Fatalf("%+v %v", got, err)
	}
	answer, text := w.raw("PATCH", "/v1/sends/"+send.ID.String(), p.Key, `{"rate":null}`)
	if answer.StatusCode != http.StatusOK {
		t.Fatal(answer, text)
	}
	if got, err = c.GetSend(ctx, send.ID); err != nil || !got.Paused || got.Rate != 0 {
		t.Fatalf("%+v %v", got, err)
	}
	want := []ledger.Steering{{Version: 1, PerMinute: 600, Paused: true}, {Version: 2, Paused: true}}
	for topic, places := range map[journal.Topic]int{journal.Sends: 1, journal.Ledger: testShards} {
		seen := map[ledger.Steering]int{}
		for _, e := range w.logged(topic) {
			if s := e.GetSteer(); s != nil && tocsin.SendID(s.Send) == send.ID {
				seen[ledger.SteeringOf(s)]++
			}
		}
		if len(seen) != 2 || seen[want[0]] != places || seen[want[1]] != places {
			t.Errorf("topic %v holds %v", topic, seen)
		}
	}
	page, err := c.Sends(ctx, tocsin.SendID{}, 10)
	if err != nil || !page.Sends[0].Paused {
		t.Fatalf("%+v %v", page, err)
	}
	for s, err := range c.WatchSend(ctx, send.ID) {
		if err != nil || !s.Paused {
			t.Fatalf("%+v %v", s, err)
		}
		break
	}
}

// Two who steer at once, each one thing, both get their way.
func TestSteersAtOnceAreMerged(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	r := hello()
	r.At = new(time.Now().Add(time.Hour))
	send, err := c.Send(t.Context(), r, "")
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	var both sync.WaitGroup
	for _, u := range []client.SendUpdate{{Paused: &yes}, {Rate: client.AtMost(1000)}} {
		both.Go(func() {
			if _, err := c.Steer(t.Context(), send.ID, u); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	got, err := c.GetSend(t.Context(), send.ID)
	if err != nil || !got.Paused || got.Rate != 1000 {
		t.Fatalf("%+v %v", got, err)
	}
	last := ledger.Steering{}
	for _, e := range w.logged(journal.Ledger) {
		if s := ledger.SteeringOf(e.GetSteer()); s.Version > last.Version {
			last = s
		}
	}
	if last != (ledger.Steering{Version: 2, PerMinute: 1000, Paused: true}) {
		t.Fatalf("the ledgers say %+v", last)
	}
}

func TestWrongSteersAreRefused(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	other, _ := w.newProject("b")
	r := hello()
	r.At = new(time.Now().Add(time.Hour))
	send, err := c.Send(t.Context(), r, "")
	if err != nil {
		t.Fatal(err)
	}
	for text, status := range map[string]int{`{}`: 422, `{"rate":0}`: 422, `{"rate":-5}`: 422, `{"rate":1.5}`: 422, `{"rate":"600"}`: 422,
		`{"rate":9000000000}`: 422, `{"paused":"yes"}`: 422, `{"name":"x"}`: 422} {
		if answer, _ := w.raw("PATCH", "/v1/sends/"+send.ID.String(), p.Key, text); answer.StatusCode != status {
			t.Errorf("%s: %s", text, answer.Status)
		}
	}
	if answer, _ := w.raw("PATCH", "/v1/sends/"+send.ID.String(), other.Key, `{"paused":true}`); answer.StatusCode != http.StatusNotFound {
		t.Error(answer.Status)
	}
	if steers := len(w.logged(journal.Ledger)); steers != 0 {
		t.Errorf("%d records", steers)
	}
	bad := hello()
	bad.Rate = -1
	_, err = c.Send(t.Context(), bad, "")
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "rate")
	if _, err := c.Cancel(t.Context(), send.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.Steer(t.Context(), send.ID, client.SendUpdate{Rate: client.AtMost(5)})
	wantProblem(t, err, http.StatusConflict, "cancelled", "")
}
