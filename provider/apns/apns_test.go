package apns

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
)

const topic = "com.example.news"

type fixture struct {
	key      *ecdsa.PrivateKey
	provider *Provider
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Default()
	cfg.ServerError = 7 * time.Minute
	cfg.Bulk.BackoffMin = time.Millisecond
	p, err := New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return fixture{key, p}
}

func (f fixture) credential(s *providertest.Server) provider.Credential {
	der, err := x509.MarshalPKCS8PrivateKey(f.key)
	if err != nil {
		panic(err)
	}
	return provider.Credential{
		Provider: tocsin.APNs,
		APNs: &provider.APNs{
			Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			KeyID: "ABCDE12345", TeamID: "TEAM567890", Topics: []string{topic},
		},
		Endpoints: []provider.Endpoint{s.Endpoint},
	}
}

func address(i int) []byte {
	b := make([]byte, 32)
	binary.BigEndian.PutUint32(b[28:], uint32(i))
	return b
}

func number(t testing.TB, r providertest.Request) int {
	b, err := hex.DecodeString(strings.TrimPrefix(r.Path, "/3/device/"))
	if err != nil || len(b) != 32 {
		t.Errorf("path %s", r.Path)
		return -1
	}
	return int(binary.BigEndian.Uint32(b[28:]))
}

