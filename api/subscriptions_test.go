package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
)

func TestASubscriptionsLife(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	_, c := w.newProject("a")
	in := client.Subscription{Provider: tocsin.APNs, Token: "00aabbccddeeff0011", User: "anna", Language: "fr-CA", Zone: "Europe/Paris", Active: time.Unix(1_790_000_000, 0),
		Attributes: map[string]client.Value{"country": client.TextValue("FR"), "age": client.IntegerValue(41), "score": client.FloatValue(2),
			"premium": client.BooleanValue(true), "since": client.TimeValue(time.Unix(1_700_000_000, 0)), "home": client.URLValue("https://a.example/")},
		Tags: map[string]client.Tags{"topics": {Replace: []string{"politics", "sport"}}}}
	made, err := c.PutSubscription(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	known, err := c.Subscription(ctx, made.ID)
	want := client.Known{ID: made.ID, User: "anna", Provider: tocsin.APNs, Topic: "com.example.app", Platform: "ios", Language: "fr-ca", Zone: "Europe/Paris", Active: in.Active.UTC(),
		OptedIn: true, Attributes: in.Attributes, Tags: map[string][]string{"topics": {"politics", "sport"}}}
	if err != nil || !reflect.DeepEqual(known, want) {
		t.Fatalf("known as %+v\n want %+v (%v)", known, want, err)
	}
	// Once more is the same subscription; by its id alone it can be changed.
	if again, err := c.PutSubscription(ctx, in); err != nil || again.ID != made.ID {
		t.Fatalf("%+v %v", again, err)
	}
	out := false
	if _, err := c.PutSubscription(ctx, client.Subscription{ID: made.ID, OptedIn: &out, Attributes: map[string]client.Value{"age": {}}}); err != nil {
		t.Fatal(err)
	}
	if err := c.UpdateProfile(ctx, "anna", client.ProfileUpdate{Attributes: map[string]client.Value{"town": client.TextValue("Lyon")},
		Tags: map[string]client.Tags{"topics": {Remove: []string{"sport"}}}}); err != nil {
		t.Fatal(err)
	}
	known, err = c.Subscription(ctx, made.ID)
	if err != nil || known.OptedIn || known.Attributes["town"].Text() != "Lyon" || len(known.Attributes) != 6 || len(known.Tags["topics"]) != 1 {
		t.Fatalf("%+v %v", known, err)
	}
	count, err := c.Count(ctx, client.Target{Query: json.RawMessage(`{"country":"FR"}`)})
	if err != nil || count.Count != 0 || count.Matched != 1 {
		t.Fatalf("%+v %v", count, err)
	}
	count, err = c.Count(ctx, client.Target{Recipients: []client.Recipient{{User: "anna"}, {User: "nobody"}}})
	if err != nil || count.Count != 1 || count.Unknown != 1 {
		t.Fatalf("%+v %v", count, err)
	}
	preview, err := c.Preview(ctx, client.PreviewRequest{Target: client.Target{Recipients: []client.Recipient{{User: "anna", Values: map[string]string{"first_name": "Anna"}}}},
		Message: &client.Message{Languages: map[string]client.Content{"fr": {Title: "Bonjour {{ first_name }} de {{ town }}"}}, Defaults: map[string]string{"first_name": "x", "town": "y"}}})
	if err != nil || len(preview.Recipients) != 1 || !strings.Contains(preview.Recipients[0].Payload, "Bonjour Anna de Lyon") || preview.Recipients[0].OptedIn {
		t.Fatalf("%+v %v", preview, err)
	}
	if _, err := c.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok", User: "bob"}); err != nil {
		t.Fatal(err)
	}
	preview, err = c.Preview(ctx, client.PreviewRequest{Target: client.Target{Recipients: []client.Recipient{{User: "bob"}}}, Message: new(hello().Message)})
	if err != nil || len(preview.Recipients) != 1 || !json.Valid([]byte(preview.Recipients[0].Payload)) {
		t.Fatalf("%+v %v", preview, err)
	}
	if err := c.DeleteSubscription(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscription(ctx, made.ID); !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	_, err = c.PutSubscription(ctx, client.Subscription{ID: made.ID, OptedIn: &out})
	wantProblem(t, err, http.StatusNotFound, "not_found", "")
	_, err = c.PutSubscription(ctx, client.Subscription{Provider: tocsin.APNs, Token: "zz"})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "token")
}

