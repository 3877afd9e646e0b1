package api

import (
	"net/http"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// A project lists public names for Web Push by itself; an address of the node's
// own network needs the platform, and stays once it is there.
func TestOriginsOfThePlatform(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	listing := func(origin string) client.CredentialRequest {
		return client.CredentialRequest{Provider: tocsin.WebPush, WebPush: &client.WebPushCredential{Subject: "mailto:ops@example.com"},
			Endpoints: []client.Endpoint{{Origin: origin}}}
	}
	private := []string{"https://169.254.169.254", "https://[::1]", "https://push.internal", "https://push.example.com:8443"}
	for _, origin := range private {
		_, err := c.SetCredential(t.Context(), p.ID, listing(origin))
		wantProblem(t, err, http.StatusForbidden, "forbidden", "endpoints[0].origin")
	}
	if _, err := c.SetCredential(t.Context(), p.ID, listing("https://push.example.com")); err != nil {
		t.Error(err)
	}
	for _, origin := range private {
		for _, by := range []*client.Client{w.client(w.platform), c} {
			if _, err := by.SetCredential(t.Context(), p.ID, listing(origin)); err != nil {
				t.Errorf("%s: %v", origin, err)
			}
		}
	}
}
