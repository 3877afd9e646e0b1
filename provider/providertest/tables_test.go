package providertest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/apns"
	"github.com/tocsin-push/tocsin/provider/fcm"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/sim"
)

// world is the simulators and a lane to each of them.
type world struct {
	*sim.Sim
	t      testing.TB
	lanes  map[tocsin.Provider]func() provider.Lane
	origin string // of Web Push endpoints
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := sim.Default()
	cfg.DecryptEvery = 1
	s, err := sim.Start(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	w := &world{Sim: s, t: t, lanes: map[tocsin.Provider]func() provider.Lane{}}
	add := func(p provider.Provider, err error, r provider.Route, c provider.Credential) {
		if err != nil {
			t.Fatal(err)
		}
		w.lanes[c.Provider] = func() provider.Lane {
			l, err := p.Lane(r, c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close(context.Background()) })
			return l
		}
	}
	for _, c := range s.Setup().Projects[0].Credentials {
		endpoints := []provider.Endpoint{{Origin: c.Endpoints[0].Origin, Root: []byte(c.Endpoints[0].Root)}}
		switch c.Provider {
		case tocsin.APNs:
			p, err := apns.New(apns.Default(), log)
			add(p, err, provider.Route{Topic: sim.Topic(0)}, provider.Credential{Provider: c.Provider, Endpoints: endpoints,
				APNs: &provider.APNs{Key: []byte(c.APNs.Key), KeyID: c.APNs.KeyID, TeamID: c.APNs.TeamID, Topics: c.APNs.Topics}})
		case tocsin.FCM:
			p, err := fcm.New(fcm.Default(), log)
			add(p, err, provider.Route{}, provider.Credential{Provider: c.Provider, Endpoints: endpoints,
				FCM: &provider.FCM{ServiceAccount: []byte(c.FCM.ServiceAccount)}})
		case tocsin.WebPush:
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			private, _ := key.Bytes()
			public, _ := key.PublicKey.Bytes()
			p, err := webpush.New(webpush.Default(), log)
			add(p, err, provider.Route{Host: endpoints[0].Origin}, provider.Credential{Provider: c.Provider, Endpoints: endpoints,
				WebPush: &provider.WebPush{PrivateKey: private, PublicKey: public, Subject: "mailto:push@example.com"}})
			w.origin = endpoints[0].Origin
		}
	}
	return w
}

