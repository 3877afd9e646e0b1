package fcm

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
)

type fixture struct {
	t        testing.TB
	key      *rsa.PrivateKey
	provider *Provider
	tokens   *providertest.Server

	mu    sync.Mutex
	count int
	reply func(w http.ResponseWriter) // in place of a token
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.Bulk.BackoffMin = time.Millisecond
	p, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, key: key, provider: p}
	f.tokens = providertest.NewServer(t, f.exchange)
	return f
}

// exchange is the token endpoint; tokens are numbered.
func (f *fixture) exchange(w http.ResponseWriter, r providertest.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reply != nil {
		f.reply(w)
		return
	}
	form := string(r.Body)
	at := strings.Index(form, "assertion=")
	assertion, _, _ := strings.Cut(form[at+len("assertion="):], "&")
	claims := jwt.MapClaims{}
	token, err := jwt.ParseWithClaims(assertion, claims, func(*jwt.Token) (any, error) { return &f.key.PublicKey, nil },
		jwt.WithAudience(f.uri()), jwt.WithIssuer("push@example.iam.gserviceaccount.com"), jwt.WithExpirationRequired())
	if err != nil || token.Header["kid"] != "key-1" || claims["scope"] != scope || !strings.Contains(form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer") {
		f.t.Errorf("assertion refused: %v", err)
		w.WriteHeader(400)
		return
	}
	f.count++
	w.Header().Set("content-type", "application/json")
	fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":3600,"token_type":"Bearer"}`, f.count)
}

func (f *fixture) answer(reply func(http.ResponseWriter)) {
	f.mu.Lock()
	f.reply = reply
	f.mu.Unlock()
}

func (f *fixture) uri() string { return f.tokens.Endpoint.Origin + "/token" }

func (f *fixture) account() map[string]string {
	der, err := x509.MarshalPKCS8PrivateKey(f.key)
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string]string{
		"type": "service_account", "project_id": "newsroom-1", "private_key_id": "key-1", "client_email": "push@example.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": f.uri(),
	}
}

func (f *fixture) credential(s *providertest.Server) provider.Credential {
	file, _ := json.Marshal(f.account())
	return provider.Credential{Provider: tocsin.FCM, FCM: &provider.FCM{ServiceAccount: file},
		Endpoints: []provider.Endpoint{s.Endpoint, f.tokens.Endpoint}}
}

func (f *fixture) lane(s *providertest.Server) *lane {
	f.t.Helper()
	l, err := f.provider.Lane(provider.Route{Provider: tocsin.FCM}, f.credential(s))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { l.Close(context.Background()) })
	return l.(*lane)
}

func deliver(l provider.Lane, b *provider.Batch) *provider.Batch {
	done := make(chan *provider.Batch)
	b.Done = func(b *provider.Batch) { done <- b }
	l.Send(b)
	return <-done
}

func one() *provider.Batch {
	return &provider.Batch{Addresses: [][]byte{[]byte("abc:DEF_1-2")}, Payloads: [][]byte{[]byte(`"data":{"a":"b"}`)}}
}