func reply(status int, body string) func(http.ResponseWriter, providertest.Request) {
	return func(w http.ResponseWriter, r providertest.Request) {
		w.Header().Set("apns-id", r.Header.Get("apns-id"))
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func (f fixture) lane(t testing.TB, s *providertest.Server) provider.Lane {
	t.Helper()
	l, err := f.provider.Lane(provider.Route{Provider: tocsin.APNs, Topic: topic}, f.credential(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

func deliver(l provider.Lane, b *provider.Batch) *provider.Batch {
	done := make(chan *provider.Batch)
	b.Done = func(b *provider.Batch) { done <- b }
	l.Send(b)
	return <-done
}

func TestContract(t *testing.T) {
	f := newFixture(t)
	providertest.Run(t, providertest.Subject{
		Provider:   f.provider,
		Route:      func(*providertest.Server) provider.Route { return provider.Route{Provider: tocsin.APNs, Topic: topic} },
		Credential: f.credential,
		Address:    func(_ *providertest.Server, i int) []byte { return address(i) },
		Payload:    []byte(`{"aps":{"alert":"news"}}`),
		Number:     number,
		Accept:     reply(200, ""),
		Gone:       reply(410, `{"reason":"Unregistered","timestamp":1700000000123}`),
		Fault:      reply(403, `{"reason":"InvalidProviderToken"}`),
	})
}

func TestRequestIsWhatAppleAsksFor(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, ""))
	l := f.lane(t, s)
	expiry := time.Unix(1800000000, 0)
	for _, h := range []provider.Headers{
		{Urgent: true, Expiry: expiry, Collapse: "send-1"},
		{Expiry: expiry.Add(time.Second), Collapse: "send-2"},
		{Urgent: true, Background: true},
	} {
		s.Forget()
		b := deliver(l, &provider.Batch{
			Headers: h, ID: [12]byte{0: 0x01, 11: 0xab},
			Addresses: [][]byte{address(7), address(8)}, Payloads: [][]byte{[]byte(`{"aps":1}`), []byte(`{"aps":2}`)},
		})
		if b.Results[0] != provider.Accepted || b.Results[1] != provider.Accepted {
			t.Fatalf("results %v", b.Results)
		}
		for _, r := range s.Requests() {
			i := number(t, r) - 7
			want := map[string]string{
				"apns-topic": topic, "apns-id": fmt.Sprintf("01000000-0000-0000-0000-00ab%08x", i),
				"apns-push-type": "alert", "apns-priority": "5", "apns-collapse-id": h.Collapse,
			}
			if h.Urgent {
				want["apns-priority"] = "10"
			}
			if h.Background {
				want["apns-push-type"], want["apns-priority"] = "background", "5"
			}
			if !h.Expiry.IsZero() {
				want["apns-expiration"] = fmt.Sprint(h.Expiry.Unix())
			}
			for name, value := range want {
				if got := r.Header.Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if h.Expiry.IsZero() && r.Header["Apns-Expiration"] != nil {
				t.Error("apns-expiration without an expiry")
			}
			if want := fmt.Sprintf(`{"aps":%d}`, i+1); string(r.Body) != want {
				t.Errorf("body %s, want %s", r.Body, want)
			}
			f.verify(t, r.Header.Get("authorization"))
		}
	}
}

func (f fixture) verify(t *testing.T, authorization string) {
	t.Helper()
	text, ok := strings.CutPrefix(authorization, "bearer ")
	if !ok {
		t.Fatalf("authorization %q", authorization)
	}
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return &f.key.PublicKey, nil }, jwt.WithValidMethods([]string{"ES256"}))
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	if len(token.Header) != 2 || token.Header["kid"] != "ABCDE12345" || len(claims) != 2 || claims["iss"] != "TEAM567890" {
		t.Errorf("header %v, claims %v", token.Header, claims)
	}
	if iat, err := claims.GetIssuedAt(); err != nil || time.Since(iat.Time) > time.Hour {
		t.Errorf("issued at %v", iat)
	}
}

// Every row of Apple's table has one result, one reason and one wait.
func TestEveryReason(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, ""))
	const refused, fault, later, gone = provider.Refused, provider.Fault, provider.Later, provider.Gone
	for _, row := range []struct {
		status  int
		reasons string
		result  provider.Result
		reason  tocsin.Reason
		scope   provider.Scope
		wait    time.Duration
	}{
		{400, "BadCollapseId BadExpirationDate BadMessageId BadPriority DuplicateHeaders InvalidPushType MissingDeviceToken PayloadEmpty Unheard",
			refused, tocsin.ReasonPayload, 0, 0},
		{400, "BadTopic MissingTopic TopicDisallowed", fault, tocsin.ReasonCredential, 0, 0},
		{400, "BadDeviceToken", refused, tocsin.ReasonToken, 0, 0},
		{400, "DeviceTokenNotForTopic", refused, tocsin.ReasonTopic, 0, 0},
		{400, "IdleTimeout", later, tocsin.ReasonUnavailable, 0, time.Second},
		{403, "BadCertificate BadCertificateEnvironment InvalidProviderToken MissingProviderToken Forbidden BadEnvironmentKeyIdInToken BadEnvironmentKeyInToken Unheard",
			fault, tocsin.ReasonCredential, 0, 0},
		{403, "ExpiredProviderToken", later, tocsin.ReasonCredential, 0, time.Second},
		{403, "UnrelatedKeyIdInToken", later, tocsin.ReasonCredential, 0, time.Second},
		{404, "BadPath Unheard", refused, tocsin.ReasonPayload, 0, 0},
		{405, "MethodNotAllowed", refused, tocsin.ReasonPayload, 0, 0},
		{410, "Unregistered ExpiredToken Unheard", gone, 0, 0, 0},
		{413, "PayloadTooLarge Unheard", refused, tocsin.ReasonSize, 0, 0},
		{429, "TooManyRequests Unheard", later, tocsin.ReasonThrottled, provider.OnePush, 0},
		{429, "TooManyProviderTokenUpdates", later, tocsin.ReasonThrottled, provider.WholeQuota, 0},
		{500, "InternalServerError Unheard", later, tocsin.ReasonUnavailable, 0, 7 * time.Minute},
		{503, "ServiceUnavailable Unheard", later, tocsin.ReasonUnavailable, 0, 7 * time.Minute},
		{503, "Shutdown", later, tocsin.ReasonUnavailable, 0, time.Second},
		{302, "Moved", later, tocsin.ReasonUnavailable, 0, 0},
	} {
		l := f.lane(t, s)
		for reason := range strings.FieldsSeq(row.reasons) {
			s.Answer(reply(row.status, `{"reason":"`+reason+`","timestamp":1700000000123}`))
			b := deliver(l, &provider.Batch{Addresses: [][]byte{address(1)}, Payloads: [][]byte{[]byte("{}")}})
			want := provider.Detail{Reason: row.reason, Scope: row.scope, RetryAfter: row.wait, Text: reason}
			if row.result == gone {
				want.GoneAt = time.UnixMilli(1700000000123)
			}
			if b.Results[0] != row.result || len(b.Details) != 1 || b.Details[0] != want {
				t.Errorf("%d %s: result %d, details %+v; want %d, %+v", row.status, reason, b.Results[0], b.Details, row.result, want)
			}
		}
	}
}

