package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// reasons are the bad events of a batch in one text.
func reasons(r client.EventResult) string {
	var all []string
	for _, e := range r.Errors {
		all = append(all, fmt.Sprintf("%d %s: %s", e.Index, e.Field, e.Reason))
	}
	return strings.Join(all, "\n")
}

// What is acknowledged counts at once, whoever told of it, for all that a person
// has; what was told before does nothing.
func TestEventsCountAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	device := w.client(p.DeviceKey)
	ids := enrol(t, c, "anna", "ben")
	d, err := device.RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	send := tocsin.MakeID[tocsin.SendID](time.Now(), [10]byte{7})
	expect := func(query, want string) {
		t.Helper()
		if got := finds(t, c, query); got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
	for range 2 {
		told, err := c.PutEvents(ctx, client.EventBatch{Events: []client.Event{
			{User: "anna", Name: "bought", Fields: map[string]client.Value{"amount": client.FloatValue(12.5), "at": client.TimeValue(time.Now())}, ID: "1"},
			{Subscription: ids[1], Name: "bought", Time: time.Now().Add(-48 * time.Hour), ID: "1"}}})
		if err != nil || told.Accepted != 2 || told.Errors != nil {
			t.Fatal(told, err)
		}
	}
	expect(`{"event":{"name":"bought","count":1}}`, "anna ben")
	expect(`{"event":{"name":"bought","where":{"amount":{"$gt":12}},"count":1}}`, "anna")
	expect(`{"event":{"name":"bought","last":{"$lt":"now-47h"}}}`, "ben")

	for range 2 {
		if told, err := device.DeviceEvents(ctx, d, client.EventBatch{Events: []client.Event{{Name: "opened", Send: send, ID: "x"}, {Name: "read"}}}); err != nil || told.Accepted != 2 {
			t.Fatal(told, err)
		}
	}
	for query, want := range map[string]int64{`{"event":{"name":"opened","count":1}}`: 1, `{"event":{"name":"read","count":2},"has_profile":false}`: 1,
		`{"event":{"name":"read"},"has_profile":true}`: 0} {
		if n, err := c.Count(ctx, client.Target{Query: json.RawMessage(query)}); err != nil || n.Matched != want {
			t.Error(query, n, err)
		}
	}
}

