package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

func TestEveryErrorIsAProblem(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Body, c.Depth = 4096, 8 })
	p, _ := w.newProject("a")
	deep := strings.Repeat("[", 20) + strings.Repeat("]", 20)
	const send = `{"target":{"query":{}},"message":{"languages":{"fr":{"title":"x"}}}`
	for name, c := range map[string]struct {
		method, path, key, body string
		header                  []string
		status                  int
		code, field             string
	}{
		"no key":             {"GET", "/v1/sends", "", "", nil, 401, "unauthorized", ""},
		"key with a typo":    {"GET", "/v1/sends", p.Key[:len(p.Key)-1] + "!", "", nil, 401, "unauthorized", ""},
		"unknown path":       {"GET", "/v2/sends", p.Key, "", nil, 404, "not_found", ""},
		"wrong method":       {"DELETE", "/v1/sends", p.Key, "", nil, 404, "not_found", ""},
		"bad id":             {"GET", "/v1/sends/snd_x", p.Key, "", nil, 422, "invalid", "path.send"},
		"bad query":          {"GET", "/v1/sends?limit=0", p.Key, "", nil, 422, "invalid", "query.limit"},
		"unknown query":      {"GET", "/v1/sends?colour=red", p.Key, "", nil, 422, "invalid", "query.colour"},
		"no body":            {"POST", "/v1/sends", p.Key, "", []string{"Content-Type", "application/json"}, 400, "invalid", ""},
		"not json":           {"POST", "/v1/sends", p.Key, "{", nil, 400, "invalid", ""},
		"media type":         {"POST", "/v1/sends", p.Key, "x=1", []string{"Content-Type", "text/plain"}, 415, "media_type", ""},
		"compressed":         {"POST", "/v1/sends", p.Key, "x", []string{"Content-Encoding", "gzip"}, 415, "media_type", ""},
		"too large":          {"POST", "/v1/sends", p.Key, send + strings.Repeat(" ", 5000) + "}", nil, 413, "too_large", ""},
		"too deep":           {"POST", "/v1/sends", p.Key, deep, nil, 400, "too_deep", ""},
		"bad utf-8":          {"POST", "/v1/sends", p.Key, send + `,"name":"` + "\xff" + `"}`, nil, 400, "invalid", ""},
		"unknown field":      {"POST", "/v1/sends", p.Key, send + `,"colour":"red"}`, nil, 422, "invalid", "colour"},
		"unknown field deep": {"POST", "/v1/sends", p.Key, `{"target":{"query":{}},"message":{"languages":{"fr":{"title":"x","colour":1}}}}`, nil, 422, "invalid", "message.languages.fr.colour"},
		"wrong type":         {"POST", "/v1/sends", p.Key, send + `,"name":7}`, nil, 422, "invalid", "name"},
		"bad enum":           {"POST", "/v1/sends", p.Key, send + `,"class":"loud"}`, nil, 422, "invalid", "class"},
		"twice":              {"POST", "/v1/sends", p.Key, send + `,"name":"a","name":"b"}`, nil, 400, "invalid", ""},
		"long key":           {"POST", "/v1/sends", p.Key, send + `}`, []string{"Idempotency-Key", strings.Repeat("k", 300)}, 422, "invalid", "header.Idempotency-Key"},
		"import of nothing":  {"POST", "/v1/imports", p.Key, "x", []string{"Content-Type", "application/zip"}, 415, "media_type", ""},
		"csv header":         {"POST", "/v1/imports", p.Key, "colour\nred\n", []string{"Content-Type", "text/csv"}, 422, "invalid", "colour"},
		"profile attribute":  {"PATCH", "/v1/profiles/anna", p.Key, `{"attributes":{"a":{"b":1}}}`, nil, 422, "invalid", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			answer, text := w.raw(c.method, c.path, c.key, c.body, c.header...)
			var got client.Problem
			if err := json.Unmarshal([]byte(text), &got); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s: %s", answer.StatusCode, answer.Header.Get("Content-Type"), text)
			}
			if answer.StatusCode != c.status || got.Status != c.status || got.Code != c.code {
				t.Fatalf("%d: %s", answer.StatusCode, text)
			}
			if c.field != "" && (len(got.Errors) == 0 || got.Errors[0].Field != c.field || got.Errors[0].Reason == "") {
				t.Fatalf("field: %s", text)
			}
		})
	}
}

