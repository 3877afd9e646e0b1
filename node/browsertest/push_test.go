//go:build browser

package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/sim"
)

// reader is a person's browser on the site of a newsroom, with all that lies
// between the two.
type reader struct {
	*testing.T
	ctx       context.Context
	providers *sim.Sim
	newsroom  client.Project
	api       *client.Client // with the newsroom's key
	url       string         // of the node
	tab       *tab
}

// subscription is what PushManager makes, as the page gives it.
type subscription struct {
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256DH string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

func (s subscription) device() client.Subscription {
	return client.Subscription{Provider: tocsin.WebPush, Endpoint: s.Endpoint, P256DH: s.Keys.P256DH, Auth: s.Keys.Auth,
		User: "reader-1", Language: "fr-CA", Attributes: map[string]client.Value{"first_name": client.TextValue("Zoé")}}
}

// notification is what Registration.getNotifications lists.
type notification struct {
	Title string            `json:"title"`
	Body  string            `json:"body"`
	Lang  string            `json:"lang"`
	Tag   string            `json:"tag"`
	Data  map[string]string `json:"data"`
}

func TestFirefoxShowsWhatIsSent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 55*time.Second)
	defer cancel()
	port := serveSite(t)
	site, stranger := "http://localhost:"+port, "http://127.0.0.1:"+port
	r := &reader{T: t, ctx: ctx}
	r.startNode(site)
	began := time.Now()
	r.tab = openTab(ctx, t, startFirefox(ctx, t, r.providers.Setup().Browser))
	t.Logf("Firefox is ready after %v", time.Since(began).Round(time.Millisecond))

	// Devices bring no names of attributes: the newsroom uses this one already,
	// of somebody who has opted out.
	_, err := r.api.PutSubscription(ctx, client.Subscription{Provider: tocsin.APNs, Token: strings.Repeat("ab", 32), OptedIn: new(bool),
		Attributes: map[string]client.Value{"first_name": client.TextValue("Ana")}})
	r.must(err)

	// A page of an origin that the newsroom does not list registers nobody.
	r.must(r.tab.open(ctx, stranger))
	pushed := r.subscribe()
	err = r.tab.call(ctx, "register", nil, r.url, r.newsroom.DeviceKey, pushed.device())
	if err == nil || !strings.Contains(err.Error(), "NetworkError") { // all that a page may know
		t.Errorf("a page of an origin that is not listed has registered: %v", err)
	}
	r.count(0)

	// One of the newsroom's own does.
	r.must(r.tab.open(ctx, site))
	pushed = r.subscribe()
	var device client.Device
	r.must(r.tab.call(ctx, "register", &device, r.url, r.newsroom.DeviceKey, pushed.device()))
	if device.ID.IsZero() || device.Secret == "" {
		t.Fatal("registering gives no identifier or no secret")
	}
	r.count(1)

	// What is sent is shown, in the reader's language and with the reader's name.
	first := r.send("first", client.Target{Query: json.RawMessage(`{"first_name":"Zoé"}`)})
	r.outcome(first, client.Counters{Audience: 1, Accepted: 1})
	r.acknowledged(1)
	r.showsLast(first, "first")
	t.Logf("the first is shown after %v", time.Since(began).Round(time.Millisecond))

	// Who opts out is left alone, even when named.
	r.must(r.tab.call(ctx, "opt", nil, r.url, r.newsroom.DeviceKey, device.ID, device.Secret, false))
	r.count(0)
	everybody := client.Target{Query: json.RawMessage(`{}`)}
	named := client.Target{Recipients: []client.Recipient{{Subscription: device.ID}}}
	r.outcome(r.send("to nobody", everybody), client.Counters{})
	r.outcome(r.send("to one who opted out", named), client.Counters{Audience: 1, Suppressed: 1, Reasons: map[string]int64{"opted_out": 1}})

	// Opting in again brings back the news, and nothing of what was missed.
	r.must(r.tab.call(ctx, "opt", nil, r.url, r.newsroom.DeviceKey, device.ID, device.Secret, true))
	second := r.send("second", everybody)
	r.outcome(second, client.Counters{Audience: 1, Accepted: 1})
	r.acknowledged(2)
	if shown := r.showsLast(second, "second"); len(shown) != 2 {
		t.Errorf("%d notifications are shown: %+v", len(shown), shown)
	}

	// Unsubscribing in the browser ends the endpoint, which the next send
	// learns, and the audience from it.
	r.must(r.tab.call(ctx, "unsubscribe", nil))
	r.until("the push service knows that the browser unsubscribed", func() bool { return r.endpointGone(pushed.Endpoint) })
	r.outcome(r.send("to an endpoint that is gone", everybody), client.Counters{Audience: 1, Gone: 1})
	r.until("the audience drops who is gone", func() bool {
		_, err := r.api.Subscription(ctx, device.ID)
		var problem *client.Problem
		return errors.As(err, &problem) && problem.Status == http.StatusNotFound
	})
	r.count(0)
	r.outcome(r.send("to nobody again", everybody), client.Counters{})
	r.acknowledged(2)
	t.Logf("done after %v", time.Since(began).Round(time.Millisecond))
}