func TestABatchTakesTheGoodOnes(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	var b client.Batch
	for i := range 3000 {
		one := client.Subscription{Provider: tocsin.FCM, Token: fmt.Sprintf("token-%d", i)}
		switch i {
		case 7:
			one.Token = "a b"
		case 8:
			one = client.Subscription{ID: tocsin.SubscriptionID{1}, Language: "fr"}
		}
		b.Subscriptions = append(b.Subscriptions, one)
	}
	got, err := c.PutSubscriptions(t.Context(), b)
	if err != nil || got.Accepted != 2998 || len(got.IDs) != 3000 || !got.IDs[7].IsZero() || got.IDs[9].IsZero() || len(got.Errors) != 2 ||
		got.Errors[0].Index != 7 || got.Errors[0].Field != "token" || got.Errors[1].Field != "id" {
		t.Fatalf("%d accepted, errors %+v, %v", got.Accepted, got.Errors, err)
	}
	count, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(`{}`)})
	if err != nil || count.Count != 2998 {
		t.Fatalf("%+v %v", count, err)
	}
	many := client.Batch{Subscriptions: make([]client.Subscription, maxBatch+1)}
	_, err = c.PutSubscriptions(t.Context(), many)
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "subscriptions")
}

// What is no subscription at all is listed like any other that is bad.
func TestABatchOfAnything(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	for _, bad := range []string{"null", "5", `"x"`, "[]", `{"tags":{"a":[[[[[[["deep"]]]]]]]}}`} {
		answer, text := w.raw("POST", "/v1/subscriptions/batch", p.Key, `{"subscriptions":[`+bad+`,{"provider":"fcm","token":"good"}]}`)
		var got client.BatchResult
		if err := json.Unmarshal([]byte(text), &got); err != nil || answer.StatusCode != http.StatusOK || got.Accepted != 1 ||
			len(got.Errors) != 1 || got.Errors[0].Index != 0 || got.Errors[0].Reason == "" {
			t.Errorf("%s: %d %s", bad, answer.StatusCode, text)
		}
	}
}

func TestADeviceSpeaksForItself(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	other, _ := w.newProject("b")
	device := w.client(p.DeviceKey)
	if err := c.UpdateProfile(ctx, "ann", client.ProfileUpdate{Tags: map[string]client.Tags{"topics": {Add: []string{"sport"}}}}); err != nil {
		t.Fatal(err)
	}
	d, err := device.RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok", Language: "fr"})
	if err != nil || d.Secret == "" {
		t.Fatalf("%+v %v", d, err)
	}
	if err := device.RefreshDevice(ctx, d, client.Subscription{Language: "de", Tags: map[string]client.Tags{"topics": {Add: []string{"sport"}}}}); err != nil {
		t.Fatal(err)
	}
	if err := device.OptDevice(ctx, d, false); err != nil {
		t.Fatal(err)
	}
	known, err := c.Subscription(ctx, d.ID)
	if err != nil || known.OptedIn || known.Language != "de" || known.Tags["topics"][0] != "sport" || time.Since(known.Active) > time.Minute {
		t.Fatalf("%+v %v", known, err)
	}
	for what, err := range map[string]error{
		"another secret":  device.DeleteDevice(ctx, client.Device{ID: d.ID, Secret: strings.Replace(d.Secret, d.Secret[5:8], "000", 1)}),
		"no secret":       device.OptDevice(ctx, client.Device{ID: d.ID}, true),
		"another project": w.client(other.DeviceKey).DeleteDevice(ctx, d),
	} {
		if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Whoever knows the address of an install does not come to speak for it.
	if again, err := device.RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok2"}); err != nil || again.ID == d.ID {
		t.Fatalf("%+v %v", again, err)
	}
	_, err = device.RegisterDevice(ctx, client.Subscription{ID: d.ID, Provider: tocsin.FCM, Token: "tok"})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "id")
	err = device.RefreshDevice(ctx, d, client.Subscription{User: "anna"})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "user")
	if _, err := device.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "x"}); !errors.Is(err, client.ErrForbidden) {
		t.Fatalf("a device key used the server API: %v", err)
	}
	if _, err := c.RegisterDevice(ctx, client.Subscription{Provider: tocsin.FCM, Token: "x"}); !errors.Is(err, client.ErrForbidden) {
		t.Fatalf("a server key used the device API: %v", err)
	}
	if err := device.DeleteDevice(ctx, d); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscription(ctx, d.ID); !errors.Is(err, client.ErrNotFound) {
		t.Fatal(err)
	}
	if log := w.log.String(); strings.Contains(log, d.Secret) || strings.Contains(log, "tok2") {
		t.Fatal("the log holds a secret or an address")
	}
}

