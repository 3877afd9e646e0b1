package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/cli"
	"github.com/tocsin-push/tocsin/client"
)

// interrupted runs a command that is stopped, as by Ctrl-C, when it asks the
// node for a path with this end; the node does not hear of that.
func (s *shell) interrupted(at string, args ...string) (status int, out, complaint string) {
	s.Helper()
	to, err := url.Parse(s.url)
	if err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	proxy := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, at) {
			io.Copy(io.Discard, r.Body) // before that a server does not see its client go
			stop()
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	var stdout, stderr bytes.Buffer
	status = cli.Run(ctx, append(args, "--url", front.URL, "--key", s.key), strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// What an interrupted command left open on the node is named, with the
// command that goes on with it.
func TestInterruptedCommandsSayHowToGoOn(t *testing.T) {
	t.Parallel()
	s, providers := newShell(t)
	setup, err := json.Marshal(providers.Setup().Projects[0])
	if err != nil {
		t.Fatal(err)
	}
	var project client.Project
	s.json(&project, "project", "create", "Morning", "--environment", "development", "--credentials", s.file("credentials.json", string(setup)))
	s.key = project.Key

	people := s.file("it's people.ndjson", `{"provider":"fcm","token":"one","user":"ann"}`+"\n")
	status, out, complaint := s.interrupted("/data", "import", people)
	found := regexp.MustCompile(`tocsin: interrupted\nGo on with: tocsin (import --resume imp_\w+) (.*)\n`).FindStringSubmatch(complaint)
	if status != 1 || out != "" || found == nil {
		t.Fatalf("status %d, %s%s", status, out, complaint)
	}
	if word, err := exec.Command("sh", "-c", "printf %s "+found[2]).Output(); err != nil || string(word) != people {
		t.Fatalf("%s is not %s to a shell: %s, %v", found[2], people, word, err)
	}
	var done client.Import
	s.json(&done, append(strings.Fields(found[1]), people)...)
	if done.Status != client.ImportFinished || done.Lines != 1 {
		t.Fatalf("%+v", done)
	}

	status, out, complaint = s.interrupted("/events", "send", "--user", "ann", "--title", "x", "--wait")
	said := regexp.MustCompile(`^(snd_\w+) is accepted\ntocsin: interrupted\nThe send goes on. Follow it with: tocsin status --wait (snd_\w+)\n$`).FindStringSubmatch(complaint)
	if status != 1 || out != "" || said == nil || said[1] != said[2] {
		t.Fatalf("status %d, %s%s", status, out, complaint)
	}
	var listed client.Sends
	if text := s.ok(&listed, "sends"); len(listed.Sends) != 1 || listed.Sends[0].ID.String() != said[1] || !strings.Contains(text, said[1]) {
		t.Fatalf("%s %+v", text, listed)
	}
}

// A node or a simulator that finds its port taken says so: nobody could not be
// reached.
func TestAPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for flag, args := range map[string][]string{
		"--listen":  {"serve", "--dir", filepath.Join(folder, "data"), "--listen", taken.Addr().String()},
		"--control": {"sim", "--control", port, "--credentials", filepath.Join(folder, "credentials.json")},
	} {
		status, _, complaint := (&shell{T: t}).run(args...)
		if status != 1 || !strings.Contains(complaint, taken.Addr().String()+" is in use") || !strings.Contains(complaint, flag) || strings.Contains(complaint, "Is a node running") {
			t.Errorf("%v: status %d, %s", args, status, complaint)
		}
	}
}

// Bash completes the second word and flags as well as the first.
func TestCompletion(t *testing.T) {
	t.Parallel()
	_, script, _ := (&shell{T: t}).run("completion")
	for line, want := range map[string]string{
		"tocsin sen":                    "send sends",
		"tocsin project ":               "--help create list update",
		"tocsin credential s":           "set",
		"tocsin send --user ann --dry":  "--dry-run",
		"tocsin serve --l":              "--listen",
		"tocsin project create --env":   "--environment",
		"tocsin key create prj_x --sco": "--scopes",
	} {
		words := strings.Split(line, " ")
		text := script + "COMP_WORDS=(" + line
		if words[len(words)-1] == "" {
			text += "''"
		}
		text += ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_tocsin\necho \"${COMPREPLY[*]}\"\n"
		out, err := exec.Command("bash", "-c", text).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %s, want %s (%v)", line, out, want, err)
		}
	}
}
