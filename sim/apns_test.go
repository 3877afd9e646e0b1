package sim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	apnstoken "github.com/sideshow/apns2/token"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

func start(t testing.TB, change func(*Config)) *Sim {
	t.Helper()
	cfg := Default()
	cfg.DecryptEvery = 1
	if change != nil {
		change(&cfg)
	}
	s, err := Start(cfg, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (s *Sim) account(p tocsin.Provider) client.CredentialRequest {
	for _, c := range s.setup.Projects[0].Credentials {
		if c.Provider == p {
			return c
		}
	}
	panic("no such credential")
}

func (s *Sim) httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: s.Roots()}}}
}

// signES256 makes a compact JWT.
func signES256(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(raw)
}

// apnsToken is a provider token of the first project, issued at a time.
func (s *Sim) apnsToken(t testing.TB, issued time.Time) string { return s.projectToken(t, 0, issued) }

func (s *Sim) projectToken(t testing.TB, project int, issued time.Time) string {
	account := s.setup.Projects[project].Credentials[0].APNs
	key, err := apnstoken.AuthKeyFromBytes([]byte(account.Key))
	if err != nil {
		t.Fatal(err)
	}
	return signES256(t, key, map[string]any{"alg": "ES256", "kid": account.KeyID},
		map[string]any{"iss": account.TeamID, "iat": issued.Unix()})
}

type apnsAnswer struct {
	Status     int
	Reason     string
	Timestamp  int64
	ID         string
	RetryAfter string
}

func (s *Sim) push(t testing.TB, c *http.Client, token string, headers map[string]string, body string) (apnsAnswer, error) {
	t.Helper()
	r, err := http.NewRequest("POST", s.account(tocsin.APNs).Endpoints[0].Origin+"/3/device/"+token, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("authorization", "bearer "+s.apnsToken(t, time.Now()))
	r.Header.Set("apns-topic", Topic(0))
	r.Header.Set("apns-push-type", "alert")
	for name, value := range headers {
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
	answer, err := c.Do(r)
	if err != nil {
		return apnsAnswer{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return apnsAnswer{}, err
	}
	got := apnsAnswer{Status: answer.StatusCode, ID: answer.Header.Get("apns-id"), RetryAfter: answer.Header.Get("retry-after")}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("body %q: %v", text, err)
		}
	}
	return got, nil
}

const aToken = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"

// Every header is checked, and each mistake has the provider's own reason.
func TestAPNsRefusals(t *testing.T) {
	s := start(t, nil)
	for _, row := range []struct {
		name, token, body string
		headers           map[string]string
		status            int
		reason            string
	}{
		{name: "good", status: 200},
		{name: "odd token", token: "abc", status: 400, reason: "BadDeviceToken"},
		{name: "token no hex", token: "zz", status: 400, reason: "BadDeviceToken"},
		{name: "long token", token: aToken + aToken, status: 200},
		{name: "no token", token: "-", status: 400, reason: "MissingDeviceToken"},
		{name: "path", token: "a/b", status: 404, reason: "BadPath"},
		{name: "no topic", headers: map[string]string{"apns-topic": ""}, status: 400, reason: "MissingTopic"},
		{name: "other topic", headers: map[string]string{"apns-topic": "com.example"}, status: 400, reason: "TopicDisallowed"},
		{name: "suffix", headers: map[string]string{"apns-push-type": "voip"}, status: 400, reason: "BadTopic"},
		{name: "voip", headers: map[string]string{"apns-push-type": "voip", "apns-topic": Topic(0) + ".voip"}, status: 200},
		{name: "push type", headers: map[string]string{"apns-push-type": "loud"}, status: 400, reason: "InvalidPushType"},
		{name: "priority", headers: map[string]string{"apns-priority": "7"}, status: 400, reason: "BadPriority"},
		{name: "loud background", headers: map[string]string{"apns-push-type": "background", "apns-priority": "10"}, status: 400, reason: "BadPriority"},
		{name: "quiet background", headers: map[string]string{"apns-push-type": "background", "apns-priority": "5"}, status: 200},
		{name: "expiration", headers: map[string]string{"apns-expiration": "soon"}, status: 400, reason: "BadExpirationDate"},
		{name: "id", headers: map[string]string{"apns-id": "1"}, status: 400, reason: "BadMessageId"},
		{name: "collapse id", headers: map[string]string{"apns-collapse-id": strings.Repeat("c", 65)}, status: 400, reason: "BadCollapseId"},
		{name: "empty", body: "-", status: 400, reason: "PayloadEmpty"},
		{name: "4096", body: strings.Repeat(" ", 4094) + "{}", status: 200},
		{name: "4097", body: strings.Repeat(" ", 4095) + "{}", status: 413, reason: "PayloadTooLarge"},
		{name: "far too long", body: strings.Repeat(" ", 60000) + "{}", status: 413, reason: "PayloadTooLarge"},
		{name: "no bearer", headers: map[string]string{"authorization": "basic x"}, status: 403, reason: "MissingProviderToken"},
		{name: "bad bearer", headers: map[string]string{"authorization": "bearer x"}, status: 403, reason: "InvalidProviderToken"},
		{name: "old bearer", headers: map[string]string{"authorization": "bearer " + s.apnsToken(t, time.Now().Add(-61*time.Minute))},
			status: 403, reason: "ExpiredProviderToken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.httpClient() // a connection each: one shows one provider token
			defer c.CloseIdleConnections()
			token, body := aToken, `{"aps":{"alert":"x"}}`
			if row.token != "" {
				token = strings.TrimPrefix(row.token, "-")
			}
			if row.body != "" {
				body = strings.TrimPrefix(row.body, "-")
			}
			got, err := s.push(t, c, token, row.headers, body)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != row.status || got.Reason != row.reason || len(got.ID) != 36 {
				t.Fatalf("got %+v, want %d %s", got, row.status, row.reason)
			}
		})
	}
	method, err := s.httpClient().Get(s.account(tocsin.APNs).Endpoints[0].Origin + "/3/device/" + aToken)
	if err != nil || method.StatusCode != 405 {
		t.Fatalf("GET: %v %v, want 405", method, err)
	}
}

