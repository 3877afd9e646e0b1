package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
)

func TestCredentialShowsNoSecret(t *testing.T) {
	c := Credential{
		ID: tocsin.CredentialID{1}, Provider: tocsin.APNs,
		APNs:    &APNs{Key: []byte("SECRET")},
		FCM:     &FCM{ServiceAccount: []byte("SECRET")},
		WebPush: &WebPush{PrivateKey: []byte("SECRET")},
	}
	var shown bytes.Buffer
	for _, each := range []any{c, &c, []Credential{c}, *c.APNs, c.APNs, *c.FCM, c.FCM, *c.WebPush, c.WebPush} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&shown, verb+"\n", each)
		}
		if err := json.NewEncoder(&shown).Encode(each); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("a", "credential", each)
		slog.New(slog.NewTextHandler(&shown, nil)).Info("a", "credential", each)
	}
	// In clear, in hexadecimal, as a list of numbers, in base64.
	for _, secret := range []string{"SECRET", "534543524554", "83 69 67", "U0VDUkVU"} {
		if at := strings.Index(shown.String(), secret); at >= 0 {
			t.Errorf("%q is shown: ...%s", secret, shown.String()[max(at-60, 0):])
		}
	}
}