func reply(status int, body string, headers ...string) func(http.ResponseWriter, providertest.Request) {
	return func(w http.ResponseWriter, _ providertest.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("content-type", "application/json; charset=UTF-8")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// problem is an error in Google's form.
func problem(status int, name, message string, details ...string) func(http.ResponseWriter, providertest.Request) {
	return reply(status, fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}`, status, message, name, strings.Join(details, ",")))
}

func code(c string) string {
	return `{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"` + c + `"}`
}

func field(name string) string {
	return `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"` + name + `","description":"no"}]}`
}

func TestContract(t *testing.T) {
	f := newFixture(t)
	providertest.Run(t, providertest.Subject{
		Provider:   f.provider,
		Route:      func(*providertest.Server) provider.Route { return provider.Route{Provider: tocsin.FCM} },
		Credential: f.credential,
		Address:    func(_ *providertest.Server, i int) []byte { return fmt.Appendf(nil, "token:%d", i) },
		Payload:    []byte(`"notification":{"title":"news"}`),
		Number: func(t testing.TB, r providertest.Request) int {
			var body struct{ Message struct{ Token string } }
			if err := json.Unmarshal(r.Body, &body); err != nil {
				t.Errorf("body %s: %v", r.Body, err)
			}
			n, err := strconv.Atoi(strings.TrimPrefix(body.Message.Token, "token:"))
			if err != nil {
				t.Error(err)
			}
			return n
		},
		Accept: reply(200, `{"name":"projects/newsroom-1/messages/0:1"}`),
		Gone:   problem(404, "NOT_FOUND", "Requested entity was not found.", code("UNREGISTERED")),
		Fault:  problem(403, "PERMISSION_DENIED", "no"),
	})
}

func TestRequest(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, `{"name":"projects/newsroom-1/messages/0:1"}`))
	l := f.lane(s)
	b := one()
	b.Addresses = append(b.Addresses, []byte(`quote"`), []byte("x"), nil)
	b.Payloads = append(b.Payloads, nil, nil, nil)
	deliver(l, b)
	if fmt.Sprint(b.Results) != fmt.Sprint([]provider.Result{provider.Accepted, provider.Refused, provider.Accepted, provider.Refused}) {
		t.Errorf("results %v", b.Results)
	}
	got := map[string]bool{}
	for _, r := range s.Requests() {
		got[string(r.Body)] = true
		if r.Path != "/v1/projects/newsroom-1/messages:send" || r.Header.Get("authorization") != "Bearer token-1" || r.Header.Get("content-type") != "application/json" {
			t.Errorf("request %s %v", r.Path, r.Header)
		}
	}
	if len(got) != 2 || !got[`{"message":{"token":"abc:DEF_1-2","data":{"a":"b"}}}`] || !got[`{"message":{"token":"x"}}`] {
		t.Errorf("bodies %v", got)
	}
}

// Every row of Google's table has one result, one reason and one wait.
func TestEveryError(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, "{}"))
	const refused, fault, later, gone = provider.Refused, provider.Fault, provider.Later, provider.Gone
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter, providertest.Request)
		result provider.Result
		detail provider.Detail
	}{
		{"unregistered", problem(404, "NOT_FOUND", "", code("UNREGISTERED")), gone, provider.Detail{Text: "UNREGISTERED"}},
		{"bad token", problem(400, "INVALID_ARGUMENT", "", code("INVALID_ARGUMENT")), refused, provider.Detail{Reason: tocsin.ReasonToken, Text: "INVALID_ARGUMENT"}},
		{"bad token by field", problem(400, "INVALID_ARGUMENT", "", code("INVALID_ARGUMENT"), field("message.token")), refused, provider.Detail{Reason: tocsin.ReasonToken, Text: "INVALID_ARGUMENT"}},
		{"bad payload", problem(400, "INVALID_ARGUMENT", "", field("message.android.ttl")), refused, provider.Detail{Reason: tocsin.ReasonPayload, Text: "INVALID_ARGUMENT"}},
		{"bad payload with both", problem(400, "INVALID_ARGUMENT", "", code("INVALID_ARGUMENT"), field("message.data[0].value")), refused, provider.Detail{Reason: tocsin.ReasonPayload, Text: "INVALID_ARGUMENT"}},
		{"token of another project", problem(403, "PERMISSION_DENIED", "", code("SENDER_ID_MISMATCH")), gone, provider.Detail{Reason: tocsin.ReasonTopic, Text: "SENDER_ID_MISMATCH"}},
		{"third party", problem(401, "UNAUTHENTICATED", "", code("THIRD_PARTY_AUTH_ERROR")), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "THIRD_PARTY_AUTH_ERROR"}},
		{"permission", problem(403, "PERMISSION_DENIED", ""), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "PERMISSION_DENIED"}},
		{"no such project", problem(404, "NOT_FOUND", ""), fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "NOT_FOUND"}},
		{"quota", problem(429, "RESOURCE_EXHAUSTED", "Quota exceeded", code("QUOTA_EXCEEDED")), later,
			provider.Detail{Reason: tocsin.ReasonThrottled, Scope: provider.WholeQuota, RetryAfter: time.Minute, Text: "QUOTA_EXCEEDED"}},
		{"device rate", problem(429, "RESOURCE_EXHAUSTED", "Device message rate exceeded", code("QUOTA_EXCEEDED")), later,
			provider.Detail{Reason: tocsin.ReasonThrottled, Scope: provider.OnePush, RetryAfter: time.Minute, Text: "QUOTA_EXCEEDED"}},
		{"quota with a wait", reply(429, `{"error":{"status":"RESOURCE_EXHAUSTED"}}`, "retry-after", "37"), later,
			provider.Detail{Reason: tocsin.ReasonThrottled, Scope: provider.WholeQuota, RetryAfter: 37 * time.Second, Text: "RESOURCE_EXHAUSTED"}},
		{"internal", problem(500, "INTERNAL", "", code("INTERNAL")), later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "INTERNAL"}},
		{"unavailable", problem(503, "UNAVAILABLE", "", code("UNAVAILABLE")), later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "UNAVAILABLE"}},
		{"unavailable with a wait", reply(503, `{"error":{"status":"UNAVAILABLE"}}`, "retry-after", "20"), later,
			provider.Detail{Reason: tocsin.ReasonUnavailable, RetryAfter: 20 * time.Second, Text: "UNAVAILABLE"}},
		{"unspecified", problem(500, "INTERNAL", "", code("UNSPECIFIED_ERROR")), later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "UNSPECIFIED_ERROR"}},
		{"a page of a proxy", reply(502, "<html>"), later, provider.Detail{Reason: tocsin.ReasonUnavailable}},
		{"too large", reply(413, ""), refused, provider.Detail{Reason: tocsin.ReasonSize}},
		{"unheard", problem(400, "FAILED_PRECONDITION", ""), refused, provider.Detail{Reason: tocsin.ReasonPayload, Text: "FAILED_PRECONDITION"}},
		{"redirect", reply(302, "", "location", "https://example.com/"), later, provider.Detail{Reason: tocsin.ReasonUnavailable}},
	} {
		l := f.lane(s)
		s.Answer(row.answer)
		b := deliver(l, one())
		if b.Results[0] != row.result || len(b.Details) != 1 || b.Details[0] != row.detail {
			t.Errorf("%s: result %d, details %+v; want %d, %+v", row.name, b.Results[0], b.Details, row.result, row.detail)
		}
	}
}

