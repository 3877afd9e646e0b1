package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// logged reads every record of a topic.
func (w *world) logged(topic journal.Topic) (all []*record.Envelope) {
	w.t.Helper()
	for i := range testShards {
		records, _, err := w.journal.Read(w.t.Context(), journal.Partition{Topic: topic, Shard: tocsin.Shard(i)}, 0, 1<<30)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range records {
			e, err := record.Decode(r.Data)
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, e)
		}
	}
	return all
}

func TestSendIsAcceptedOnceAKey(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	if _, err := c.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok"}); err != nil {
		t.Fatal(err)
	}
	first, err := c.Send(ctx, hello(), "key-1")
	if err != nil || first.Status != client.SendAccepted || first.Class != tocsin.Normal || first.Environment != tocsin.Development {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := c.Send(ctx, hello(), "key-1")
	if err != nil || again.ID != first.ID || !again.DueAt.Equal(first.DueAt) {
		t.Fatalf("%+v %v", again, err)
	}
	other := hello()
	other.Name = "another"
	_, err = c.Send(ctx, other, "key-1")
	wantProblem(t, err, http.StatusUnprocessableEntity, "idempotency_mismatch", "header.Idempotency-Key")

	sends := w.logged(journal.Sends)
	if len(sends) != 1 {
		t.Fatalf("%d records", len(sends))
	}
	e := sends[0]
	send := e.GetSend()
	if record.Of(e).Project != p.ID || e.Class != uint32(tocsin.Normal) || len(send.Mark) != testShards || send.Due != send.Accepted ||
		send.Options.Attempts != defaultAttempts || time.Duration(send.Options.Ttl) != defaultTTL || string(send.Query) != "{}" {
		t.Fatalf("%v", e)
	}
	marked := uint64(0)
	for _, m := range send.Mark {
		marked = max(marked, m)
	}
	if changes := w.logged(journal.Changes); len(changes) != 1 || marked < 1 {
		t.Fatalf("mark %v misses the subscription that was acknowledged before", send.Mark)
	}
	if answer, _ := w.raw("POST", "/v1/sends", p.Key, `{"target":{"query":{}},"message":{"languages":{"fr":{"title":"x"}}}}`); answer.StatusCode != http.StatusAccepted || !strings.HasPrefix(answer.Header.Get("Location"), "/v1/sends/snd_") {
		t.Fatal(answer)
	}
}