func TestPagesOfListedOriginsOnly(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	const path, body = "/v1/device/subscriptions", `{"provider":"fcm","token":"tok"}`
	answer, _ := w.raw("OPTIONS", path, "", "", "Origin", "https://www.example.com", "Access-Control-Request-Method", "POST")
	if answer.StatusCode != http.StatusNoContent || answer.Header.Get("Access-Control-Allow-Origin") != "https://www.example.com" ||
		!strings.Contains(answer.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	answer, text := w.raw("POST", path, p.DeviceKey, body, "Origin", "https://www.example.com")
	if answer.StatusCode != http.StatusCreated || answer.Header.Get("Access-Control-Allow-Origin") != "https://www.example.com" {
		t.Fatalf("%d %s", answer.StatusCode, text)
	}
	answer, text = w.raw("POST", path, p.DeviceKey, body, "Origin", "https://evil.example")
	if answer.StatusCode != http.StatusForbidden || answer.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatalf("%d %s", answer.StatusCode, text)
	}
	if n := len(w.logged(journal.Changes)); n != 1 {
		t.Fatalf("%d changes", n)
	}
	if answer, _ := w.raw("OPTIONS", "/v1/sends", "", "", "Origin", "https://www.example.com"); answer.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatal("the server API is open to pages")
	}
}

// A path holds any bytes once it is unescaped; a record holds UTF-8 only.
func TestAProfileIsNamedInUTF8(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	answer, text := w.raw("PATCH", "/v1/profiles/a%ff", p.Key, `{"attributes":{"plan":"gold"}}`)
	if answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(text, "path.user") {
		t.Fatalf("%d %s", answer.StatusCode, text)
	}
}

