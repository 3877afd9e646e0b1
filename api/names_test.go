package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

func someone(token string, name string, v client.Value) client.Subscription {
	return client.Subscription{Provider: tocsin.FCM, Token: token, Attributes: map[string]client.Value{name: v}}
}

func plan(c *client.Client, t *testing.T, query string) int64 {
	t.Helper()
	found, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(query)})
	if err != nil {
		t.Fatal(err)
	}
	return found.Count
}

// An attribute has the type of its first value, whichever way the next comes in;
// the error shows the value, and who brought the type.
func TestAnAttributeHasOneType(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } })
	p, c := w.newProject("a")
	ctx := t.Context()
	keys, err := c.Keys(ctx, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, k := range keys.Keys {
		if k.Name == "first key" {
			id = k.ID.String()
		}
	}
	if _, err := c.PutSubscription(ctx, someone("1", "age", client.IntegerValue(41))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutSubscription(ctx, someone("2", "age", client.FloatValue(41.5))); err != nil {
		t.Errorf("integers and floats are one type: %v", err)
	}
	reason := `found text "old", want number: first written 2026-11-23 by server, key first key (` + id + `)`
	_, err = c.PutSubscription(ctx, someone("3", "age", client.TextValue("old")))
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "attributes.age")
	if !strings.Contains(err.Error(), reason) {
		t.Error(err)
	}
	err = c.UpdateProfile(ctx, "ann", client.ProfileUpdate{Attributes: map[string]client.Value{"age": client.TextValue("old")}})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "attributes.age")
	batch, err := c.PutSubscriptions(ctx, client.Batch{Subscriptions: []client.Subscription{someone("4", "plan", client.TextValue("gold")),
		someone("5", "age", client.TextValue("old")), someone("6", "plan", client.BooleanValue(true))}})
	if err != nil || batch.Accepted != 1 || len(batch.Errors) != 2 || batch.Errors[0].Field != "attributes.age" || batch.Errors[0].Reason != reason ||
		!strings.HasPrefix(batch.Errors[1].Reason, "found boolean true, want text") {
		t.Errorf("%+v, %v", batch, err)
	}
	done := w.imported(p, `{"provider":"fcm","token":"7","attributes":{"age":12,"plan":"free","town":"Lyon"}}
{"provider":"fcm","token":"8","attributes":{"age":"twelve"}}
{"provider":"fcm","token":"9","attributes":{"town":{"url":"https://example.org/lyon"}}}
{"provider":"fcm","token":"9","attributes":{"age":null}}
`)
	want := []client.BadLine{{Line: 2, Field: "attributes.age", Reason: "found text, want number: first written 2026-11-23 by server, " + id, Found: `"twelve"`},
		{Line: 3, Field: "attributes.town", Reason: "found url, want text: first written 2026-11-23 by import, " + id, Found: `"https://example.org/lyon"`}}
	if done.Imported != 2 || fmt.Sprint(done.BadLines) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant %+v", done.BadLines, want)
	}
	if kept, err := c.GetImport(ctx, done.ID); err != nil || kept.BadLines[0].Found != "" || kept.BadLines[0].Reason != want[0].Reason {
		t.Errorf("%+v, %v", kept, err)
	}
	// An app keeps its registration, and is told.
	d, err := w.client(p.DeviceKey).RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "10",
		Attributes: map[string]client.Value{"age": client.TextValue("old"), "plan": client.TextValue("gold")}})
	if err != nil || len(d.Ignored) != 1 || d.Ignored[0] != "attributes.age: "+reason {
		t.Errorf("%+v, %v", d, err)
	}
	if n := plan(c, t, `{"age":{"$exists":true}}`); n != 3 {
		t.Errorf("%d have an age", n)
	}
	if n := plan(c, t, `{"plan":"gold"}`); n != 2 {
		t.Errorf("%d have plan gold", n)
	}
	if log := w.log.String(); strings.Contains(log, "twelve") || strings.Contains(log, "gold") {
		t.Error("the log holds values")
	}
}

// Of many who write an attribute first, at once and with different types, those
// of one type are let pass.
func TestFirstWritersAgreeOnAType(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	for round := range 10 {
		name := fmt.Sprint("name", round)
		passed := make([]error, 8)
		var all sync.WaitGroup
		for i := range passed {
			all.Go(func() {
				v := client.TextValue("x")
				if i%2 == 1 {
					v = client.IntegerValue(1)
				}
				_, passed[i] = c.PutSubscription(t.Context(), someone(fmt.Sprintf("%d-%d", round, i), name, v))
			})
		}
		all.Wait()
		var good [2]int
		for i, err := range passed {
			if err == nil {
				good[i%2]++
			} else if !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "want ") {
				t.Error(err)
			}
		}
		if good != [2]int{0, 4} && good != [2]int{4, 0} {
			t.Fatalf("%v were let pass", good)
		}
		if text, numbers := plan(c, t, `{"`+name+`":"x"}`), plan(c, t, `{"`+name+`":1}`); int(text) != good[0] || int(numbers) != good[1] {
			t.Fatalf("%d texts and %d numbers, %v were let pass", text, numbers, good)
		}
	}
}