// fullJournal is a journal whose disk is nearly full.
type fullJournal struct{ journal.Journal }

func (fullJournal) Append(context.Context, journal.Partition, ...[]byte) ([]journal.Position, error) {
	return nil, journal.ErrFull
}

func TestFullAndBusy(t *testing.T) {
	w := newWorld(t, func(_ *Config, d *Deps) { d.Journal = fullJournal{d.Journal} })
	_, c := w.newProject("a")
	_, err := c.Send(t.Context(), hello(), "")
	if !errors.Is(err, client.ErrFull) {
		t.Fatal(err)
	}
	_, err = c.PutSubscription(t.Context(), client.Subscription{Provider: 2, Token: "x"})
	wantProblem(t, err, http.StatusInsufficientStorage, "full", "")

	// What was accepted can still be ended or slowed.
	var full error
	w = newWorld(t, func(_ *Config, d *Deps) { d.Full = func() error { return full } })
	_, c = w.newProject("a")
	begun, err := c.Send(t.Context(), hello(), "")
	if err != nil {
		t.Fatal(err)
	}
	full = journal.ErrFull
	if _, err = c.Send(t.Context(), hello(), ""); !errors.Is(err, client.ErrFull) {
		t.Fatal(err)
	}
	paused := true
	if _, err := c.Steer(t.Context(), begun.ID, client.SendUpdate{Paused: &paused}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cancel(t.Context(), begun.ID); err != nil {
		t.Fatal(err)
	}

	w = newWorld(t, func(c *Config, _ *Deps) { c.Streams = 1 })
	_, c = w.newProject("a")
	send, err := c.Send(t.Context(), hello(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.WatchSend(t.Context(), send.ID) {
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range c.WatchSend(t.Context(), send.ID) {
			wantProblem(t, err, http.StatusTooManyRequests, "too_many", "")
		}
		break
	}
}

func TestPlainRoutes(t *testing.T) {
	var why error
	w := newWorld(t, func(_ *Config, d *Deps) { d.Ready = func(context.Context) error { return why } })
	if answer, _ := w.raw("GET", "/healthz", "", ""); answer.StatusCode != 200 {
		t.Fatal(answer.Status)
	}
	if answer, _ := w.raw("GET", "/readyz", "", ""); answer.StatusCode != 200 {
		t.Fatal(answer.Status)
	}
	why = errors.New("shard 3 replays its log")
	if answer, text := w.raw("GET", "/readyz", "", ""); answer.StatusCode != 503 || !strings.Contains(text, "shard 3") {
		t.Fatal(text)
	}
}

// The document is valid as far as its own references go, names every route,
// and its copy in docs is the one that is served.
func TestDocument(t *testing.T) {
	w := newWorld(t)
	_, text := w.raw("GET", "/v1/openapi.json", "", "")
	var doc struct {
		OpenAPI    string                               `json:"openapi"`
		Paths      map[string]map[string]map[string]any `json:"paths"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%s %v", doc.OpenAPI, err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op["operationId"] == "" || op["security"] == nil || op["responses"].(map[string]any)["default"] == nil {
				t.Errorf("%s %s: no id, security or problem", method, path)
			}
		}
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")] == nil {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, each := range v {
				walk(each)
			}
		case []any:
			for _, each := range v {
				walk(each)
			}
		}
	}
	var all any
	json.Unmarshal([]byte(text), &all)
	walk(all)
	for _, name := range []string{"SendRequest", "Subscription", "Problem", "Trace"} {
		if doc.Components.Schemas[name] == nil {
			t.Errorf("schema %s is missing", name)
		}
	}
	file := filepath.Join("..", "docs", "openapi.json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil || string(kept) != text+"\n" {
		t.Fatalf("docs/openapi.json is not what is served (%v): go test ./api -run TestDocument -update", err)
	}
}
