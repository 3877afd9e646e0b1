package fcm

import (
	"testing"

	"github.com/tocsin-push/tocsin/provider"
)

// Whatever Google says, a push that was not accepted gets a verdict that can be
// acted on and logged.
func FuzzAnswer(f *testing.F) {
	f.Add(404, []byte(`{"error":{"code":404,"status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}`))
	f.Add(400, []byte(`{"error":{"status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token"}]}]}}`))
	f.Add(401, []byte(`{"error":{"status":"UNAUTHENTICATED"}}`))
	f.Add(429, []byte(`<html>`))
	f.Add(307, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 300 || status > 999 {
			return // never judged
		}
		v, _ := judge(status, body)
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
