package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// node answers requests without a network, one handler after the other; the
// last one stays.
type node struct {
	answers  []http.HandlerFunc
	requests []*http.Request
	at       []time.Time
}

func (n *node) RoundTrip(r *http.Request) (*http.Response, error) {
	n.requests, n.at = append(n.requests, r), append(n.at, time.Now())
	handler := n.answers[0]
	if len(n.answers) > 1 {
		n.answers = n.answers[1:]
	}
	if handler == nil {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	handler(w, r)
	return w.Result(), nil
}

func to(t *testing.T, answers ...http.HandlerFunc) (*client.Client, *node) {
	t.Helper()
	n := &node{answers: answers}
	c, err := client.New(client.Config{URL: "http://node", Key: "tcs_x", HTTP: &http.Client{Transport: n}})
	if err != nil {
		t.Fatal(err)
	}
	return c, n
}

func answer(status int, text string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		w.Write([]byte(text))
	}
}

// What may help is repeated, with the same idempotency key, and as late as the
// node asked for.
func TestRequestsAreRepeatedWhereThatIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n := to(t, nil, answer(429, `{}`, "Retry-After", "7"), answer(409, `{"status":409,"code":"idempotency_running"}`), answer(202, `{"name":"hello"}`))
		s, err := c.Send(t.Context(), client.SendRequest{}, "")
		if err != nil || s.Name != "hello" || len(n.requests) != 4 {
			t.Fatalf("%+v, %v after %d requests", s, err, len(n.requests))
		}
		if wait := n.at[2].Sub(n.at[1]); wait != 7*time.Second {
			t.Errorf("came back after %v", wait)
		}
		key := n.requests[0].Header.Get("Idempotency-Key")
		for _, r := range n.requests {
			if key == "" || r.Header.Get("Idempotency-Key") != key || r.Header.Get("Authorization") != "Bearer tcs_x" {
				t.Errorf("%v", r.Header)
			}
		}
	})
}

func TestWhatWouldBeDoneTwiceIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n := to(t, answer(503, `{"status":503}`))
		if _, err := c.CreateProject(t.Context(), client.ProjectRequest{}); !errors.Is(err, client.ErrUnavailable) || len(n.requests) != 1 {
			t.Fatalf("%v after %d requests", err, len(n.requests))
		}
		c, n = to(t, answer(422, `{"status":422,"code":"invalid","errors":[{"field":"rate","reason":"too small"}]}`))
		_, err := c.Steer(t.Context(), tocsin.SendID{1}, client.SendUpdate{Rate: client.AtMost(-1)})
		var p *client.Problem
		if !errors.As(err, &p) || p.Errors[0].Field != "rate" || len(n.requests) != 1 {
			t.Fatalf("%v after %d requests", err, len(n.requests))
		}
		c, n = to(t, answer(502, "<html>a proxy's</html>"))
		if _, err := c.GetSend(t.Context(), tocsin.SendID{1}); !errors.Is(err, client.ErrUnavailable) || len(n.requests) != 5 {
			t.Fatalf("%v after %d requests", err, len(n.requests))
		}
	})
}

// A stream that breaks off is followed again, to the event that ends it.
func TestAWatchGoesOnAfterItBrokeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, n := to(t, answer(200, "event: state\ndata: {\"status\":\"accepted\"}\n\n: still here\n\nevent: state\ndata: {\"sta"), nil,
			answer(200, "event: state\ndata: {\"status\":\"sending\"}\n\nevent: end\ndata: {\"status\":\"finished\"}\n\nevent: state\ndata: {}\n\n"))
		var seen []string
		for s, err := range c.WatchSend(t.Context(), tocsin.SendID{1}) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, string(s.Status))
		}
		if have := strings.Join(seen, " "); have != "accepted sending finished" || len(n.requests) != 3 {
			t.Fatalf("saw %q in %d requests", have, len(n.requests))
		}
	})
}

// A rate says three things: as it is, as fast as possible, so many a minute.
func TestARateInJSON(t *testing.T) {
	for text, want := range map[string]client.Rate{`{}`: {}, `{"rate":null}`: client.AtMost(0), `{"rate":600}`: client.AtMost(600)} {
		var u client.SendUpdate
		if err := json.Unmarshal([]byte(text), &u); err != nil || u.Rate != want {
			t.Errorf("%s: %+v, %v", text, u, err)
		}
		if back, err := json.Marshal(u); err != nil || string(back) != text {
			t.Errorf("%s comes back as %s, %v", text, back, err)
		}
	}
}