// The device key is public: what devices bring is small, and they use names and
// push services that others have brought. Else whoever has read the key closes
// the project for good.
func TestDevicesBringNoNamesOrHosts(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	const path = "/v1/device/subscriptions"
	large := `{"provider":"fcm","token":"` + strings.Repeat("x", 4000) + `","tags":{"t":[` + strings.Repeat(`"0123456789",`, 1000) + `"x"]}}`
	if answer, _ := w.raw("POST", path, p.DeviceKey, large); answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("a body of %d bytes: %d", len(large), answer.StatusCode)
	}
	device := w.client(p.DeviceKey)
	one := client.Subscription{Provider: tocsin.FCM, Token: "tok", Attributes: map[string]client.Value{"country": client.TextValue("FR")},
		Tags: map[string]client.Tags{"topics": {Add: []string{"sport"}}}}
	d, err := device.RegisterDevice(t.Context(), one)
	if err != nil || !slices.Equal(d.Ignored, []string{"attributes.country", "tags.topics"}) {
		t.Fatalf("%+v %v", d, err)
	}
	if known, err := c.Subscription(t.Context(), d.ID); err != nil || len(known.Attributes)+len(known.Tags) > 0 {
		t.Fatalf("%+v %v", known, err)
	}
	// Once the server has used a name, wherever, devices may.
	if err := c.UpdateProfile(t.Context(), "ann", client.ProfileUpdate{Attributes: one.Attributes, Tags: one.Tags}); err != nil {
		t.Fatal(err)
	}
	if d, err = device.RegisterDevice(t.Context(), one); err != nil || d.Ignored != nil {
		t.Fatalf("%+v %v", d, err)
	}
	if known, err := c.Subscription(t.Context(), d.ID); err != nil || known.Attributes["country"].Text() != "FR" || len(known.Tags["topics"]) != 1 {
		t.Fatalf("%+v %v", known, err)
	}
	browser := func(host string) client.Subscription {
		return client.Subscription{Provider: tocsin.WebPush, Endpoint: "https://" + host + "/a", P256DH: goodKey, Auth: goodAuth}
	}
	for host, good := range map[string]bool{"h1.evil.example.com": false, "fcm.googleapis.com": true, "web.push.apple.com": true,
		"wns2-par02p.notify.windows.com": true, "fcm.googleapis.com.evil.example.com": false, "notify.windows.com": false} {
		if _, err := device.RegisterDevice(t.Context(), browser(host)); (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := c.PutSubscription(t.Context(), browser("push.example.com")); err != nil {
		t.Errorf("the server API: %v", err)
	}
}

// An app keeps what it registered, and its person's opt-out, when the client
// registers or imports the same address.
func TestAnInstallOutlivesAnImport(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	device := w.client(p.DeviceKey)
	d, err := device.RegisterDevice(ctx, client.Subscription{User: "olga", Provider: tocsin.FCM, Token: "tok"})
	if err == nil {
		err = device.OptDevice(ctx, d, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	const line = `{"user":"olga","provider":"fcm","token":"tok","attributes":{"town":"Lyon"}}`
	if answer, text := w.raw("POST", "/v1/imports", p.Key, line, "Content-Type", "application/x-ndjson"); answer.StatusCode != http.StatusCreated {
		t.Fatal(text)
	}
	one := client.Subscription{User: "olga", Provider: tocsin.FCM, Token: "tok", Language: "fr"}
	if made, err := c.PutSubscription(ctx, one); err != nil || made.ID != d.ID {
		t.Errorf("known as %v, the install as %v: %v", made.ID, d.ID, err)
	}
	if made, err := c.PutSubscriptions(ctx, client.Batch{Subscriptions: []client.Subscription{one}}); err != nil || made.IDs[0] != d.ID {
		t.Errorf("known as %v, the install as %v: %v", made.IDs, d.ID, err)
	}
	if known, err := c.Subscription(ctx, d.ID); err != nil || known.OptedIn || known.Attributes["town"].Text() != "Lyon" || known.Language != "fr" {
		t.Errorf("%+v %v", known, err)
	}
	if err := device.OptDevice(ctx, d, true); err != nil {
		t.Errorf("the install is nobody any more: %v", err)
	}
}

func TestADeviceKeyIsReplaced(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	one := client.Subscription{Provider: tocsin.FCM, Token: "tok"}
	before, err := w.client(p.DeviceKey).RegisterDevice(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	now, err := c.RotateDeviceKey(t.Context(), p.ID)
	if err != nil || now.DeviceKey == p.DeviceKey {
		t.Fatalf("%+v %v", now, err)
	}
	if _, err := w.client(p.DeviceKey).RegisterDevice(t.Context(), one); !errors.Is(err, client.ErrUnauthorized) {
		t.Errorf("the old key: %v", err)
	}
	if err := w.client(now.DeviceKey).OptDevice(t.Context(), before, false); err != nil {
		t.Errorf("the new key: %v", err)
	}
	other, _ := w.newProject("b")
	_, err = c.RotateDeviceKey(t.Context(), other.ID)
	wantProblem(t, err, http.StatusNotFound, "not_found", "")
}
