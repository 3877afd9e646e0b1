package webpush

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
	"github.com/tocsin-push/tocsin/sim"
)

type fixture struct {
	t        testing.TB
	vapid    *ecdsa.PrivateKey
	browser  *ecdh.PrivateKey
	auth     []byte
	provider *Provider
}

func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	vapid, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.Bulk.BackoffMin = time.Millisecond
	cfg.Pairs = 10
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t, vapid, browser, []byte("0123456789abcdef"), p}
}

func (f *fixture) credential(s *providertest.Server) provider.Credential {
	private, err := f.vapid.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	public, err := f.vapid.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	return provider.Credential{Provider: tocsin.WebPush, Endpoints: []provider.Endpoint{s.Endpoint},
		WebPush: &provider.WebPush{PrivateKey: private, PublicKey: public, Subject: "mailto:push@example.com"}}
}

func route(s *providertest.Server) provider.Route {
	return provider.Route{Provider: tocsin.WebPush, Host: s.Endpoint.Origin}
}

// stored is the stored form of an address.
func stored(endpoint string, public, auth []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(endpoint)))
	return append(append(append(b, endpoint...), public...), auth...)
}

func (f *fixture) address(s *providertest.Server, path string) []byte {
	return stored(s.Endpoint.Origin+path, f.browser.PublicKey().Bytes(), f.auth)
}