// What an older build wrote stands, and the type is that of most values.
func TestNamesOfAnOlderBuildAreLearnt(t *testing.T) {
	j, st, key := journalmem.New(), storemem.New(time.Now), filepath.Join(t.TempDir(), "key")
	w := newWorldOn(t, j, st, key)
	p, _ := w.newProject("a")
	w.stop()
	writer := record.NewWriter(77)
	for n := range 30 {
		u := &record.Upsert{Subscription: tocsin.MakeID[tocsin.SubscriptionID](time.Now(), [10]byte{byte(n)}).Bytes(), Profile: fmt.Sprint("u:", n),
			Provider: uint32(tocsin.FCM), Address: fmt.Append(nil, "old", n), Tags: []*record.TagSet{{Name: "likes", Add: []string{"x"}}},
			Attributes: []*record.Attribute{{Name: "age", Value: &record.Attribute_Integer{Integer: int64(n)}}}}
		if n < 5 {
			u.Attributes[0].Value = &record.Attribute_Text{Text: "unknown"}
		}
		e := writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: []*record.Change{{Change: &record.Change_Upsert{Upsert: u}}}}}},
			time.Now(), record.Scope{Project: p.ID, Environment: tocsin.Development})
		at := journal.Partition{Topic: journal.Changes, Shard: tocsin.ShardOf(p.ID, u.Profile, testShards)}
		if _, err := j.Append(t.Context(), at, record.Encode(e)); err != nil {
			t.Fatal(err)
		}
	}
	w = newWorldOn(t, j, st, key)
	c := w.client(p.Key)
	_, err := c.PutSubscription(t.Context(), someone("1", "age", client.TextValue("old")))
	if wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "attributes.age"); !strings.Contains(err.Error(), "want number: as before") {
		t.Error(err)
	}
	if _, err := c.PutSubscription(t.Context(), someone("1", "age", client.IntegerValue(3))); err != nil {
		t.Error(err)
	}
	// What was there is found as it was.
	if n := plan(c, t, `{"age":"unknown"}`); n != 5 {
		t.Errorf("%d have an age in text", n)
	}
	if d, err := w.client(p.DeviceKey).RegisterDevice(t.Context(), client.Subscription{Provider: tocsin.FCM, Token: "2",
		Tags: map[string]client.Tags{"likes": {Add: []string{"y"}}}}); err != nil || d.Ignored != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// A person, and each subscription, has so many bytes of values and no more, in
// however many requests they come.
func TestAProfileHasACeiling(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	ctx := t.Context()
	tags := func(from, n int) client.Tags {
		var add []string
		for i := range n {
			add = append(add, fmt.Sprintf("%0100d", from+i))
		}
		return client.Tags{Add: add}
	}
	set := func(of client.Tags) error {
		return c.UpdateProfile(ctx, "ann", client.ProfileUpdate{Tags: map[string]client.Tags{"likes": of}})
	}
	for from := 0; from < 600; from += 100 {
		if err := set(tags(from, 100)); err != nil {
			t.Fatal(err)
		}
		plan(c, t, `{}`) // they are applied
	}
	err := set(tags(600, 60))
	if wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "tags"); !strings.Contains(err.Error(), "66000 bytes") || !strings.Contains(err.Error(), "65536 are the most") {
		t.Error(err)
	}
	if err := set(tags(560, 60)); err != nil {
		t.Errorf("two thirds of them are there: %v", err)
	}
	// What comes to the person later begins with what is known of her.
	big := someone("1", "note", client.TextValue(strings.Repeat("x", 1000)))
	big.User = "ann"
	for n := range 4 {
		big.Attributes[fmt.Sprint("note", n)] = big.Attributes["note"]
	}
	_, err = c.PutSubscription(ctx, big)
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "attributes")
	delete(big.Attributes, "note3")
	delete(big.Attributes, "note2")
	if _, err := c.PutSubscription(ctx, big); err != nil {
		t.Error(err)
	}
	plan(c, t, `{}`)
	line := `{"user":"ann","provider":"fcm","token":"1","attributes":{"more":"` + strings.Repeat("y", 1000) + `"}}`
	if done := w.imported(p, line); done.Bad != 1 || done.BadLines[0].Field != "attributes" || !strings.Contains(done.BadLines[0].Reason, "bytes of values") {
		t.Errorf("%+v", done)
	}
	if err := set(client.Tags{Replace: []string{}}); err != nil {
		t.Error(err)
	}
	plan(c, t, `{}`)
	if done := w.imported(p, line); done.Imported != 1 {
		t.Errorf("%+v", done)
	}
}
