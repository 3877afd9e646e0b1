package sim

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"
	"github.com/coder/websocket"

	"github.com/tocsin-push/tocsin"
)

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 8291 section 5.
func TestDecryptVector(t *testing.T) {
	private, err := ecdh.P256().NewPrivateKey(unbase64(t, "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
	if err != nil {
		t.Fatal(err)
	}
	keys := BrowserKeys{Private: private, Auth: [16]byte(unbase64(t, "BTBZMqHH6r4Tts7J_aSIgg"))}
	body := unbase64(t, "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN")
	text, err := keys.Decrypt(body)
	if err != nil || string(text) != "When I grow up, I want to be a watermelon" {
		t.Fatalf("%q %v", text, err)
	}
	for _, at := range []int{0, 19, 20, 30, len(body) - 1} {
		wrong := bytes.Clone(body)
		wrong[at] ^= 1
		if at == 19 {
			binary.BigEndian.PutUint32(wrong[16:], 18)
		}
		if _, err := keys.Decrypt(wrong); err == nil {
			t.Errorf("byte %d was changed and nobody noticed", at)
		}
	}
}

// vapidKeys is a sender with a key pair.
type vapidKeys struct{ private, public string }

func newVAPID(t testing.TB) vapidKeys {
	t.Helper()
	private, public, err := webpush.GenerateVAPIDKeys()
	if err != nil {
		t.Fatal(err)
	}
	return vapidKeys{private, public}
}

func (s *Sim) subscription(id [16]byte) *webpush.Subscription {
	keys := NewBrowserKeys(s.config.Seed, id)
	return &webpush.Subscription{Endpoint: s.account(tocsin.WebPush).Endpoints[0].Origin + EndpointPath(id), Keys: webpush.Keys{
		P256dh: base64.RawURLEncoding.EncodeToString(keys.Private.PublicKey().Bytes()),
		Auth:   base64.RawURLEncoding.EncodeToString(keys.Auth[:])}}
}

// webpush-go, an independent client, is understood; what it may not send is refused.
func TestWebPush(t *testing.T) {
	s := start(t, nil)
	sender := newVAPID(t)
	c := s.httpClient()
	send := func(id [16]byte, change func(*webpush.Options, *webpush.Subscription, *http.Request)) (int, string, http.Header) {
		t.Helper()
		o := &webpush.Options{HTTPClient: c, Subscriber: "operator@example.com", TTL: 60, Topic: "send-1", Urgency: webpush.UrgencyHigh,
			VAPIDPrivateKey: sender.private, VAPIDPublicKey: sender.public, RecordSize: 500}
		to := s.subscription(id)
		var request *http.Request
		if change != nil {
			o.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
				change(o, to, r)
				request = r
				return c.Do(r)
			})
		}
		r, err := webpush.SendNotification([]byte(`{"web_push":8030}`), to, o)
		if err != nil {
			t.Fatal(err, request)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body), r.Header
	}
	status, _, header := send([16]byte{1}, nil)
	if status != 201 || !strings.HasPrefix(header.Get("Location"), "https://") || header.Get("TTL") != "60" {
		t.Fatalf("%d %v", status, header)
	}
	other := newVAPID(t)
	for name, row := range map[string]struct {
		status int
		errno  string
		change func(*http.Request)
	}{
		"no TTL":         {400, `"errno":111`, func(r *http.Request) { r.Header.Del("TTL") }},
		"TTL":            {400, `"errno":112`, func(r *http.Request) { r.Header.Set("TTL", "-1") }},
		"long topic":     {400, `"errno":113`, func(r *http.Request) { r.Header.Set("Topic", strings.Repeat("a", 33)) }},
		"topic":          {400, `"errno":113`, func(r *http.Request) { r.Header.Set("Topic", "a b") }},
		"urgency":        {400, `"errno":0`, func(r *http.Request) { r.Header.Set("Urgency", "now") }},
		"encoding":       {400, `"errno":110`, func(r *http.Request) { r.Header.Set("Content-Encoding", "aesgcm") }},
		"no VAPID":       {401, `"errno":109`, func(r *http.Request) { r.Header.Del("Authorization") }},
		"another's k":    {403, `"errno":109`, func(r *http.Request) { replace(r, "k="+sender.public, "k="+other.public) }},
		"broken token":   {403, `"errno":109`, func(r *http.Request) { replace(r, "t=ey", "t=ez") }},
		"no endpoint":    {404, `"errno":102`, func(r *http.Request) { r.URL.Path = "/wp/x" }},
		"other endpoint": {400, `"errno":110`, func(r *http.Request) { r.URL.Path = EndpointPath([16]byte{9}) }},
		"method":         {405, `"errno":0`, func(r *http.Request) { r.Method = "PUT" }},
		"too long": {413, `"errno":104`, func(r *http.Request) {
			r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(make([]byte, 4097))), 4097, nil
		}},
	} {
		if status, body, _ := send([16]byte{1}, func(_ *webpush.Options, _ *webpush.Subscription, r *http.Request) { row.change(r) }); status != row.status || !strings.Contains(body, row.errno) {
			t.Errorf("%s: %d %s, want %d %s", name, status, body, row.status, row.errno)
		}
	}
	// The only bodies that cannot be decrypted are the one for another endpoint.
	if total := s.Totals()[tocsin.WebPush]; total.Malformed != 1 || total.Checked != 2 {
		t.Errorf("%+v", total)
	}
	if a := s.ledger.Accounts("send-1")[tocsin.WebPush]; a.Accepted != 1 || a.Distinct != 1 {
		t.Errorf("%+v", a)
	}
	for _, row := range []struct {
		shares     Shares
		status     int
		retryAfter string
	}{{Shares{Gone: 1}, 410, ""}, {Shares{BadToken: 1}, 404, ""}, {Shares{Throttled: 1}, 429, "1"}, {Shares{Unavailable: 1}, 503, "1"},
		{Shares{Expired: 1}, 401, ""}} {
		o := s.Options(tocsin.WebPush)
		o.Shares = row.shares
		if err := s.SetOptions(tocsin.WebPush, o); err != nil {
			t.Fatal(err)
		}
		s.Reset()
		if status, body, header := send([16]byte{2}, nil); status != row.status || header.Get("Retry-After") != row.retryAfter {
			t.Errorf("%+v: %d %s %v", row, status, body, header)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func replace(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

// The VAPID example of RFC 8292 section 2.4 verifies; its time is over.
func TestVAPIDVector(t *testing.T) {
	header := "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
	if v := verifyVAPID([]byte(header), "https://push.example.net"); v.key == nil || v.expires.Unix() != 1453523768 {
		t.Fatalf("%+v", v)
	}
	if v := verifyVAPID([]byte(header), "https://push.example.org"); v.key != nil {
		t.Fatal("another origin's token was taken")
	}
}

// A browser registers over WebSocket and gets what is posted to its endpoint,
// also what came while it was away.
func TestBrowser(t *testing.T) {
	s := start(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var socket *websocket.Conn
	say := func(m map[string]any) {
		t.Helper()
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := socket.Write(ctx, websocket.MessageText, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func() (m browserMessage) {
		t.Helper()
		_, text, err := socket.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	connect := func(agent string) browserMessage {
		t.Helper()
		var err error
		if socket, _, err = websocket.Dial(ctx, s.setup.Browser, &websocket.DialOptions{Subprotocols: []string{"push-notification"}}); err != nil {
			t.Fatal(err)
		}
		say(map[string]any{"messageType": "hello", "uaid": agent, "use_webpush": true, "broadcasts": map[string]string{}})
		return hear()
	}
	hello := connect("")
	if hello.Status != 200 || *hello.Agent == "" || !hello.UseWebPush || socket.Subprotocol() != "push-notification" {
		t.Fatalf("%+v", hello)
	}
	sender := newVAPID(t)
	say(map[string]any{"messageType": "register", "channelID": "c-1", "key": sender.public})
	registered := hear()
	if registered.Status != 200 || registered.Channel != "c-1" {
		t.Fatalf("%+v", registered)
	}
	private, err := ecdh.P256().GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := BrowserKeys{Private: private, Auth: [16]byte{1, 2, 3}}
	to := &webpush.Subscription{Endpoint: registered.Endpoint, Keys: webpush.Keys{Auth: base64.RawURLEncoding.EncodeToString(keys.Auth[:]),
		P256dh: base64.RawURLEncoding.EncodeToString(private.PublicKey().Bytes())}}
	post := func(sender vapidKeys, text string) int {
		t.Helper()
		r, err := webpush.SendNotification([]byte(text), to, &webpush.Options{HTTPClient: s.httpClient(), Subscriber: "operator@example.com",
			TTL: 60, VAPIDPrivateKey: sender.private, VAPIDPublicKey: sender.public})
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	receive := func(want string) {
		t.Helper()
		n := hear()
		text, err := keys.Decrypt(unbase64(t, n.Data))
		if err != nil || string(text) != want || n.Type != "notification" || n.Channel != "c-1" || n.Headers["encoding"] != "aes128gcm" || *n.TTL != 60 {
			t.Fatalf("%q %v in %+v", text, err, n)
		}
		say(map[string]any{"messageType": "ack", "updates": []map[string]any{{"channelID": "c-1", "version": n.Version, "code": 100}}})
	}
	if status := post(sender, "one"); status != 201 {
		t.Fatal(status)
	}
	receive("one")
	if status := post(newVAPID(t), "not mine"); status != 403 {
		t.Fatalf("another key's message: %d", status)
	}
	say(map[string]any{})
	if m := hear(); m.Type != "" {
		t.Fatalf("%+v", m)
	}
	socket.Close(websocket.StatusNormalClosure, "")
	if status := post(sender, "two"); status != 201 {
		t.Fatal(status)
	}
	if again := connect(*hello.Agent); *again.Agent != *hello.Agent {
		t.Fatalf("%+v", again)
	}
	receive("two")
	say(map[string]any{"messageType": "unregister", "channelID": "c-1"})
	if m := hear(); m.Type != "unregister" {
		t.Fatalf("%+v", m)
	}
	if acks := s.Acks(); len(acks) != 2 || acks[1].Code != 100 || acks[1].Channel != "c-1" {
		t.Fatalf("%+v", acks)
	}
	if status := post(sender, "three"); status != 410 {
		t.Fatal(status)
	}
}

// Keys follow from seed and id, and from nothing else.
func TestBrowserKeysAreDerived(t *testing.T) {
	seed := rand.Uint64()
	one, two := NewBrowserKeys(seed, [16]byte{1}), NewBrowserKeys(seed, [16]byte{1})
	if !one.Private.Equal(two.Private) || one.Auth != two.Auth || one.Private.Equal(NewBrowserKeys(seed+1, [16]byte{1}).Private) {
		t.Fatalf("seed %d", seed)
	}
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), one.Private.PublicKey().Bytes()); err != nil {
		t.Fatal(err)
	}
}