func (f *fixture) lane(s *providertest.Server) provider.Lane {
	f.t.Helper()
	l, err := f.provider.Lane(route(s), f.credential(s))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

func deliver(l provider.Lane, b *provider.Batch) *provider.Batch {
	done := make(chan *provider.Batch)
	b.Done = func(b *provider.Batch) { done <- b }
	l.Send(b)
	return <-done
}

func reply(status int, body string, headers ...string) func(http.ResponseWriter, providertest.Request) {
	return func(w http.ResponseWriter, _ providertest.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// decrypt does what a browser does.
func (f *fixture) decrypt(body []byte) ([]byte, error) {
	return sim.BrowserKeys{Private: f.browser, Auth: [16]byte(f.auth)}.Decrypt(body)
}

func TestContract(t *testing.T) {
	f := newFixture(t)
	providertest.Run(t, providertest.Subject{
		Provider:   f.provider,
		Route:      route,
		Credential: f.credential,
		Address:    func(s *providertest.Server, i int) []byte { return f.address(s, fmt.Sprintf("/wp/%d?token=a%%2Fb", i)) },
		Payload:    []byte(`{"web_push":8030}`),
		Number: func(t testing.TB, r providertest.Request) int {
			path, _ := strings.CutSuffix(r.Path, "?token=a%2Fb")
			n, err := strconv.Atoi(strings.TrimPrefix(path, "/wp/"))
			if err != nil {
				t.Error(err)
			}
			return n
		},
		Accept: reply(201, "", "location", "https://example.com/m/1"),
		Gone:   reply(410, ""),
		Fault:  reply(403, ""),
	})
}

func TestRequest(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(201, ""))
	l := f.lane(s)
	texts := [][]byte{[]byte("one"), bytes.Repeat([]byte("x"), maxText), bytes.Repeat([]byte("x"), maxText+1), []byte("bad key"), []byte("bad endpoint"), {}}
	wrongKey := f.address(s, "/wp/3")
	wrongKey[len(wrongKey)-authLen-1] ^= 1
	b := deliver(l, &provider.Batch{
		Headers: provider.Headers{TTL: 90*time.Second + 1, Urgent: true, Collapse: "send_1"},
		Addresses: [][]byte{f.address(s, "/wp/0"), f.address(s, "/wp/1"), f.address(s, "/wp/2"), wrongKey,
			stored("https://example.com/wp/4", f.browser.PublicKey().Bytes(), f.auth), f.address(s, "/wp/5")},
		Payloads: texts,
	})
	want := []provider.Result{provider.Accepted, provider.Accepted, provider.Refused, provider.Refused, provider.Refused, provider.Accepted}
	reasons := map[int]tocsin.Reason{2: tocsin.ReasonSize, 3: tocsin.ReasonToken, 4: tocsin.ReasonAddress}
	if fmt.Sprint(b.Results) != fmt.Sprint(want) || len(b.Details) != 3 {
		t.Errorf("results %v, want %v; details %v", b.Results, want, b.Details)
	}
	for _, d := range b.Details {
		if d.Reason != reasons[d.Index] {
			t.Errorf("push %d: reason %v", d.Index, d.Reason)
		}
	}
	senders := map[string]bool{}
	for _, r := range s.Requests() {
		for name, value := range map[string]string{"ttl": "90", "urgency": "high", "topic": "send_1", "content-encoding": "aes128gcm"} {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		text, err := f.decrypt(r.Body)
		if i, _ := strconv.Atoi(strings.TrimPrefix(r.Path, "/wp/")); err != nil || !bytes.Equal(text, texts[i]) {
			t.Errorf("%s: %.10q, %v", r.Path, text, err)
		}
		if len(r.Body) > 4096 {
			t.Errorf("a body of %d bytes", len(r.Body))
		}
		senders[string(r.Body[:headerLen])] = true
		f.verify(r.Header.Get("authorization"), s.Endpoint.Origin)
	}
	if len(senders) != 3 {
		t.Errorf("%d different keys and salts in 3 messages", len(senders))
	}
	s.Forget()
	deliver(l, &provider.Batch{Addresses: [][]byte{f.address(s, "/wp/0")}, Payloads: texts[:1]})
	if h := s.Requests()[0].Header; h.Get("ttl") != "0" || h.Get("urgency") != "normal" || h["Topic"] != nil {
		t.Errorf("headers %v without any asked for", h)
	}
}

func (f *fixture) verify(authorization, audience string) {
	f.t.Helper()
	var token, key string
	if _, err := fmt.Sscanf(authorization, "vapid t=%s k=%s", &token, &key); err != nil {
		f.t.Fatalf("authorization %q: %v", authorization, err)
	}
	public, _ := f.vapid.PublicKey.Bytes()
	if key != base64.RawURLEncoding.EncodeToString(public) {
		f.t.Errorf("k is %s", key)
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(strings.TrimSuffix(token, ","), claims, func(*jwt.Token) (any, error) { return &f.vapid.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithAudience(audience), jwt.WithSubject("mailto:push@example.com"), jwt.WithExpirationRequired())
	if err != nil {
		f.t.Error(err)
	}
	if end, err := claims.GetExpirationTime(); err != nil || time.Until(end.Time) > 24*time.Hour {
		f.t.Errorf("exp %v", end)
	}
}

func TestTokenIsCached(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(201, ""))
	key, err := parse(f.credential(s))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	first, _ := f.provider.tokens.header(key, "https://example.com", now)
	for origin, same := range map[string]bool{"https://EXAMPLE.com:443": true, "https://example.org": false, "https://example.com:8443": false} {
		if got, _ := f.provider.tokens.header(key, origin, now.Add(11*time.Hour)); (got == first) != same {
			t.Errorf("%s: the same token is %v", origin, got == first)
		}
	}
	if got, _ := f.provider.tokens.header(key, "https://example.com", now.Add(tokenUse)); got == first {
		t.Error("the token is used for ever")
	}
	f.verify(first, "https://example.com")
}

// Every status, and every word of Apple's and number of Mozilla's service, has
// one result, one reason and one wait.
func TestEveryAnswer(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, nil)
	const refused, fault, later, gone = provider.Refused, provider.Fault, provider.Later, provider.Gone
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, providertest.Request)
		result provider.Result
		detail provider.Detail
	}{
		{"bad request", reply(400, ""), refused, provider.Detail{Reason: tocsin.ReasonPayload, Text: "400"}},
		{"unauthorised", reply(401, ""), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "401"}},
		{"forbidden", reply(403, ""), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "403"}},
		{"expired", reply(404, ""), gone, provider.Detail{Text: "404"}},
		{"gone", reply(410, "push subscription has unsubscribed or expired"), gone, provider.Detail{Text: "410"}},
		{"too large", reply(413, ""), refused, provider.Detail{Reason: tocsin.ReasonSize, Text: "413"}},
		{"throttled", reply(429, "", "retry-after", "12"), later, provider.Detail{Reason: tocsin.ReasonThrottled, RetryAfter: 12 * time.Second, Text: "429"}},
		{"throttled by WNS", reply(406, "", "x-wns-error-description", "slow down"), later, provider.Detail{Reason: tocsin.ReasonThrottled, Text: "406 slowdown"}},
		{"failed", reply(500, ""), later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "500"}},
		{"unavailable", reply(503, "", "retry-after", "120"), later, provider.Detail{Reason: tocsin.ReasonUnavailable, RetryAfter: 2 * time.Minute, Text: "503"}},
		{"redirect", reply(307, "", "location", "https://example.com/"), refused, provider.Detail{Reason: tocsin.ReasonAddress, Text: "307"}},
		{"Mozilla 102", reply(404, `{"code":404,"errno":102}`), gone, provider.Detail{Text: "404 errno 102"}},
		{"Mozilla 103", reply(410, `{"code":410,"errno":103}`), gone, provider.Detail{Text: "410 errno 103"}},
		{"Mozilla 104", reply(413, `{"code":413,"errno":104}`), refused, provider.Detail{Reason: tocsin.ReasonSize, Text: "413 errno 104"}},
		{"Mozilla 109", reply(401, `{"code":401,"errno":109}`), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "401 errno 109"}},
		{"Mozilla 111", reply(400, `{"code":400,"errno":111}`), refused, provider.Detail{Reason: tocsin.ReasonPayload, Text: "400 errno 111"}},
		{"Mozilla 201", reply(503, `{"code":503,"errno":201}`, "retry-after", "120"), later,
			provider.Detail{Reason: tocsin.ReasonUnavailable, RetryAfter: 2 * time.Minute, Text: "503 errno 201"}},
		{"Mozilla 202", reply(503, `{"code":503,"errno":202}`), later, provider.Detail{Reason: tocsin.ReasonUnavailable, RetryAfter: time.Second, Text: "503 errno 202"}},
		{"Mozilla 901", reply(502, `{"code":502,"errno":901}`), later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "502"}},
		{"Apple's token", reply(403, `{"reason":"BadJwtToken"}`), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "BadJwtToken"}},
		{"Apple's key", reply(400, `{"reason":"VapidPkHashMismatch"}`), refused, provider.Detail{Reason: tocsin.ReasonTopic, Text: "VapidPkHashMismatch"}},
		{"Apple's TTL", reply(400, `{"reason":"BadTtl"}`), refused, provider.Detail{Reason: tocsin.ReasonPayload, Text: "400 BadTtl"}},
		{"Apple leaves", reply(503, `{"reason":"Shutdown"}`), later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "Shutdown"}},
	} {
		l := f.lane(s)
		s.Answer(row.answer)
		b := deliver(l, &provider.Batch{Addresses: [][]byte{f.address(s, "/wp/1")}, Payloads: [][]byte{[]byte("x")}})
		if b.Results[0] != row.result || len(b.Details) != 1 || b.Details[0] != row.detail {
			t.Errorf("%s: result %d, details %+v; want %d, %+v", row.name, b.Results[0], b.Details, row.result, row.detail)
		}
	}
}

