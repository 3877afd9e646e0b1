package api

import (
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Every example of docs/catalogue.md answers what it says.
func TestCatalogueExamples(t *testing.T) {
	file, err := os.ReadFile("../docs/catalogue.md")
	if err != nil {
		t.Fatal(err)
	}
	document := string(file)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } })
	p, _ := w.newProject("a")
	people := regexp.MustCompile("(?s)```ndjson\n(.*?)```").FindStringSubmatch(document)
	if done := w.imported(p, people[1]); done.Imported != 4 || done.Bad != 0 {
		t.Fatalf("%+v", done)
	}
	examples := regexp.MustCompile("(?s)```sh\n(curl.*?)```\n\n```json\n(.*?)```").FindAllStringSubmatch(document, -1)
	if len(examples) < 4 {
		t.Fatalf("%d examples were found in the document", len(examples))
	}
	key := regexp.MustCompile(`key_[0-9a-z]{26}`)
	for _, e := range examples {
		path := regexp.MustCompile(`\$TOCSIN_URL([^"]*)"`).FindStringSubmatch(e[1])[1]
		method, body := "GET", ""
		if given := regexp.MustCompile(`(?s)-d '(.*)'`).FindStringSubmatch(e[1]); given != nil {
			method, body = "POST", given[1]
		}
		if given := regexp.MustCompile(`-X ([A-Z]+)`).FindStringSubmatch(e[1]); given != nil {
			method = given[1]
		}
		_, text := w.raw(method, path, p.Key, body)
		var got, want any
		if err := json.Unmarshal([]byte(key.ReplaceAllString(text, "KEY")), &got); err != nil {
			t.Fatal(path, text)
		}
		if err := json.Unmarshal([]byte(e[2]), &want); err != nil {
			t.Fatal(path, err, e[2])
		}
		if !reflect.DeepEqual(got, want) {
			have, _ := json.MarshalIndent(got, "", "  ")
			t.Errorf("%s answers\n%s\nthe document says\n%s", path, have, e[2])
		}
	}
}

