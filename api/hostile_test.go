package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/store"
)

// A name is one name as it is written: another case of it is unknown, so that
// nothing passes beside the checks of its twin.
func TestNamesAreAsWritten(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	const message = `"message":{"languages":{"fr":{"title":"x"}}`
	for field, c := range map[string]struct{ method, path, body string }{
		"TARGET":       {"POST", "/v1/targets/count", `{"target":{"query":{"country":"FR"}},"TARGET":{"query":{}}}`},
		"message.TTL":  {"POST", "/v1/sends", `{"target":{"query":{}},` + message + `,"ttl":5,"TTL":-5}}`},
		"Name":         {"POST", "/v1/sends", `{"target":{"query":{}},` + message + `},"Name":"x"}`},
		"LIMIT":        {"POST", "/v1/targets/preview", `{"target":{"query":{}},"limit":1,"LIMIT":9223372036854775807}`},
		"Scopes":       {"POST", "/v1/projects/" + p.ID.String() + "/keys", `{"name":"k","scopes":["read"],"Scopes":["admin"]}`},
		"message.Push": {"POST", "/v1/sends", `{"target":{"query":{}},` + message + `,"Push":1}}`},
	} {
		answer, text := w.raw(c.method, c.path, p.Key, c.body)
		var got client.Problem
		if err := json.Unmarshal([]byte(text), &got); err != nil || answer.StatusCode != 422 || len(got.Errors) != 1 || got.Errors[0].Field != field {
			t.Errorf("%s: %d %s", field, answer.StatusCode, text)
		}
	}
}

// A value that the schema lets pass and that does not fit is told by its path,
// and an unknown field as unknown, whatever it holds.
func TestErrorsNameTheField(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	send := func(more string) string {
		return `{"target":{"query":{}},"message":{"languages":{"fr":{"title":"x"}}` + more + `}`
	}
	for _, c := range []struct{ path, body, field, reason string }{
		{"/v1/sends", send(`,"ttl":1e3}`), "message.ttl", "want an integer in range, without fraction or exponent"},
		{"/v1/sends", send(`,"badge":3000000000}`), "message.badge", "want an integer in range, without fraction or exponent"},
		{"/v1/sends", send(`},"at":"0001-01-01T00:00:00Z"`), "at", "is in the past"},
		{"/v1/subscriptions", `{"unknown":1}`, "unknown", "unknown field"},
		{"/v1/subscriptions", `{"user":1}`, "user", "want a string"},
	} {
		answer, text := w.raw("POST", c.path, p.Key, c.body)
		var got client.Problem
		if err := json.Unmarshal([]byte(text), &got); err != nil || answer.StatusCode != 422 || len(got.Errors) != 1 || got.Errors[0] != (client.FieldError{Field: c.field, Reason: c.reason}) {
			t.Errorf("%s: %d %s", c.body, answer.StatusCode, text)
		}
	}
}

// What is wrong with a body is told in few words, however much it is.
func TestErrorsOfABodyAreFew(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	const message = `"message":{"languages":{"fr":{"title":"x"}}}`
	answer, text := w.raw("POST", "/v1/sends", p.Key, `{"target":{"recipients":[`+strings.Repeat("1,", 390_000)+`1]},`+message+`}`)
	if answer.StatusCode != 400 || len(text) > 1000 {
		t.Fatalf("%d, %d bytes: %.300s", answer.StatusCode, len(text), text)
	}
	answer, text = w.raw("POST", "/v1/sends", p.Key, `{"target":{"recipients":[`+strings.Repeat("1,", 5000)+`1]},`+message+`}`)
	var got client.Problem
	if err := json.Unmarshal([]byte(text), &got); err != nil || answer.StatusCode != 422 || len(got.Errors) != maxErrors {
		t.Fatalf("%d, %d errors: %.300s", answer.StatusCode, len(got.Errors), text)
	}
}

// A body that does not come ends its connection, whether or not anybody reads it.
func TestBodiesThatStall(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.BodyTime = 50 * time.Millisecond })
	p, _ := w.newProject("a")
	for name, head := range map[string]string{
		"without a key":   "POST /v1/sends HTTP/1.1\r\n",
		"unknown path":    "POST /v1/nothing HTTP/1.1\r\n",
		"health":          "GET /healthz HTTP/1.1\r\n",
		"a send":          "POST /v1/sends HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer " + p.Key + "\r\n",
		"of another type": "POST /v1/sends HTTP/1.1\r\nContent-Type: text/plain\r\nAuthorization: Bearer " + p.Key + "\r\n",
		"an import":       "POST /v1/imports HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nAuthorization: Bearer " + p.Key + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", w.http.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%sHost: x\r\nContent-Length: 100000\r\n\r\n{", head)
			answer, err := io.ReadAll(conn) // until the server closes it
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") {
				t.Fatalf("%q, %v", answer, err)
			}
		})
	}
}

// A client that follows and does not read what comes is left.
func TestFollowersThatStall(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.BodyTime = 50 * time.Millisecond })
	left := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		defer close(left)
		n := 0
		w.server.writeEvents(r.Context(), out, func(context.Context) (any, bool, error) {
			n++
			return strings.Repeat("x", 1<<20) + fmt.Sprint(n), false, nil
		})
	}))
	defer site.Close()
	conn, err := net.Dial("tcp", site.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Fatal("still written to")
	}
}

// Of one project only so many requests are worked on at the same time.
func TestRequestsOfOneProjectAreCounted(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Requests = 1 })
	p, c := w.newProject("a")
	_, other := w.newProject("b")
	body, stalled := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", w.http.URL+"/v1/sends", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.Key)
	request.Header.Set("Content-Type", "application/json")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := http.DefaultClient.Do(request); err == nil {
			answer.Body.Close()
		}
	}()
	stalled.Write([]byte("{")) // the request has left
	for err = nil; err == nil; _, err = c.Sends(t.Context(), tocsin.SendID{}, 1) {
	}
	wantProblem(t, err, http.StatusTooManyRequests, "too_many", "")
	if _, err := other.Sends(t.Context(), tocsin.SendID{}, 1); err != nil {
		t.Errorf("another project: %v", err)
	}
	stalled.CloseWithError(errors.New("enough"))
	<-ended
}

// A list that is asked for before the far future begins now.
func TestAListBeforeTheFuture(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	if _, err := c.Send(t.Context(), hello(), ""); err != nil {
		t.Fatal(err)
	}
	reads := &countingStore{Store: w.store}
	far := tocsin.SendID{0: 0xff}
	rows, err := listing{reads}.page(t.Context(), p.ID, far, time.Now(), 10)
	if err != nil || len(rows) != 1 || reads.scans > 2 {
		t.Fatalf("%d rows, %d scans, %v", len(rows), reads.scans, err)
	}
}

// countingStore counts scans.
type countingStore struct {
	store.Store
	scans int
}

func (s *countingStore) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	s.scans++
	return s.Store.Scan(ctx, at, from, to, limit)
}

// A project is not made with a credential that would be refused.
func TestAProjectIsMadeWholeOrNot(t *testing.T) {
	w := newWorld(t)
	admin := w.client(w.platform)
	_, err := admin.CreateProject(t.Context(), client.ProjectRequest{Name: "half", Credentials: []client.CredentialRequest{
		{Provider: tocsin.WebPush, WebPush: &client.WebPushCredential{Subject: "mailto:ops@example.com"}}, {Provider: tocsin.FCM}}})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "credentials[1].fcm")
	if all, err := admin.Projects(t.Context(), tocsin.ProjectID{}, 10); err != nil || len(all.Projects) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
}
