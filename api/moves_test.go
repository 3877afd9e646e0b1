package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
)

// users are one for each shard.
func users(p tocsin.ProjectID) (names []string) {
	for shard := range tocsin.Shard(testShards) {
		for n := 0; ; n++ {
			name := fmt.Sprint("user-", n)
			if tocsin.ShardOf(p, audience.UserKey(name), testShards) == shard {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

func importLines(t *testing.T, c *client.Client, lines string) error {
	i, err := c.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
	if err == nil {
		i, err = c.Upload(t.Context(), i, strings.NewReader(lines), nil)
	}
	if err == nil && i.Bad > 0 {
		err = fmt.Errorf("%+v", i.BadLines)
	}
	return err
}

func countOf(t *testing.T, c *client.Client, query string) int64 {
	t.Helper()
	n, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(query)})
	if err != nil {
		t.Fatal(err)
	}
	return n.Count
}

// Whoever logs in and out on a device is seen as soon as the call is answered,
// whatever shards that takes, with all that is known of the device, and is
// counted once.
func TestIdentify(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	device := w.client(p.DeviceKey)
	d, err := device.RegisterDevice(t.Context(), client.Subscription{Provider: tocsin.FCM, Token: "tok", Language: "fr", Zone: "Europe/Paris", AppVersion: "4.2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutSubscription(t.Context(), client.Subscription{ID: d.ID, Attributes: map[string]client.Value{"plan": client.TextValue("gold"), "score": client.FloatValue(2.5)},
		Tags: map[string]client.Tags{"topics": {Add: []string{"sport"}}}}); err != nil {
		t.Fatal(err)
	}
	const all = `{"plan":"gold","score":2.5,"topics":{"$contains":"sport"},"language":"fr","app_version":{"$version":{"$gte":"4.1"}}}`
	names := users(p.ID)
	for i, name := range append(names, "", names[0], "") {
		switch {
		case name == "" && i%2 == 0:
			err = device.LogOutDevice(t.Context(), d)
		case name == "":
			err = c.LogOut(t.Context(), d.ID)
		case i%2 == 0:
			err = device.IdentifyDevice(t.Context(), d, name)
		default:
			err = c.Identify(t.Context(), d.ID, name)
		}
		if err != nil {
			t.Fatal(name, err)
		}
		known, err := c.Subscription(t.Context(), d.ID)
		if err != nil || known.User != name || known.Zone != "Europe/Paris" {
			t.Fatalf("%s: %+v %v", name, known, err)
		}
		if n := countOf(t, c, all); n != 1 {
			t.Errorf("%q is counted %d times", name, n)
		}
	}
	// Still the same install: it has its secret, and opts out.
	if err := device.OptDevice(t.Context(), d, false); err != nil {
		t.Fatal(err)
	}
	if err := c.Identify(t.Context(), d.ID, names[1]); err != nil {
		t.Fatal(err)
	}
	if known, err := c.Subscription(t.Context(), d.ID); err != nil || known.OptedIn {
		t.Errorf("an opt-out was forgotten on the way: %+v %v", known, err)
	}
	if err := device.IdentifyDevice(t.Context(), client.Device{ID: d.ID, Secret: "wrong"}, names[0]); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("without its secret: %v", err)
	}
	if err := c.Identify(t.Context(), tocsin.SubscriptionID{5: 1}, "ann"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

// A subscription that is registered for somebody else becomes his, by single
// requests, batches and imports, and one that names nobody stays with whoever has it.
func TestRegisteringForSomebodyElseMoves(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	names := users(p.ID)
	one := client.Subscription{ID: tocsin.SubscriptionID{1, 2, 3}, User: names[0], Provider: tocsin.FCM, Token: "tok", Attributes: map[string]client.Value{"plan": client.TextValue("gold")}}
	line := func(user string) string {
		return fmt.Sprintf(`{"id":%q,"user":%q,"provider":"fcm","token":"tok"}`+"\n", one.ID, user)
	}
	for i, how := range []func(user string) error{
		func(user string) error { _, err := c.PutSubscription(t.Context(), one); return err },
		func(user string) error {
			_, err := c.PutSubscription(t.Context(), client.Subscription{ID: one.ID, User: user, Provider: tocsin.FCM, Token: "tok"})
			return err
		},
		func(user string) error {
			_, err := c.PutSubscriptions(t.Context(), client.Batch{Subscriptions: []client.Subscription{{ID: one.ID, User: names[2], Provider: tocsin.FCM, Token: "tok"}, {ID: one.ID, User: user, Provider: tocsin.FCM, Token: "tok"}}})
			return err
		},
		func(user string) error {
			return importLines(t, c, line(user))
		},
	} {
		user := names[i%len(names)]
		if err := how(user); err != nil {
			t.Fatal(i, err)
		}
		if known, err := c.Subscription(t.Context(), one.ID); err != nil || known.User != user || known.Attributes["plan"].Text() != "gold" {
			t.Fatalf("%d: %s has it: %+v %v", i, user, known, err)
		}
		if n := countOf(t, c, `{}`); n != 1 {
			t.Fatalf("%d: %d of it", i, n)
		}
		one.User = ""
		if _, err := c.PutSubscription(t.Context(), client.Subscription{ID: one.ID, Provider: tocsin.FCM, Token: "tok"}); err != nil {
			t.Fatal(err)
		}
		if known, err := c.Subscription(t.Context(), one.ID); err != nil || known.User != user {
			t.Fatalf("%d: who names nobody has it: %+v %v", i, known, err)
		}
	}
}

// An address that is registered on another shard leaves its former holder within
// a second, and takes his opt-out along.
func TestAnAddressHasOneSubscription(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	device := w.client(p.DeviceKey)
	names := users(p.ID)
	address := client.Subscription{Provider: tocsin.FCM, Token: "shared"}
	for i := range 12 {
		address.User = names[i%len(names)]
		var err error
		switch i % 3 {
		case 0:
			_, err = c.PutSubscription(t.Context(), address)
		case 1:
			_, err = device.RegisterDevice(t.Context(), address)
		default:
			err = importLines(t, c, fmt.Sprintf(`{"user":%q,"provider":"fcm","token":"shared"}`, address.User))
		}
		if err != nil {
			t.Fatal(i, err)
		}
		begun := time.Now()
		for {
			n, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(`{}`)})
			if err == nil && n.Matched == 1 {
				break
			}
			if err != nil || time.Since(begun) > 10*time.Second {
				t.Fatalf("%d: %+v %v", i, n, err)
			}
		}
		if n := countOf(t, c, `{}`); n != map[bool]int64{true: 1, false: 0}[i < 6] {
			t.Errorf("%d: %d are opted in", i, n)
		}
		preview, err := c.Preview(t.Context(), client.PreviewRequest{Target: client.Target{Query: json.RawMessage(`{}`)}, Limit: 5})
		if err != nil || len(preview.Recipients) != 1 || preview.Recipients[0].User != address.User {
			t.Fatalf("%d: %+v %v", i, preview, err)
		}
		if i == 5 {
			optedIn := false
			if _, err := c.PutSubscription(t.Context(), client.Subscription{ID: preview.Recipients[0].Subscription, OptedIn: &optedIn}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