// A token that Apple calls expired is replaced once; what was queued with the
// old one is not written.
func TestExpiredTokenIsReplaced(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, nil)
	l := f.lane(t, s)
	signer := l.(*lane).signer
	old, err := signer.token(time.Now().Add(-30*time.Minute), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.Answer(func(w http.ResponseWriter, r providertest.Request) {
		if r.Header.Get("authorization") == old.header {
			reply(403, `{"reason":"ExpiredProviderToken"}`)(w, r)
		}
	})
	b := &provider.Batch{}
	for i := range 50 {
		b.Addresses, b.Payloads = append(b.Addresses, address(i)), append(b.Payloads, []byte("{}"))
	}
	deliver(l, b)
	if b.Results[0] != provider.Later || b.Details[0].RetryAfter != soon || b.Results[49] != provider.Unsent {
		t.Fatalf("results %v, details %v", b.Results, b.Details)
	}
	if deliver(l, b); b.Results[0] != provider.Accepted || b.Results[49] != provider.Accepted {
		t.Fatalf("results %v with the new token", b.Results)
	}
}

// A young token that Apple calls expired again and again means a wrong clock;
// called so between others that are accepted, it means nothing.
func TestYoungTokenCalledExpired(t *testing.T) {
	f := newFixture(t)
	expired := reply(403, `{"reason":"ExpiredProviderToken"}`)
	s := providertest.NewServer(t, expired)
	l := f.lane(t, s)
	push := func() provider.Result {
		return deliver(l, &provider.Batch{Addresses: [][]byte{address(1)}, Payloads: [][]byte{[]byte("{}")}}).Results[0]
	}
	if one, two := push(), push(); one != provider.Later || two != provider.Fault {
		t.Errorf("results %v, %v", one, two)
	}
	for range 40 {
		s.Answer(reply(200, ""))
		if got := push(); got != provider.Accepted {
			t.Fatalf("result %v", got)
		}
		s.Answer(expired)
		if got := push(); got != provider.Later {
			t.Fatalf("result %v between accepted ones", got)
		}
	}
}

func TestOneTokenIsSharedAndResigned(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, ""))
	one, two := f.lane(t, s).(*lane), f.lane(t, s).(*lane)
	if one.signer != two.signer {
		t.Error("two lanes of a key sign for themselves")
	}
	start := time.Now()
	first, _ := one.signer.token(start, 45*time.Minute)
	for after, same := range map[time.Duration]bool{0: true, 44 * time.Minute: true} {
		if got, _ := two.signer.token(start.Add(after), 45*time.Minute); (got == first) != same {
			t.Errorf("after %v the token is the same: %v", after, got == first)
		}
	}
	if got, _ := two.signer.token(start.Add(46*time.Minute), 45*time.Minute); got == first {
		t.Error("the token is not signed anew after 46 minutes")
	}
}

func TestCheck(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(200, ""))
	for name, spoil := range map[string]func(*provider.Credential){
		"another provider": func(c *provider.Credential) { c.Provider = tocsin.FCM },
		"no key":           func(c *provider.Credential) { c.APNs.Key = nil },
		"not a key": func(c *provider.Credential) {
			c.APNs.Key = []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		},
		"short key id":    func(c *provider.Credential) { c.APNs.KeyID = "ABC" },
		"lower team id":   func(c *provider.Credential) { c.APNs.TeamID = "team567890" },
		"no topic":        func(c *provider.Credential) { c.APNs.Topics = nil },
		"line in a topic": func(c *provider.Credential) { c.APNs.Topics = []string{"a\r\nb"} },
		"plain endpoint":  func(c *provider.Credential) { c.Endpoints[0].Origin = "http://localhost" },
		"bad root":        func(c *provider.Credential) { c.Endpoints[0].Root = []byte("x") },
	} {
		c := f.credential(s)
		if err := f.provider.Check(c); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if f.provider.Check(c) == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := f.provider.Lane(provider.Route{Topic: topic}, c); err == nil {
			t.Errorf("%s: a lane opens", name)
		}
	}
}