// A refused access token is replaced once; if the new one is refused too, the
// account is at fault.
func TestAccessTokenIsReplacedOnce(t *testing.T) {
	f := newFixture(t)
	unauthenticated := problem(401, "UNAUTHENTICATED", "")
	s := providertest.NewServer(t, func(w http.ResponseWriter, r providertest.Request) {
		if r.Header.Get("authorization") == "Bearer token-2" {
			reply(200, "{}")(w, r)
			return
		}
		unauthenticated(w, r)
	})
	l := f.lane(s)
	if b := deliver(l, one()); b.Results[0] != provider.Later || b.Details[0].RetryAfter != soon || b.Details[0].Reason != tocsin.ReasonCredential {
		t.Errorf("the first refusal: %v %+v", b.Results, b.Details)
	}
	if b := deliver(l, one()); b.Results[0] != provider.Accepted {
		t.Errorf("with the second token: %v %+v", b.Results, b.Details)
	}
	// What was accepted since speaks for the account, but not for long.
	s.Answer(unauthenticated)
	faults := 0
	for range 40 {
		if b := deliver(l, one()); b.Results[0] == provider.Fault {
			faults++
		} else if b.Results[0] != provider.Later || faults > 0 {
			t.Fatalf("refused again: %v %+v", b.Results, b.Details)
		}
	}
	if faults != 8 {
		t.Errorf("%d faults in 40 refusals, want them from the 33rd on", faults)
	}
	// Of an account that never had a push accepted, the second refusal decides.
	l = f.lane(s)
	if one, two := deliver(l, one()), deliver(l, one()); one.Results[0] != provider.Later || two.Results[0] != provider.Fault {
		t.Errorf("a new lane: %v, %v", one.Results, two.Results)
	}
}

