package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"golang.org/x/oauth2"
	oauthjwt "golang.org/x/oauth2/jwt"

	"github.com/tocsin-push/tocsin"
)

// serviceAccount reads the key file of the first project.
func (s *Sim) serviceAccount(t testing.TB) *oauthjwt.Config {
	t.Helper()
	var file struct {
		Email string `json:"client_email"`
		Key   string `json:"private_key"`
		KeyID string `json:"private_key_id"`
		URI   string `json:"token_uri"`
	}
	if err := json.Unmarshal(s.account(tocsin.FCM).FCM.ServiceAccount, &file); err != nil {
		t.Fatal(err)
	}
	return &oauthjwt.Config{Email: file.Email, PrivateKey: []byte(file.Key), PrivateKeyID: file.KeyID, TokenURL: file.URI,
		Scopes: []string{messagingScope}}
}

// firebase is a client that gets its access tokens as Google's own libraries do.
func (s *Sim) firebase(t *testing.T) *http.Client {
	t.Helper()
	config := s.serviceAccount(t)
	return config.Client(context.WithValue(t.Context(), oauth2.HTTPClient, s.httpClient()))
}

func (s *Sim) message(t *testing.T, c *http.Client, project int, body string) (status int, text, retryAfter string) {
	t.Helper()
	url := fmt.Sprintf("%s/v1/projects/sim-newsroom-%d/messages:send", s.account(tocsin.FCM).Endpoints[0].Origin, project)
	r, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(all), r.Header.Get("retry-after")
}