// A subscription made with another key does not stop those that are accepted.
func TestOneForeignSubscription(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, func(w http.ResponseWriter, r providertest.Request) {
		if r.Path == "/wp/foreign" {
			w.WriteHeader(403)
			return
		}
		w.WriteHeader(201)
	})
	l := f.lane(s)
	b := &provider.Batch{}
	for i := range 50 {
		path := "/wp/own"
		if i%10 == 5 {
			path = "/wp/foreign"
		}
		b.Addresses, b.Payloads = append(b.Addresses, f.address(s, path)), append(b.Payloads, []byte("x"))
	}
	if probe := deliver(l, &provider.Batch{Addresses: b.Addresses[:1], Payloads: b.Payloads[:1]}); probe.Results[0] != provider.Accepted {
		t.Fatalf("results %v", probe.Results)
	}
	deliver(l, b)
	for i, r := range b.Results {
		if want := map[bool]provider.Result{true: provider.Later, false: provider.Accepted}[i%10 == 5]; r != want {
			t.Errorf("push %d: %v, want %v", i, r, want)
		}
	}
}

func TestHabitsOfServices(t *testing.T) {
	f := newFixture(t)
	for origin, want := range map[string]string{
		"https://web.push.apple.com": "1", "https://wns2-par02p.notify.windows.com": "0 no-cache", "https://fcm.googleapis.com": "0",
	} {
		l := &lane{provider: f.provider, origin: origin, service: serviceOf(origin)}
		got := ""
		for _, h := range l.shape(provider.Headers{}, "vapid x").Headers {
			switch h.Name {
			case "ttl":
				got = h.Value + got
			case "x-wns-cache-policy":
				got += " " + h.Value
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", origin, got, want)
		}
	}
}