func TestWrongEventsAreListed(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	ids := enrol(t, c, "anna")
	many := `{"a0":0`
	for i := range 20 {
		many += fmt.Sprintf(`,"a%d":0`, i+1)
	}
	many += "}"
	lines := []string{
		`{"user":"anna","name":"ok"}`, `5`, `{"name":"x"}`, `{"user":"anna"}`, `{"user":"anna","subscription":"` + ids[0].String() + `","name":"x"}`,
		`{"user":"anna","name":"X"}`, `{"user":"anna","name":"x","time":"yesterday"}`, `{"user":"anna","name":"x","time":"2020-01-01T00:00:00Z"}`,
		`{"user":"anna","name":"x","time":"2120-01-01T00:00:00Z"}`, `{"user":"anna","name":"x","fields":` + many + `}`, `{"user":"anna","name":"x","fields":{"A":1}}`,
		`{"user":"anna","name":"x","fields":{"a":null}}`, `{"user":"anna","name":"x","fields":{"a":{"url":"https://example.org"}}}`,
		`{"user":"anna","name":"x","fields":{"a":"` + strings.Repeat("x", 1025) + `"}}`, `{"user":"anna","name":"x","id":""}`,
		`{"user":"anna","name":"x","send":"` + tocsin.MakeID[tocsin.SendID](time.Now(), [10]byte{7}).String() + `"}`, `{"user":"anna","name":"opened","send":"x"}`,
		`{"user":"anna","name":"x","count":1}`, `{"subscription":"` + tocsin.MakeID[tocsin.SubscriptionID](time.Now(), [10]byte{9}).String() + `","name":"x"}`,
		`{"user":"` + strings.Repeat("x", 257) + `","name":"x"}`, `{"user":"anna","name":"x","name":"y"}`, `{"user":7,"name":"x"}`}
	want := `1 : not JSON at byte 0
2 user: give who did it: user or subscription
3 name: give the name of the event
4 user: give who did it: user or subscription
5 name: want a name of 1 to 64 characters of a-z, 0-9 and _
6 time: want a time of RFC 3339
7 time: is more than 35 days ago
8 time: is more than 5 minutes ahead
9 fields: more than 20
10 fields.A: want a name of 1 to 64 characters of a-z, 0-9 and _
11 fields.a: want text, a number, true, false or a time
12 fields.a: want text, a number, true, false or a time
13 fields.a: longer than 1024 bytes
14 id: want 1 to 128 bytes
15 send: belongs to the events displayed and opened
16 send: `
	_, text := w.raw("POST", "/v1/events", p.Key, `{"events":[`+strings.Join(lines[:len(lines)-2], ",")+`]}`, "Content-Type", "application/json")
	var told client.EventResult
	if err := json.Unmarshal([]byte(text), &told); err != nil || told.Accepted != 1 {
		t.Fatal(text)
	}
	if got := reasons(told); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `
17 count: unknown field
18 subscription: there is no such subscription
19 user: want 1 to 256 bytes`) {
		t.Error(got)
	}
	// The same as a stream, where a line may also name something twice.
	done, _, status := w.put("POST", "/v1/events/imports?name=x", p.Key, ndjson, strings.Join(lines, "\n")+"\n"+`{"subscription":"`+ids[0].String()+`","name":"ok"}`)
	if status != http.StatusCreated || done.Imported != 2 || done.Bad != 21 || !done.Events || done.Name != "x" || done.Status != client.ImportFinished {
		t.Error(status, done)
	}
	if got := finds(t, c, `{"event":{"name":"ok","count":3}}`); got != "anna" {
		t.Error(got)
	}
	for body, want := range map[string]string{`{"events":[]}`: "want at least one", `{"event":[]}`: "unknown field", `[]`: "cannot unmarshal",
		`{"events":[` + strings.Repeat("{},", 10_000) + `{}]}`: "more than 10000"} {
		if answer, text := w.raw("POST", "/v1/events", p.Key, body, "Content-Type", "application/json"); answer.StatusCode/100 != 4 || !strings.Contains(text, want) {
			t.Errorf("%.40s: %d %s", body, answer.StatusCode, text)
		}
	}
	if _, problem, status := w.put("POST", "/v1/events/imports", p.Key, csv, "user,name\nanna,x\n"); status != http.StatusUnsupportedMediaType {
		t.Error(status, problem)
	}
}

// Only the install itself tells of its person, and of no more than it may.
func TestDevicesTellOfThemselves(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	device := w.client(p.DeviceKey)
	d, err := device.RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "phone"})
	if err != nil {
		t.Fatal(err)
	}
	told, err := device.DeviceEvents(ctx, d, client.EventBatch{Events: []client.Event{{Name: "a"}, {Name: "a", User: "ben"}, {Name: "a", Subscription: d.ID}}})
	if err != nil || told.Accepted != 1 || len(told.Errors) != 2 {
		t.Error(told, err)
	}
	stolen := d
	stolen.Secret = "x"
	if _, err := device.DeviceEvents(ctx, stolen, client.EventBatch{Events: []client.Event{{Name: "a"}}}); err == nil {
		t.Error("a stranger speaks for the install")
	}
	if _, err := device.DeviceEvents(ctx, d, client.EventBatch{Events: make([]client.Event, 101)}); err == nil || !strings.Contains(err.Error(), "more than 100") {
		t.Error(err)
	}
	if _, err := device.PutEvents(ctx, client.EventBatch{Events: []client.Event{{Name: "a", User: "ben"}}}); err == nil {
		t.Error("the device key tells of anybody")
	}
	// Names that devices bring leave room to the server, and the ceiling holds for all.
	var many []client.Event
	for i := range 1000 {
		many = append(many, client.Event{Name: fmt.Sprintf("e%d", i), User: "ben"})
	}
	if told, err := c.PutEvents(ctx, client.EventBatch{Events: many[:499]}); err != nil || told.Errors != nil {
		t.Fatal(told.Errors, err)
	}
	told, err = device.DeviceEvents(ctx, d, client.EventBatch{Events: []client.Event{{Name: "other"}, {Name: "e7"}}})
	if want := "0 name: the project has 500 names of events, and devices bring no more"; err != nil || told.Accepted != 1 || reasons(told) != want {
		t.Error(told, err)
	}
	told, err = c.PutEvents(ctx, client.EventBatch{Events: many[499:]})
	if err != nil || told.Accepted != 500 || !strings.Contains(reasons(told), "the project has 1000 events of 1000 that it may have") {
		t.Error(told, err)
	}
}