// errorCode digs the two codes out of Google's error JSON.
func errorCode(t *testing.T, text string) (status, code, field string) {
	t.Helper()
	var body struct {
		Error struct {
			Code    int
			Status  string
			Details []struct {
				Type            string `json:"@type"`
				ErrorCode       string
				FieldViolations []struct{ Field string }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, d := range body.Error.Details {
		switch d.Type {
		case "type.googleapis.com/google.firebase.fcm.v1.FcmError":
			code = d.ErrorCode
		case "type.googleapis.com/google.rpc.BadRequest":
			field = d.FieldViolations[0].Field
		}
	}
	return body.Error.Status, code, field
}

func TestFCM(t *testing.T) {
	s := start(t, nil)
	c := s.firebase(t)
	for _, row := range []struct {
		name, body          string
		http                int
		status, code, field string
	}{
		{name: "good", body: `{"message":{"token":"abc:DEF-_1","android":{"ttl":"5s","notification":{"tag":"send-1"}},"data":{"a":"b"}}}`, http: 200},
		{name: "same but for the token", body: `{"message":{"token":"abc:DEF-_2","android":{"ttl":"5s","notification":{"tag":"send-1"}},"data":{"a":"b"}}}`, http: 200},
		{name: "other spelling", body: `{"validateOnly":false,"message":{"android":{"collapseKey":"k","notification":{"clickAction":"x","tag":"se\u006ed-2"}},"token":"x"}}`, http: 200},
		{name: "snake", body: `{"message":{"android":{"collapse_key":"k","direct_boot_ok":true,"notification":{"click_action":"é","tag":"send-2"}},"token":"y"}}`, http: 200},
		{name: "bad token", body: `{"message":{"token":"a b"}}`, http: 400, status: "INVALID_ARGUMENT", code: "INVALID_ARGUMENT"},
		{name: "no token", body: `{"message":{"data":{}}}`, http: 400, status: "INVALID_ARGUMENT", code: "INVALID_ARGUMENT"},
		{name: "two targets", body: `{"message":{"token":"a","topic":"b"}}`, http: 400, status: "INVALID_ARGUMENT", code: "INVALID_ARGUMENT"},
		{name: "unknown name", body: `{"message":{"token":"a","android":{"notfication":{}}}}`, http: 400, status: "INVALID_ARGUMENT", field: "message.android"},
		{name: "number in data", body: `{"message":{"token":"a","data":{"n":1}}}`, http: 400, status: "INVALID_ARGUMENT", field: "message.data.n"},
		{name: "too big", body: `{"message":{"token":"a","data":{"n":"` + strings.Repeat("x", 4096) + `"}}}`, http: 400, status: "INVALID_ARGUMENT", field: "message"},
		{name: "no JSON", body: `{"message":{"token":"a"}`, http: 400, status: "INVALID_ARGUMENT", field: "body"},
		{name: "something after", body: `{"message":{"token":"a"}}}`, http: 400, status: "INVALID_ARGUMENT", field: "body"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, text, _ := s.message(t, c, 0, row.body)
			if got != row.http {
				t.Fatalf("%d %s, want %d", got, text, row.http)
			}
			if got == 200 {
				var name struct{ Name string }
				if err := json.Unmarshal([]byte(text), &name); err != nil || !strings.HasPrefix(name.Name, "projects/sim-newsroom-0/messages/0:") {
					t.Fatalf("%s: %v", text, err)
				}
				return
			}
			if status, code, field := errorCode(t, text); status != row.status || code != row.code || field != row.field {
				t.Fatalf("%s: want %+v", text, row)
			}
		})
	}
	for send, want := range map[string]int{"send-1": 2, "send-2": 2} {
		if a := s.ledger.Accounts(send)[tocsin.FCM]; a == nil || a.Distinct != want {
			t.Errorf("%s: %+v, want %d", send, a, want)
		}
	}
	if got, text, _ := s.message(t, c, 1, `{"message":{"token":"a"}}`); got != 403 {
		t.Errorf("another's project: %d %s", got, text)
	}
	if got, text, _ := s.message(t, s.httpClient(), 0, `{"message":{"token":"a"}}`); got != 401 {
		t.Errorf("no access token: %d %s", got, text)
	}
}

// Each fault has Google's code, and each is over when its attempts are.
func TestFCMFaults(t *testing.T) {
	s := start(t, nil)
	c := s.firebase(t)
	for _, row := range []struct {
		shares      Shares
		http        int
		code, after string
		then        int
	}{
		{Shares{Gone: 1}, 404, "UNREGISTERED", "", 404},
		{Shares{BadToken: 1}, 400, "INVALID_ARGUMENT", "", 400},
		{Shares{Throttled: 1}, 429, "QUOTA_EXCEEDED", "9", 200},
		{Shares{Unavailable: 1}, 503, "UNAVAILABLE", "9", 200},
		{Shares{Expired: 1}, 401, "", "", 200},
	} {
		o := Default().FCM
		o.Shares, o.RetryAfter = row.shares, 9
		if err := s.SetOptions(tocsin.FCM, o); err != nil {
			t.Fatal(err)
		}
		s.Reset()
		got, text, after := s.message(t, c, 0, `{"message":{"token":"a"}}`)
		if _, code, _ := errorCode(t, text); got != row.http || code != row.code || after != row.after {
			t.Errorf("%+v: %d %s, retry after %q", row, got, text, after)
		}
		if got, text, _ := s.message(t, c, 0, `{"message":{"token":"a"}}`); got != row.then {
			t.Errorf("%+v: then %d %s", row, got, text)
		}
	}
	o := Default().FCM
	o.Script = map[string][]Answer{"a": {{Status: 403, Reason: "SENDER_ID_MISMATCH"}, {Status: 400, Reason: "BadRequest"}}}
	if err := s.SetOptions(tocsin.FCM, o); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	if got, text, _ := s.message(t, c, 0, `{"message":{"token":"a"}}`); got != 403 || !strings.Contains(text, `"errorCode":"SENDER_ID_MISMATCH"`) {
		t.Errorf("%d %s", got, text)
	}
	if got, text, _ := s.message(t, c, 0, `{"message":{"token":"a"}}`); got != 400 || !strings.Contains(text, "google.rpc.BadRequest") {
		t.Errorf("%d %s", got, text)
	}
}

// The bucket of a project empties, says how long to wait, and is its own.
func TestFCMQuota(t *testing.T) {
	s := start(t, func(c *Config) { c.FCM.Quota, c.FCM.QuotaWindow = 600, Duration(time.Second) })
	c := s.firebase(t) // 10 a second, 10 at once
	counts := make(map[int]int)
	before := time.Now()
	for i := range 40 {
		got, text, after := s.message(t, c, 0, fmt.Sprintf(`{"message":{"token":"t%d"}}`, i))
		counts[got]++
		if got == 429 && (after != "1" || !strings.Contains(text, "QUOTA_EXCEEDED")) {
			t.Fatalf("%s, retry after %q", text, after)
		}
	}
	refilled := int(time.Since(before)/(100*time.Millisecond)) + 1
	if counts[200] < 10 || counts[200] > 10+refilled || counts[200]+counts[429] != 40 {
		t.Fatalf("answers %v in %v", counts, time.Since(before))
	}
}

// A token endpoint that refuses tells why, as Google does.
func TestTokenEndpoint(t *testing.T) {
	s := start(t, nil)
	o := s.Options(tocsin.FCM)
	o.Revoked = true
	if err := s.SetOptions(tocsin.FCM, o); err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, s.httpClient())
	refused := func(name string, config *oauthjwt.Config) {
		t.Helper()
		if _, err := config.TokenSource(ctx).Token(); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
			t.Errorf("%s: %v, want invalid_grant", name, err)
		}
	}
	refused("revoked", s.serviceAccount(t))
	o.Revoked = false
	if err := s.SetOptions(tocsin.FCM, o); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*oauthjwt.Config){
		"scope":     func(c *oauthjwt.Config) { c.Scopes = []string{"https://www.googleapis.com/auth/drive"} },
		"audience":  func(c *oauthjwt.Config) { c.Audience = "https://example.com" },
		"unknown":   func(c *oauthjwt.Config) { c.Email = "nobody@example.com" },
		"key":       func(c *oauthjwt.Config) { c.PrivateKeyID = "another" },
		"long life": func(c *oauthjwt.Config) { c.Expires = 2 * time.Hour },
	} {
		config := s.serviceAccount(t)
		change(config)
		refused(name, config)
	}
}

// The scanner and the standard library agree on what is JSON.
func TestFCMScannerAgreesWithJSON(t *testing.T) {
	seed := `{"message":{"token":"abc","data":{"a":"b"},"android":{"notification":{"tag":"t","x":[1,{"y":null}],"z":-1.5e3}}}}`
	check := func(at uint16, with byte, cut bool) bool {
		body := []byte(seed)
		i := int(at) % len(body)
		if with %= 128; with >= 'A' && with <= 'Z' {
			return true // the standard library does not mind the case of names
		}
		if body[i] = with; cut {
			body = append(body[:i], body[i+1:]...)
		}
		var scanner fcmScanner
		m, no := scanner.scan(body)
		if !json.Valid(body) {
			return no != nil && no.status == 400
		}
		if no != nil {
			return true // JSON, but no message
		}
		var want struct {
			Message struct {
				Token   string
				Android struct{ Notification struct{ Tag string } }
			}
		}
		return json.Unmarshal(body, &want) == nil && string(m.token) == want.Message.Token &&
			string(m.tag) == want.Message.Android.Notification.Tag
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 50_000}); err != nil {
		t.Fatal(err)
	}
}