func TestWrongSendsSayWhere(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	for field, change := range map[string]func(*client.SendRequest){
		"target":                     func(r *client.SendRequest) { r.Target = client.Target{} },
		"target.query.$xor":          func(r *client.SendRequest) { r.Target.Query = json.RawMessage(`{"$xor":[]}`) },
		"target.recipients[0]":       func(r *client.SendRequest) { r.Target = client.Target{Recipients: []client.Recipient{{}}} },
		"message.languages.fr.title": func(r *client.SendRequest) { r.Message.Languages["fr"] = client.Content{Title: "{{ x"} },
		"message.fallback":           func(r *client.SendRequest) { r.Message.Fallback = "de" },
		"at":                         func(r *client.SendRequest) { r.At = new(time.Now().Add(-time.Hour)) },
		"class":                      func(r *client.SendRequest) { r.Class = tocsin.Synthetic },
		"message.ttl":                func(r *client.SendRequest) { r.Message.TTL = -1 },
		"message.languages.de": func(r *client.SendRequest) {
			r.Message.Languages = map[string]client.Content{"de": {Title: "a"}, "DE": {Title: "b"}}
		},
		"target.recipients[0].values.no": func(r *client.SendRequest) {
			r.Target = client.Target{Recipients: []client.Recipient{{User: "a", Values: map[string]string{"no": strings.Repeat("x", 2000)}}}}
		},
	} {
		r := hello()
		change(&r)
		_, err := c.Send(t.Context(), r, "")
		var p *client.Problem
		if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || len(p.Errors) == 0 || p.Errors[0].Reason == "" ||
			!strings.HasPrefix(strings.ToLower(p.Errors[0].Field), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if sends := w.logged(journal.Sends); len(sends) != 0 {
		t.Fatalf("%d wrong sends were accepted", len(sends))
	}
}

// Recipients that are named by their subscription alone are found, and their
// profile decides the shard.
func TestExplicitRecipientsAreRouted(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	made, err := c.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok", User: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	nobody := tocsin.SubscriptionID{1, 2, 3}
	r := hello()
	r.Target = client.Target{Recipients: []client.Recipient{{Subscription: made.ID, Values: map[string]string{"first_name": "Anna"}}, {User: "bert"}, {Subscription: nobody}}}
	if _, err := c.Send(ctx, r, ""); err != nil {
		t.Fatal(err)
	}
	got := w.logged(journal.Sends)[0].GetSend().Recipients
	if got[0].Profile != "u:anna" || got[0].Values["first_name"] != "Anna" || got[1].Profile != "u:bert" || got[2].Profile != "s:"+nobody.String() {
		t.Fatalf("%v", got)
	}
	_, row := rowOf(w.logged(journal.Sends)[0], testShards)
	want := map[tocsin.Shard]bool{tocsin.ShardOf(p.ID, "u:anna", testShards): true, tocsin.ShardOf(p.ID, "u:bert", testShards): true,
		tocsin.ShardOf(p.ID, "s:"+nobody.String(), testShards): true}
	if len(row.Shards) != len(want) {
		t.Fatalf("shards %v, want %v", row.Shards, want)
	}
}

func TestSendsAreListedNewestFirst(t *testing.T) {
	var asked atomic.Int64 // identifiers of one millisecond are in no order
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Now = func() time.Time { return time.Now().Add(time.Duration(asked.Add(10)) * time.Millisecond) }
	})
	ctx := t.Context()
	p, c := w.newProject("a")
	var made []tocsin.SendID
	for i := range 5 {
		r := hello()
		r.Name = fmt.Sprint(i)
		s, err := c.Send(ctx, r, "")
		if err != nil {
			t.Fatal(err)
		}
		made = append([]tocsin.SendID{s.ID}, made...)
	}
	// One that the process died over before it was listed.
	old := tocsin.MakeID[tocsin.SendID](p.CreatedAt.Add(time.Millisecond), [10]byte{1})
	if err := w.server.sends[0].append(ctx, &record.Envelope{Body: &record.Envelope_Send{Send: &record.Send{Send: old.Bytes(), Name: "lost",
		Accepted: old.Time().UnixNano(), Due: old.Time().UnixNano(), Query: []byte("{}")}}}, time.Now(),
		record.Scope{Project: p.ID, Environment: tocsin.Development, Class: tocsin.Normal}); err != nil {
		t.Fatal(err)
	}
	var names string
	for names != "43210lost" {
		names = ""
		for before := ""; ; {
			var id tocsin.SendID
			id.UnmarshalText([]byte(before))
			page, err := c.Sends(ctx, id, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Sends {
				names += s.Name
			}
			if before = page.Next; before == "" {
				break
			}
		}
		if t.Context().Err() != nil {
			t.Fatal(names)
		}
	}
	if got, err := c.GetSend(ctx, made[0]); err != nil || got.Name != "4" {
		t.Fatalf("%+v %v", got, err)
	}
}

// ledger appends to the ledger of a shard by hand, as fanout would.
func (w *world) append(shard tocsin.Shard, p tocsin.ProjectID, e *record.Envelope) uint64 {
	w.t.Helper()
	w.ledgers[shard].Next(e, time.Now(), record.Scope{Project: p, Environment: tocsin.Development, Class: tocsin.Normal})
	at, err := w.journal.Append(w.t.Context(), journal.Partition{Topic: journal.Ledger, Shard: shard}, record.Encode(e))
	if err != nil {
		w.t.Fatal(err)
	}
	return uint64(at[0])
}

// A send to one person on one shard: what its ledger says is what the API
// answers, as JSON, as events and as a trace.
func TestCountersEventsAndTraceOfASend(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	made, err := c.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok", User: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	r := hello()
	r.Target = client.Target{Recipients: []client.Recipient{{User: "anna"}}}
	send, err := c.Send(ctx, r, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscription(ctx, made.ID); err != nil { // waits until it is applied
		t.Fatal(err)
	}
	trace, err := c.Trace(ctx, send.ID, made.ID)
	if err != nil || trace.Targeted || trace.Outcome != 0 {
		t.Fatalf("%+v %v", trace, err)
	}
	found, shard, _, _ := w.server.find(t.Context(), p.ID, made.ID)
	ordinals, _ := roaring.BitmapOf(found.Ordinal).ToBytes()
	term := w.append(shard, tocsin.ProjectID{}, &record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{Incarnation: 7}}})
	w.append(shard, p.ID, &record.Envelope{Body: &record.Envelope_Open{Open: &record.Open{Stamp: &record.Stamp{Term: term, Seq: 1}, Send: send.ID.Bytes(),
		Slice: 1, Chunks: 1, Generation: 1, OnDoubt: 1, Attempts: 5, Due: send.DueAt.UnixNano(), Expiry: send.DueAt.Add(time.Hour).UnixNano(),
		Lots: []*record.Lot{{Route: &record.Route{Provider: uint32(tocsin.FCM)}, Ordinals: ordinals, Count: 1}}}}})
	claim := &record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{Stamp: &record.Stamp{Term: term, Seq: 2}, Send: send.ID.Bytes(), To: 1, Attempt: 1}}}
	w.append(shard, p.ID, claim)
	events := 0
	for s, err := range c.WatchSend(ctx, send.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if events++; events > 1 && s.Counters.Pending == 0 {
			break
		}
		if s.Counters.Pending == 1 && events < 100 {
			events = 100
			at := send.DueAt.Add(20 * time.Millisecond)
			w.append(shard, p.ID, &record.Envelope{Body: &record.Envelope_Settle{Settle: &record.Settle{Stamp: &record.Stamp{Term: term, Seq: 3}, Send: send.ID.Bytes(),
				Claim: 2, Runs: []*record.Run{{Count: 1, Result: uint32(tocsin.Refused), Reason: uint32(tocsin.ReasonSize)}},
				FirstWrite: at.UnixNano(), LastWrite: at.UnixNano(), Written: []*record.Bucket{{Micros: 20_000, Count: 1}}}}})
			w.append(shard, p.ID, &record.Envelope{Body: &record.Envelope_Close{Close: &record.Close{Stamp: &record.Stamp{Term: term, Seq: 4}, Send: send.ID.Bytes()}}})
		}
	}
	var last client.Send
	for s, err := range c.WatchSend(ctx, send.ID) {
		if err != nil {
			t.Fatal(err)
		}
		last = s
	}
	if last.Status != client.SendFinished || last.Counters.Audience != 1 || last.Counters.Refused != 1 || last.Counters.Reasons["size"] != 1 || last.FinishedAt.IsZero() {
		t.Fatalf("%+v %+v", last, last.Counters)
	}
	if last.Drift == nil || last.Drift.First != 20 || last.Drift.Last < 19.9 || last.Drift.Last > 20.1 {
		t.Fatalf("%+v", last.Drift)
	}
	trace, err = c.Trace(ctx, send.ID, made.ID)
	if err != nil || !trace.Targeted || trace.Outcome != tocsin.Refused || trace.Reason != tocsin.ReasonSize || len(trace.Attempts) != 1 ||
		trace.Attempts[0].Result != "refused" || !strings.Contains(trace.Explanation, "refused for good (size)") {
		t.Fatalf("%+v %v", trace, err)
	}
	_, err = c.Cancel(ctx, send.ID)
	wantProblem(t, err, http.StatusConflict, "finished", "")
}