func TestTokenEndpoint(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, "{}"))
	l := f.lane(s)
	f.answer(func(w http.ResponseWriter) { w.WriteHeader(503) })
	if b := deliver(l, one()); b.Results[0] != provider.Later || b.Details[0].Reason != tocsin.ReasonUnavailable {
		t.Errorf("away: %v %+v", b.Results, b.Details)
	}
	if err := l.Warm(context.Background()); err == nil {
		t.Error("away: Warm succeeds")
	}
	f.answer(func(w http.ResponseWriter) {
		w.WriteHeader(400)
		io.WriteString(w, `{"error":"invalid_grant"}`)
	})
	if b := deliver(l, one()); b.Results[0] != provider.Fault || b.Details[0].Reason != tocsin.ReasonCredential {
		t.Errorf("refused: %v %+v", b.Results, b.Details)
	}
	f.answer(func(w http.ResponseWriter) { http.Redirect(w, new(http.Request), "https://example.com/", 302) })
	if b := deliver(l, one()); b.Results[0] != provider.Later {
		t.Errorf("redirected: %v %+v", b.Results, b.Details)
	}
	f.answer(nil)
	f.tokens.Hold(true)
	var waits []chan *provider.Batch
	for range 5 {
		done := make(chan *provider.Batch, 1)
		b := one()
		b.Done = func(b *provider.Batch) { done <- b }
		l.Send(b)
		waits = append(waits, done)
	}
	before := f.count
	f.tokens.Hold(false)
	for _, done := range waits {
		if b := <-done; b.Results[0] != provider.Accepted {
			t.Errorf("waited for a token: %v %+v", b.Results, b.Details)
		}
	}
	if f.count != before+1 {
		t.Errorf("%d exchanges for five batches", f.count-before)
	}
	// Renewed early, with the old one in use meanwhile.
	l.mu.Lock()
	l.access.obtained, l.access.expires = time.Now().Add(-time.Hour), time.Now().Add(time.Minute)
	l.mu.Unlock()
	f.tokens.Hold(true)
	if b := deliver(l, one()); b.Results[0] != provider.Accepted {
		t.Errorf("while the token is renewed: %v", b.Results)
	}
	f.tokens.Hold(false)
	l.mu.Lock()
	for l.fetching {
		changed := l.changed
		l.mu.Unlock()
		<-changed
		l.mu.Lock()
	}
	l.mu.Unlock()
	s.Forget()
	deliver(l, one())
	if got, want := s.Requests()[0].Header.Get("authorization"), fmt.Sprintf("Bearer token-%d", before+2); got != want {
		t.Errorf("authorization %q, want %q", got, want)
	}
	// A lane that closes does not wait for a token.
	l.mu.Lock()
	l.access = nil
	l.mu.Unlock()
	f.tokens.Hold(true)
	done := make(chan *provider.Batch, 1)
	b := one()
	b.Done = func(b *provider.Batch) { done <- b }
	l.Send(b)
	l.Close(context.Background())
	if b := <-done; b.Results[0] != provider.Unsent {
		t.Errorf("closed: %v", b.Results)
	}
}

func TestCheck(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, "{}"))
	for name, spoil := range map[string]func(a map[string]string, c *provider.Credential){
		"another provider":    func(_ map[string]string, c *provider.Credential) { c.Provider = tocsin.APNs },
		"no project":          func(a map[string]string, _ *provider.Credential) { delete(a, "project_id") },
		"path in the project": func(a map[string]string, _ *provider.Credential) { a["project_id"] = "a/b" },
		"no key":              func(a map[string]string, _ *provider.Credential) { a["private_key"] = "" },
		"plain token_uri": func(a map[string]string, _ *provider.Credential) {
			a["token_uri"] = "http://oauth2.googleapis.com/token"
		},
		"private token_uri": func(a map[string]string, _ *provider.Credential) { a["token_uri"] = "https://169.254.169.254/token" },
		"alike token_uri":   func(a map[string]string, _ *provider.Credential) { a["token_uri"] = "https://evilgoogleapis.com/token" },
		"bad root":          func(_ map[string]string, c *provider.Credential) { c.Endpoints[0].Root = []byte("x") },
		"bad origin":        func(_ map[string]string, c *provider.Credential) { c.Endpoints[0].Origin = "https://x/y" },
	} {
		a, c := f.account(), f.credential(s)
		if err := f.provider.Check(c); err != nil {
			t.Fatal(err)
		}
		spoil(a, &c)
		c.FCM = &provider.FCM{}
		c.FCM.ServiceAccount, _ = json.Marshal(a)
		if f.provider.Check(c) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c := f.credential(s)
	if got := f.provider.Subject(provider.Route{}, c); got != "fcm/newsroom-1" {
		t.Errorf("subject %q", got)
	}
	a := f.account()
	a["token_uri"] = "https://oauth2.googleapis.com/token"
	c.FCM.ServiceAccount, _ = json.Marshal(a)
	if err := f.provider.Check(c); err != nil {
		t.Error(err)
	}
}