// A connection shows one provider token for 20 minutes, and one key for ever.
func TestAPNsTokenUpdates(t *testing.T) {
	s := start(t, func(c *Config) { c.Projects = 2 })
	c := s.httpClient()
	now := time.Now()
	want := func(bearer, reason string) {
		t.Helper()
		got, err := s.push(t, c, aToken, map[string]string{"authorization": "bearer " + bearer}, "{}")
		if err != nil || got.Reason != reason {
			t.Fatalf("got %+v %v, want %q", got, err, reason)
		}
	}
	first := s.apnsToken(t, now)
	want(first, "")
	want(s.apnsToken(t, now.Add(-time.Minute)), "TooManyProviderTokenUpdates")
	want(first, "")
	want(s.projectToken(t, 1, now), "UnrelatedKeyIdInToken")
	o := s.Options(tocsin.APNs)
	o.Revoked = true
	if err := s.SetOptions(tocsin.APNs, o); err != nil {
		t.Fatal(err)
	}
	want(first, "InvalidProviderToken")
}

// sideshow/apns2, an independent client, pushes through many streams.
func TestAPNs2(t *testing.T) {
	s := start(t, func(c *Config) { c.APNs.Shares.Gone = 0.1 })
	account := s.account(tocsin.APNs)
	key, err := apnstoken.AuthKeyFromBytes([]byte(account.APNs.Key))
	if err != nil {
		t.Fatal(err)
	}
	c := apns2.NewTokenClient(&apnstoken.Token{AuthKey: key, KeyID: account.APNs.KeyID, TeamID: account.APNs.TeamID})
	c.Host = account.Endpoints[0].Origin
	c.HTTPClient = s.httpClient()
	const n = 2000
	var wg sync.WaitGroup
	gone := make([]bool, n)
	for worker := range 20 {
		wg.Go(func() {
			for i := worker; i < n; i += 20 {
				token := fmt.Sprintf("%064x", i)
				r, err := c.Push(&apns2.Notification{DeviceToken: token, Topic: Topic(0), CollapseID: "one",
					Payload: []byte(`{"aps":{"alert":"x"}}`), ApnsID: "6c0dd2ca-5a03-4f3a-9dd4-c3a4a2b6f001"})
				if err != nil {
					t.Error(err)
					return
				}
				gone[i] = r.StatusCode == 410
				if gone[i] != (r.Reason == "Unregistered" && !r.Timestamp.IsZero()) {
					t.Errorf("answer %+v", r)
				}
				if gone[i] != (s.config.APNs.Shares.Draw(1, Hash(token)) == Gone) {
					t.Errorf("token %d: gone is %v, the draw says otherwise", i, gone[i])
				}
			}
		})
	}
	wg.Wait()
	dead := 0
	for _, g := range gone {
		if g {
			dead++
		}
	}
	a := s.ledger.Accounts("one")[tocsin.APNs]
	if a == nil || a.Received != n || a.Accepted != n-dead || a.Distinct != n-dead || a.Repeated != 0 ||
		a.Answers["410"] != dead || dead < n/20 || dead > n/5 {
		t.Fatalf("%d dead, account %+v", dead, a)
	}
	if total := s.Totals()[tocsin.APNs]; total.Violations != 0 || total.Malformed != 0 {
		t.Fatalf("totals %+v", total)
	}
}