// Names are renamed and deleted for everybody, and for who comes later; the name
// is free at once, and what is on its way goes under its new name.
func TestNamesAreRenamedAndDeleted(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	if err := c.UpdateProfile(ctx, "ann", client.ProfileUpdate{Attributes: map[string]client.Value{"town": client.TextValue("Lyon")},
		Tags: map[string]client.Tags{"likes": {Add: []string{"sport"}}}}); err != nil {
		t.Fatal(err)
	}
	one := someone("1", "town", client.TextValue("Nice"))
	if _, err := c.PutSubscription(ctx, one); err != nil {
		t.Fatal(err)
	}
	before, err := c.Name(ctx, client.AttributeName, "town", 10)
	if err != nil || before.Subscriptions != 1 || before.Type != "text" || before.Top[0].Value.Text() != "Nice" {
		t.Fatalf("%+v, %v", before, err)
	}
	for name, query := range map[string]string{"local": `{"$not":{"town":"Nice"}}`, "others": `{"plan":"town"}`} {
		if _, err := c.PutSegment(ctx, name, json.RawMessage(query)); err != nil {
			t.Fatal(err)
		}
	}
	done, err := c.RenameName(ctx, client.AttributeName, "town", "place")
	if err != nil || done.Subscriptions != 1 || done.To != "place" || !slices.Equal(done.Segments, []string{"local"}) {
		t.Fatalf("%+v, %v", done, err)
	}
	later := client.Subscription{User: "ann", Provider: tocsin.FCM, Token: "2"}
	if _, err := c.PutSubscription(ctx, later); err != nil {
		t.Fatal(err)
	}
	if n := plan(c, t, `{"place":{"$in":["Nice","Lyon"]}}`); n != 2 {
		t.Errorf("%d have a place", n)
	}
	if n := plan(c, t, `{"town":{"$exists":true}}`); n != 0 {
		t.Errorf("%d have a town", n)
	}
	after, err := c.Name(ctx, client.AttributeName, "place", 10)
	if err != nil || after.FirstBy == nil || *after.FirstBy != *before.FirstBy || after.Subscriptions != 2 {
		t.Errorf("%+v, %v", after, err)
	}
	_, err = c.PutSubscription(ctx, someone("1", "place", client.IntegerValue(3)))
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "attributes.place")
	// The old name is another attribute now.
	if _, err := c.PutSubscription(ctx, someone("1", "town", client.IntegerValue(3))); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteName(ctx, client.AttributeName, "town"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutSubscription(ctx, someone("1", "town", client.BooleanValue(true))); err != nil {
		t.Error(err)
	}
	if n := plan(c, t, `{"town":true}`); n != 1 {
		t.Errorf("%d have a town that is true", n)
	}
	if _, err := c.DeleteName(ctx, client.TagSetName, "likes"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutSubscription(ctx, client.Subscription{User: "ann", Provider: tocsin.FCM, Token: "3"}); err != nil {
		t.Fatal(err)
	}
	if n := plan(c, t, `{"likes":{"$exists":true}}`); n != 0 {
		t.Errorf("%d like something", n)
	}
	if d, err := w.client(p.DeviceKey).RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "4",
		Tags: map[string]client.Tags{"likes": {Add: []string{"x"}}}}); err != nil || !slices.Equal(d.Ignored, []string{"tags.likes"}) {
		t.Errorf("%+v, %v", d, err)
	}
	for what, want := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"unknown":  {second(c.DeleteName(ctx, client.AttributeName, "nothing")), http.StatusNotFound, "not_found"},
		"taken":    {second(c.RenameName(ctx, client.AttributeName, "town", "place")), http.StatusConflict, "taken"},
		"reserved": {second(c.RenameName(ctx, client.AttributeName, "town", "language")), http.StatusUnprocessableEntity, "invalid"},
		"an event": {second(c.DeleteName(ctx, client.EventName, "x")), http.StatusUnprocessableEntity, "invalid"},
		"no name":  {second(c.Name(ctx, client.AttributeName, "nothing", 1)), http.StatusNotFound, "not_found"},
	} {
		t.Log(what)
		wantProblem(t, want.err, want.status, want.code, "")
	}
	reader, err := c.CreateKey(ctx, p.ID, client.KeyRequest{Name: "crm", Scopes: []client.Scope{client.ScopeAudience, client.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client(reader.Key).DeleteName(ctx, client.AttributeName, "town")
	wantProblem(t, err, http.StatusForbidden, "forbidden", "")
	if _, err := w.client(reader.Key).Catalogue(ctx, 1); err != nil {
		t.Error(err)
	}
}

func second2[T any](_ T, err error) error { return err }

// Writers of every way are told apart, and those of another project are not seen.
func TestTheCatalogueTellsWhoWrites(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	w.imported(p, `{"provider":"fcm","token":"1","attributes":{"plan":"free"}}`)
	if _, err := c.PutSubscription(ctx, someone("2", "plan", client.TextValue("gold"))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(p.DeviceKey).RegisterDevice(ctx, someone("3", "plan", client.TextValue("gold"))); err != nil {
		t.Fatal(err)
	}
	n, err := c.Name(ctx, client.AttributeName, "plan", 10)
	if err != nil || n.Subscriptions != 3 || n.Coverage != 1 || n.Distinct != 2 || !n.Exact || n.Top[0].Count != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	var via []string
	for _, by := range n.Writers {
		via = append(via, by.Via+" "+by.KeyName)
	}
	if slices.Sort(via); strings.Join(via, ", ") != "device , import first key, server first key" {
		t.Errorf("%q", via)
	}
	_, other := w.newProject("b")
	if all, err := other.Catalogue(ctx, 10); err != nil || len(all.Attributes) != 0 || all.Subscriptions != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Names of events are in the catalogue, and bounded.
func TestEventsHaveNames(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Names.Events = 2 })
	_, c := w.newProject("a")
	event := func(name string) client.Event { return client.Event{User: "ann", Name: name} }
	told, err := c.PutEvents(t.Context(), client.EventBatch{Events: []client.Event{event("bought"), event("read"), event("left")}})
	if err != nil || told.Accepted != 2 || len(told.Errors) != 1 || !strings.Contains(told.Errors[0].Reason, "2 events of 2") {
		t.Errorf("%+v, %v", told, err)
	}
	all, err := c.Catalogue(t.Context(), 1)
	if err != nil || len(all.Events) != 2 || all.Events[0].Name != "bought" || all.Events[0].FirstBy.KeyName != "first key" || all.Ceilings.Events != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}