// address returns the n-th address in its stored form, and as the simulator's
// scripts name it.
func (w *world) address(p tocsin.Provider, n int) (stored []byte, name string) {
	switch p {
	case tocsin.APNs:
		stored = binary.BigEndian.AppendUint64(make([]byte, 24), uint64(n))
		return stored, hex.EncodeToString(stored)
	case tocsin.FCM:
		name = fmt.Sprintf("token:%d", n)
		return []byte(name), name
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	keys := sim.NewBrowserKeys(sim.Default().Seed, id)
	name = sim.EndpointPath(id)
	endpoint := w.origin + name
	stored = binary.BigEndian.AppendUint16(nil, uint16(len(endpoint)))
	stored = append(append(stored, endpoint...), keys.Private.PublicKey().Bytes()...)
	return append(stored, keys.Auth[:]...), name
}

var payloads = map[tocsin.Provider]string{
	tocsin.APNs: `{"aps":{"alert":"news"}}`, tocsin.FCM: `"notification":{"title":"news"}`, tocsin.WebPush: `{"web_push":8030}`,
}

func (w *world) deliver(l provider.Lane, p tocsin.Provider, from, n int) *provider.Batch {
	b := &provider.Batch{Headers: provider.Headers{TTL: time.Hour, Expiry: time.Now().Add(time.Hour)}}
	for i := range n {
		stored, _ := w.address(p, from+i)
		b.Addresses, b.Payloads = append(b.Addresses, stored), append(b.Payloads, []byte(payloads[p]))
	}
	done := make(chan *provider.Batch)
	b.Done = func(b *provider.Batch) { done <- b }
	l.Send(b)
	return <-done
}

// Every row of the error tables of the three services, asked of the simulators
// over real HTTP/2: outcome, action and wait.
func TestEveryRowOfTheErrorTables(t *testing.T) {
	w := newWorld(t)
	const gone, refused, fault, later = provider.Gone, provider.Refused, provider.Fault, provider.Later
	const payload, token, topic, size = tocsin.ReasonPayload, tocsin.ReasonToken, tocsin.ReasonTopic, tocsin.ReasonSize
	const credential, throttled, unavailable = tocsin.ReasonCredential, tocsin.ReasonThrottled, tocsin.ReasonUnavailable
	n := 0
	for _, row := range []struct {
		provider tocsin.Provider
		status   int
		reasons  string
		after    int // Retry-After of the answer
		result   provider.Result
		reason   tocsin.Reason
		wait     time.Duration
	}{
		{tocsin.APNs, 400, "BadCollapseId BadExpirationDate BadMessageId BadPriority DuplicateHeaders InvalidPushType MissingDeviceToken PayloadEmpty", 0, refused, payload, 0},
		{tocsin.APNs, 400, "BadTopic MissingTopic TopicDisallowed", 0, fault, credential, 0},
		{tocsin.APNs, 400, "BadDeviceToken", 0, refused, token, 0},
		{tocsin.APNs, 400, "DeviceTokenNotForTopic", 0, refused, topic, 0},
		{tocsin.APNs, 400, "IdleTimeout", 0, later, unavailable, time.Second},
		{tocsin.APNs, 403, "BadCertificate BadCertificateEnvironment InvalidProviderToken MissingProviderToken Forbidden BadEnvironmentKeyIdInToken BadEnvironmentKeyInToken", 0, fault, credential, 0},
		{tocsin.APNs, 403, "ExpiredProviderToken UnrelatedKeyIdInToken", 0, later, credential, time.Second},
		{tocsin.APNs, 404, "BadPath", 0, refused, payload, 0},
		{tocsin.APNs, 405, "MethodNotAllowed", 0, refused, payload, 0},
		{tocsin.APNs, 410, "Unregistered ExpiredToken", 0, gone, 0, 0},
		{tocsin.APNs, 413, "PayloadTooLarge", 0, refused, size, 0},
		{tocsin.APNs, 429, "TooManyRequests TooManyProviderTokenUpdates", 21, later, throttled, 21 * time.Second},
		{tocsin.APNs, 500, "InternalServerError", 0, later, unavailable, 15 * time.Minute},
		{tocsin.APNs, 503, "ServiceUnavailable", 0, later, unavailable, 15 * time.Minute},
		{tocsin.APNs, 503, "Shutdown", 0, later, unavailable, time.Second},

		{tocsin.FCM, 404, "UNREGISTERED", 0, gone, 0, 0},
		{tocsin.FCM, 400, "INVALID_ARGUMENT", 0, refused, token, 0},
		{tocsin.FCM, 400, "BadRequest", 0, refused, payload, 0},
		{tocsin.FCM, 403, "SENDER_ID_MISMATCH", 0, gone, topic, 0},
		{tocsin.FCM, 401, "UNAUTHENTICATED", 0, later, credential, time.Second},
		{tocsin.FCM, 401, "THIRD_PARTY_AUTH_ERROR", 0, fault, credential, 0},
		{tocsin.FCM, 403, "PERMISSION_DENIED", 0, fault, credential, 0},
		{tocsin.FCM, 429, "QUOTA_EXCEEDED", 0, later, throttled, time.Minute},
		{tocsin.FCM, 429, "QUOTA_EXCEEDED", 7, later, throttled, 7 * time.Second},
		{tocsin.FCM, 500, "INTERNAL UNSPECIFIED_ERROR", 0, later, unavailable, 0},
		{tocsin.FCM, 503, "UNAVAILABLE", 9, later, unavailable, 9 * time.Second},

		{tocsin.WebPush, 400, "110 111 112 113 114 0", 0, refused, payload, 0},
		{tocsin.WebPush, 401, "109 0", 0, fault, credential, 0},
		{tocsin.WebPush, 403, "0", 0, fault, credential, 0},
		{tocsin.WebPush, 404, "102 0", 0, gone, 0, 0},
		{tocsin.WebPush, 410, "103 105 106 0", 0, gone, 0, 0},
		{tocsin.WebPush, 413, "104 0", 0, refused, size, 0},
		{tocsin.WebPush, 429, "0", 33, later, throttled, 33 * time.Second},
		{tocsin.WebPush, 500, "0", 0, later, unavailable, 0},
		{tocsin.WebPush, 503, "201", 120, later, unavailable, 2 * time.Minute},
		{tocsin.WebPush, 503, "202", 0, later, unavailable, time.Second},
		{tocsin.WebPush, 307, "0", 0, refused, tocsin.ReasonAddress, 0},
	} {
		for reason := range strings.FieldsSeq(row.reasons) {
			n++
			_, name := w.address(row.provider, n)
			answer := sim.Answer{Status: row.status, Reason: reason, RetryAfter: row.after}
			if row.provider == tocsin.APNs && row.result == gone {
				answer.Timestamp = 1700000000123
			}
			if row.provider == tocsin.FCM && (reason == "UNAUTHENTICATED" || reason == "PERMISSION_DENIED") { // a status, not an error code
				answer.Body = fmt.Sprintf(`{"error":{"code":%d,"status":%q}}`, row.status, reason)
			}
			o := w.Options(row.provider)
			o.Script = map[string][]sim.Answer{name: {answer}}
			if err := w.SetOptions(row.provider, o); err != nil {
				t.Fatal(err)
			}
			b := w.deliver(w.lanes[row.provider](), row.provider, n, 1)
			where := fmt.Sprintf("%v %d %s", row.provider, row.status, reason)
			if b.Results[0] != row.result || len(b.Details) != 1 {
				t.Errorf("%s: result %d, want %d; details %+v", where, b.Results[0], row.result, b.Details)
				continue
			}
			d := b.Details[0]
			if d.Reason != row.reason || d.RetryAfter != row.wait || d.Text == "" {
				t.Errorf("%s: %+v, want %v after %v", where, d, row.reason, row.wait)
			}
			if answer.Timestamp > 0 && !d.GoneAt.Equal(time.UnixMilli(answer.Timestamp)) {
				t.Errorf("%s: gone at %v", where, d.GoneAt)
			}
		}
	}
}

// What the simulators take is what the lanes say was accepted.
func TestSimulatorsTakeWhatIsSent(t *testing.T) {
	w := newWorld(t)
	for p, lane := range w.lanes {
		counts := map[provider.Result]int{}
		b := w.deliver(lane(), p, 0, 1000)
		for _, r := range b.Results {
			counts[r]++
		}
		if counts[provider.Accepted] != 1000 {
			text, _ := json.Marshal(b.Details[:min(3, len(b.Details))])
			t.Errorf("%v: results %v, details %s", p, counts, text)
		}
	}
}