// The control endpoint tells the same as the ledger, and changes options.
func TestControl(t *testing.T) {
	s := start(t, nil)
	post := func(path, body string) *http.Response {
		t.Helper()
		r, err := http.Post(s.setup.Control+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r
	}
	get := func(path string) []byte {
		t.Helper()
		r, err := http.Get(s.setup.Control + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %d %v", path, r.StatusCode, err)
		}
		return body
	}
	c, bearer := s.httpClient(), "bearer "+s.apnsToken(t, time.Now())
	for range 2 {
		if got, err := s.push(t, c, aToken, map[string]string{"authorization": bearer, "apns-collapse-id": "send-1"}, "{}"); err != nil || got.Status != 200 {
			t.Fatal(got, err)
		}
	}
	if r := post("/faults", `{"apns":{"shares":{"throttled":1},"retry_after":7}}`); r.StatusCode != 200 {
		t.Fatal(r.Status)
	}
	for attempt, status := range []int{429, 200} {
		got, err := s.push(t, c, aToken, map[string]string{"authorization": bearer, "apns-collapse-id": "send-2"}, "{}")
		if err != nil || got.Status != status || status == 429 && got.RetryAfter != "7" {
			t.Fatalf("attempt %d: %+v %v", attempt+1, got, err)
		}
	}
	var accounts map[string]Account
	if err := json.Unmarshal(get("/ledger?send=send-1"), &accounts); err != nil {
		t.Fatal(err)
	}
	if a := accounts["apns"]; a.Accepted != 2 || a.Distinct != 1 || a.Repeated != 1 || a.Answers["200"] != 2 {
		t.Fatalf("%+v", a)
	}
	var records []Record
	if err := ReadRecords(bytes.NewReader(get("/ledger/records?send=send-2")), func(r *Record) { records = append(records, *r) }); err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 || records[0].Status != 429 || records[0].Attempt != 1 || records[1].Status != 200 ||
		records[1].Attempt != 2 || records[0].Token != Hash(aToken) {
		t.Fatalf("%+v", records)
	}
	if lines := bytes.Count(get("/ledger/records?format=ndjson"), []byte("\n")); lines != 4 {
		t.Fatalf("%d lines", lines)
	}
	if tags := string(get("/sends")); tags != "[\"send-1\",\"send-2\"]\n" {
		t.Fatal(tags)
	}
	if r := post("/faults", `{"apns":{"shares":{"gone":2}}}`); r.StatusCode != 400 {
		t.Fatal(r.Status)
	}
	post("/reset", "")
	if text := string(get("/ledger")); text != "{}\n" {
		t.Fatal(text)
	}
	get("/health")
	get("/totals")
	get("/setup")
}