// A cancel that its process did not finish is carried on by whoever follows the
// log: the ledgers hear of it, and the send is shown as cancelled.
func TestACancelIsCarriedOn(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	r := hello()
	r.At = new(time.Now().Add(time.Hour))
	send, err := c.Send(ctx, r, "")
	if err != nil {
		t.Fatal(err)
	}
	home := tocsin.ShardOf(p.ID, send.ID.String(), testShards)
	cancel := record.NewWriter(99).Next(&record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: send.ID.Bytes()}}}, time.Now(),
		record.Scope{Project: p.ID, Environment: p.Environment, Class: tocsin.Normal})
	if _, err := w.journal.Append(ctx, journal.Partition{Topic: journal.Sends, Shard: home}, record.Encode(cancel)); err != nil {
		t.Fatal(err)
	}
	for got := send; got.Status != client.SendCancelled; {
		if got, err = c.GetSend(ctx, send.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.logged(journal.Ledger)); n != testShards {
		t.Errorf("%d ledgers heard of it", n)
	}
}

// A cancel is durable where plan reads it and on every shard that may hold a
// recipient before it is answered.
func TestCancelReachesEveryShard(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, c := w.newProject("a")
	r := hello()
	r.At = new(time.Now().Add(time.Hour))
	send, err := c.Send(ctx, r, "")
	if err != nil || send.Status != client.SendScheduled {
		t.Fatalf("%+v %v", send, err)
	}
	if mark := w.logged(journal.Sends)[0].GetSend().Mark; len(mark) != 0 {
		t.Fatalf("a scheduled send took its mark %v at once", mark)
	}
	if got, _ := c.GetSend(ctx, send.ID); got.Status != client.SendScheduled {
		t.Fatalf("%+v", got)
	}
	got, err := c.Cancel(ctx, send.ID)
	if err != nil || got.Status != client.SendCancelled {
		t.Fatalf("%+v %v", got, err)
	}
	if n := len(w.logged(journal.Sends)); n != 2 {
		t.Fatalf("%d records of sends", n)
	}
	ledger := w.logged(journal.Ledger)
	if len(ledger) != testShards {
		t.Fatalf("%d cancels", len(ledger))
	}
	for _, e := range ledger {
		if tocsin.SendID(e.GetCancel().GetSend()) != send.ID {
			t.Fatalf("%v", e)
		}
	}
	if again, err := c.Cancel(ctx, send.ID); err != nil || again.Status != client.SendCancelled || len(w.logged(journal.Ledger)) != testShards {
		t.Fatalf("%+v %v", again, err)
	}
}
