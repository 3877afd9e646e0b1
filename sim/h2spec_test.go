//go:build h2spec

package sim

import (
	"bytes"
	"net/url"
	"os/exec"
	"regexp"
	"testing"

	"github.com/tocsin-push/tocsin"
)

// h2spec is version 2.6.0 by its commit: the module proxy has no v2 of it, as
// its path has none. `go run` keeps what it needs out of our go.mod.
const h2spec = "github.com/summerwind/h2spec/cmd/h2spec@v0.0.0-20200804131034-70ac22940108"

// Every case of h2spec passes, the strict ones too: no exceptions.
func TestH2Spec(t *testing.T) {
	s := start(t, nil)
	result := regexp.MustCompile(`(\d+) tests, (\d+) passed, 0 skipped, 0 failed`)
	for _, p := range []tocsin.Provider{tocsin.APNs, tocsin.FCM, tocsin.WebPush} {
		at, err := url.Parse(s.account(p).Endpoints[0].Origin)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "go", "run", h2spec, "--strict", "--tls", "--insecure", "--timeout", "10",
			"--host", at.Hostname(), "--port", at.Port()).CombinedOutput()
		if found := result.FindSubmatch(out); err != nil || found == nil || !bytes.Equal(found[1], found[2]) {
			t.Errorf("%v: %v\n%s", p, err, out)
		} else {
			t.Logf("%v: %s", p, found[0])
		}
	}
}
