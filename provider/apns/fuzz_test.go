package apns

import (
	"testing"

	"github.com/tocsin-push/tocsin/provider"
)

// Whatever Apple says, a push that was not accepted gets a verdict that can be
// acted on and logged.
func FuzzAnswer(f *testing.F) {
	f.Add(410, []byte(`{"reason":"Unregistered","timestamp":1700000000123}`))
	f.Add(403, []byte(`{"reason":"ExpiredProviderToken"}`))
	f.Add(503, []byte(`{"reason":"Shutdown"`))
	f.Add(429, []byte(`[]`))
	f.Add(302, []byte(nil))
	f.Add(599, []byte(`{"reason":"no such reason; with a token 0123456789abcdef","timestamp":-1}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 300 || status > 999 {
			return // never judged
		}
		reason, _ := parse(body)
		v := judge(status, reason)
		switch v.Result {
		case provider.Gone, provider.Refused, provider.Later, provider.Fault:
		default:
			t.Fatalf("%d %q: result %d", status, body, v.Result)
		}
		if len(v.Detail.Text) > 64 || v.Detail.RetryAfter < 0 {
			t.Fatalf("%d %q: %+v", status, body, v.Detail)
		}
	})
}
