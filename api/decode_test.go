package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

var testProject = tocsin.MakeID[tocsin.ProjectID](fromNanos(1e18), [10]byte{1})

func testIntake() *intake {
	return newIntake(testProject, []provider.Credential{
		{Provider: tocsin.APNs, APNs: &provider.APNs{Topics: []string{"com.example.app", "com.example.other"}}},
		{Provider: tocsin.FCM, FCM: &provider.FCM{}},
		{ID: tocsin.CredentialID{7}, Provider: tocsin.WebPush, WebPush: &provider.WebPush{},
			Endpoints: []provider.Endpoint{{Origin: "https://127.0.0.1:9443"}}},
	})
}

const (
	goodKey  = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" // RFC 8291 section 5
	goodAuth = "BTBZMqHH6r4Tts7J_aSIgg"
)

func TestSubscriptionLineIsRead(t *testing.T) {
	u, err := testIntake().subscription([]byte(`{"provider":"apns","token":"00aabbccddeeff0011","user":"anna","language":"fr_CA","zone":"Europe/Paris",
		"platform":"macos","region":"CA-QC","city":"Québec","app_version":"4.10.2","active":"2026-11-01T10:00:00Z","opted_in":true,
		"attributes":{"country":"FR","age":41,"score":1.5,"premium":true,"since":{"time":"2020-01-01T00:00:00Z"},"home":{"url":"https://a.example/x"},"old":null},
		"tags":{"topics":["politics","sport"],"more":{"add":["x"],"remove":["y"]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if u.Profile != "u:anna" || u.Language != "fr-ca" || u.Topic != "com.example.app" || len(u.Address) != 9 || !u.GetOptedIn() {
		t.Fatalf("read as %v", u)
	}
	if u.Platform != "macos" || u.Region != "CA-QC" || u.City != "Québec" || u.AppVersion != "4.10.2" {
		t.Fatalf("read as %v", u)
	}
	if len(u.Attributes) != 7 || u.Attributes[1].GetInteger() != 41 || u.Attributes[2].GetReal() != 1.5 || !u.Attributes[6].GetRemove() {
		t.Fatalf("attributes %v", u.Attributes)
	}
	if len(u.Tags) != 2 || !u.Tags[0].Clear || u.Tags[0].Replace[1] != "sport" || u.Tags[1].Clear || u.Tags[1].Remove[0] != "y" {
		t.Fatalf("tags %v", u.Tags)
	}
	again, _ := testIntake().subscription([]byte(`{"provider":"apns","token":"00AABBCCDDEEFF0011","user":"anna"}`))
	other, _ := testIntake().subscription([]byte(`{"provider":"apns","token":"00AABBCCDDEEFF0011","user":"bert"}`))
	if string(again.Subscription) != string(u.Subscription) || string(other.Subscription) == string(u.Subscription) {
		t.Fatal("the derived id does not follow from user, provider and address alone")
	}
}

func TestBadLinesNameFieldAndReason(t *testing.T) {
	for line, want := range map[string]string{
		`{"provider":"apns","token":"xyz"}`:                                                                                "token: want the device token",
		`{"provider":"apns","token":"00aabbccddeeff00","topic":"com.other"}`:                                               "topic: is none",
		`{"provider":"gcm","token":"a"}`:                                                                                   "provider: unknown provider",
		`{"token":"a"}`:                                                                                                    "provider: want",
		`{"provider":"fcm","token":"a b"}`:                                                                                 "token: want",
		`{"provider":"fcm","token":"a","endpoint":"https://x.example/"}`:                                                   "endpoint: belongs",
		`{"provider":"fcm","token":"a","token":"b"}`:                                                                       "stands twice",
		`{"provider":"fcm","token":"a","colour":"red"}`:                                                                    "colour: unknown field",
		`{"provider":"fcm","token":"a","user":7}`:                                                                          "user: want a string",
		`{"provider":"fcm","token":"a","user":""}`:                                                                         "user: want 1 to",
		`{"provider":"fcm","token":"a","language":"english please"}`:                                                       "language: want",
		`{"provider":"fcm","token":"a","zone":"Paris?"}`:                                                                   "zone: want",
		`{"provider":"fcm","token":"a","platform":"symbian"}`:                                                              "platform: want ios, android",
		`{"provider":"fcm","token":"a","city":""}`:                                                                         "city: want 1 to 128",
		`{"provider":"fcm","token":"a","attributes":{"city":"Lyon"}}`:                                                      "attributes.city: is no attribute but a field",
		`{"provider":"fcm","token":"a","active":"yesterday"}`:                                                              "active: want",
		`{"provider":"fcm","token":"a","opted_in":1}`:                                                                      "opted_in: want",
		`{"provider":"fcm","token":"a","attributes":{"Country":"FR"}}`:                                                     "attributes.Country: want a name",
		`{"provider":"fcm","token":"a","attributes":{"profile":"FR"}}`:                                                     "attributes.profile: want a name",
		`{"provider":"fcm","token":"a","attributes":{"a":[1]}}`:                                                            "attributes.a: a list is no",
		`{"provider":"fcm","token":"a","attributes":{"a":99999999999999999999}}`:                                           "attributes.a: integer is out of range",
		`{"provider":"fcm","token":"a","attributes":{"a":01}}`:                                                             "attributes.a: not JSON",
		`{"provider":"fcm","token":"a","attributes":{"a":{"url":"x"}}}`:                                                    "attributes.a: not an absolute URL",
		`{"provider":"fcm","token":"a","attributes":{"a":{"b":{"c":{"d":1}}}}}`:                                            "too deep",
		`{"provider":"fcm","token":"a","tags":{"t":"x"}}`:                                                                  "tags.t:",
		`{"provider":"fcm","token":"a","tags":{"t":[""]}}`:                                                                 "tags.t: a tag has",
		`{"provider":"webpush","endpoint":"http://p.example/a","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`:      "endpoint: want https",
		`{"provider":"webpush","endpoint":"https://10.0.0.1/a","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`:      "endpoint: want a public",
		`{"provider":"webpush","endpoint":"https://p.example/a","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`:     "endpoint: want a public",
		`{"provider":"webpush","endpoint":"https://printer.arpa/a","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`:  "endpoint: want a public",
		`{"provider":"webpush","endpoint":"https://p.example.com/é","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`: "endpoint: want the URL",
		`{"provider":"webpush","endpoint":"https://p.example.com/a","p256dh":"AAAA","auth":"` + goodAuth + `"}`:            "p256dh: want",
		`{"provider":"webpush","endpoint":"https://p.example.com/a","p256dh":"` + goodKey + `","auth":"AAAA"}`:             "auth: want",
		`{"user":"anna"}`:                   "provider: want",
		`[]`:                                "not JSON at byte 0",
		`{"provider":"fcm","token":"a"} {}`: "something follows",
		"{\"provider\":\"fcm\",\"token\":\"\xff\"}": "UTF-8",
		`{"provider":"fcm","token":"a`:              "ends too early",
	} {
		u, err := testIntake().subscription([]byte(line))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n read as %v, error %v, want %q", line, u, err, want)
		}
	}
}

func TestWebPushAddressForm(t *testing.T) {
	for endpoint, host := range map[string]string{
		"https://Push.example.com/send/abc":     "https://push.example.com",
		"https://push.example.com:443/send/abc": "https://push.example.com",
		"https://127.0.0.1:9443/send/abc":       "https://127.0.0.1:9443",
	} {
		u, err := testIntake().subscription([]byte(`{"provider":"webpush","endpoint":"` + endpoint + `","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		n := len(endpoint)
		if u.Host != host || len(u.Address) != 2+n+65+16 || string(u.Address[2:2+n]) != endpoint || int(u.Address[1]) != n || u.Address[2+n] != 4 {
			t.Errorf("%s: host %s, address %x", endpoint, u.Host, u.Address)
		}
	}
}

// A subscription that no credential can send to would wait in every send.
func TestNobodyIsTakenInWithoutACredential(t *testing.T) {
	for line, want := range map[string]string{
		`{"provider":"apns","token":"00112233445566778899aabbccddeeff"}`: "no APNs credential",
		`{"provider":"fcm","token":"a"}`:                                 "no FCM credential",
		`{"provider":"webpush","endpoint":"https://p.example.com/a","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`: "no Web Push credential",
	} {
		u, err := newIntake(testProject, nil).subscription([]byte(line))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n read as %v, error %v, want %q", line, u, err, want)
		}
	}
}

func TestCSVRows(t *testing.T) {
	columns, err := parseHeader([]string{"\ufeffprovider", "token", "user", "attributes.country", "attributes.age:integer", "tags.topics", "opted_in"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := testIntake().row(columns, []string{"fcm", "tok", "anna", "FR", "41", "politics|sport", "false"})
	if err != nil || u.Attributes[1].GetInteger() != 41 || len(u.Tags[0].Replace) != 2 || u.GetOptedIn() || u.Profile != "u:anna" {
		t.Fatalf("%v %v", u, err)
	}
	if _, err := testIntake().row(columns, []string{"fcm", "tok", "anna", "FR", "old", "", ""}); err == nil || err.Error() != "attributes.age: not an integer" {
		t.Fatal(err)
	}
	for _, bad := range []string{"colour", "attributes.a:date", "attributes.A", "tags.zone", "tags", ""} {
		if _, err := parseHeader([]string{"provider", bad}); err == nil {
			t.Errorf("column %q was taken", bad)
		}
	}
	if _, err := parseHeader([]string{"token", "token"}); err == nil {
		t.Error("a column that stands twice was taken")
	}
}

// The walker takes what encoding/json takes, except what it refuses on purpose.
func TestWalkerAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringOfN(rapid.RuneFrom([]rune(`{}[]",:\u01aetrfns-+.E `)), 0, 40, -1).Draw(t, "body")
		err := checkJSON([]byte(body), 100, 1000)
		if json.Valid([]byte(body)) != (err == nil) && (err == nil || !strings.Contains(err.Error(), "twice") && !strings.Contains(err.Error(), "surrogate")) {
			t.Fatalf("%s: %v", body, err)
		}
	})
}

func TestWalkerLimits(t *testing.T) {
	for body, want := range map[string]string{
		strings.Repeat("[", 9) + strings.Repeat("]", 9): "too deep",
		`[1,2,3,4,5,6,7,8,9,10]`:                        "too many values",
		`{"a":1,"\u0061":2}`:                            "stands twice",
		`"\ud800"`:                                      "surrogate",
		"\"\xff\"":                                      "UTF-8",
		``:                                              "empty",
		`1 2`:                                           "follows",
	} {
		if err := checkJSON([]byte(body), 8, 10); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf(`"k%d":0`, i))
	}
	if err := checkJSON([]byte("{"+strings.Join(append(many, `"k15":0`), ",")+"}"), 8, 100); err == nil {
		t.Error("a name that stands twice among many was not seen")
	}
}

func BenchmarkLine(b *testing.B) {
	line := []byte(`{"provider":"fcm","token":"cVb1:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnop","user":"user-1234567","language":"fr","zone":"Europe/Paris","city":"Lyon","attributes":{"country":"FR","age":41,"score":1.5,"premium":true},"tags":{"topics":["politics","sport"]}}`)
	in := testIntake()
	in.room = new(room)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.subscription(line); err != nil {
			b.Fatal(err)
		}
	}
}