// serveSite serves testdata under two origins and returns their port: browsers
// trust plain HTTP on localhost and 127.0.0.1 alike.
func serveSite(t *testing.T) (port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.FileServerFS(os.DirFS("testdata"))}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

// subscribe lets the browser's own push manager subscribe, with the key that
// the newsroom's page would hold.
func (r *reader) subscribe() (s subscription) {
	credentials, err := r.api.Credentials(r.ctx, r.newsroom.ID)
	r.must(err)
	for _, c := range credentials.Credentials {
		if c.WebPush != nil {
			r.must(r.tab.call(r.ctx, "subscribe", &s, c.WebPush.PublicKey))
		}
	}
	if !strings.HasPrefix(s.Endpoint, "https://127.0.0.1:") || s.Keys.P256DH == "" || s.Keys.Auth == "" {
		r.Fatalf("the browser's subscription is %+v", s)
	}
	return s
}

func (r *reader) send(title string, to client.Target) client.Send {
	r.Helper()
	s, err := r.api.Send(r.ctx, client.SendRequest{Target: to, Message: client.Message{Fallback: "en",
		Languages: map[string]client.Content{
			"en": {Title: title, Body: "Hello {{ first_name }}"},
			"fr": {Title: title, Body: "Bonjour {{ first_name }}, « ça y est »", Link: "https://news.example/evening"}},
		Data: map[string]string{"section": "politics"}}}, "")
	r.must(err)
	return s
}

// outcome waits until a send has ended and compares what came of it, for the
// newsroom and at the push service.
func (r *reader) outcome(s client.Send, want client.Counters) {
	r.Helper()
	var last client.Send
	for now, err := range r.api.WatchSend(r.ctx, s.ID) {
		r.must(err)
		last = now
	}
	if !last.Status.Ended() || last.Counters == nil {
		r.Fatalf("the send is left as %+v", last)
	}
	got := *last.Counters
	if !maps.Equal(got.Reasons, want.Reasons) {
		r.Errorf("reasons are %v, want %v", got.Reasons, want.Reasons)
	}
	got.Reasons, want.Reasons = nil, nil
	if marshal(got) != marshal(want) {
		r.Errorf("counters are %s, want %s", marshal(got), marshal(want))
	}
	var received, accepted int64
	if theirs := r.providers.Ledger().Accounts(content.Collapse(r.newsroom.ID, s.ID))[tocsin.WebPush]; theirs != nil {
		received, accepted = int64(theirs.Received), int64(theirs.Accepted)
	}
	if received != want.Accepted+want.Gone || accepted != want.Accepted {
		r.Errorf("the push service has received %d and accepted %d, want %d and %d", received, accepted, want.Accepted+want.Gone, want.Accepted)
	}
}

func marshal(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// showsLast waits until the browser shows a send and compares what it shows.
func (r *reader) showsLast(s client.Send, title string) (all []notification) {
	r.Helper()
	r.must(r.tab.call(r.ctx, "shown", &all, title))
	for _, n := range all {
		if n.Title != title {
			continue
		}
		want := notification{title, "Bonjour Zoé, « ça y est »", "fr", content.Collapse(r.newsroom.ID, s.ID),
			map[string]string{"section": "politics", "navigate": "https://news.example/evening"}}
		if marshal(n) != marshal(want) {
			r.Errorf("shown is\n%s, want\n%s", marshal(n), marshal(want))
		}
		r.Logf("Firefox shows %s", marshal(n))
	}
	return all
}

// acknowledged waits until the browser has told the push service what became of
// so many pushes: 100, decrypted and delivered.
func (r *reader) acknowledged(n int) {
	r.Helper()
	var acks []sim.Ack
	r.until("the browser acknowledges", func() bool {
		acks = r.providers.Acks()
		return len(acks) >= n
	})
	for _, a := range acks {
		if a.Code != 100 {
			r.Fatalf("the browser answers a push with code %d, want 100, delivered (101: it could not decrypt it)", a.Code)
		}
	}
	if len(acks) != n {
		r.Fatalf("the browser acknowledges %d pushes, want %d", len(acks), n)
	}
	r.Logf("Firefox has acknowledged %s", marshal(acks))
}

func (r *reader) count(want int64) {
	r.Helper()
	got, err := r.api.Count(r.ctx, client.Target{Query: json.RawMessage(`{}`)})
	r.must(err)
	if got.Count != want {
		r.Errorf("the target counts %d, want %d", got.Count, want)
	}
}

// endpointGone asks for an endpoint without a push. RFC 8030 section 7.3: one
// that is no longer valid is answered 404 or 410.
func (r *reader) endpointGone(endpoint string) bool {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, endpoint, nil)
	r.must(err)
	answer, err := r.web().Do(request)
	r.must(err)
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode == http.StatusGone
}

// until polls a condition to the deadline.
func (r *reader) until(what string, met func() bool) {
	r.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !met() {
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			r.Fatalf("not in time: %s", what)
		}
	}
}

func (r *reader) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}
