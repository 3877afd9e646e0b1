package cli_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
)

// The commands of the README are run as they stand there, on an empty folder.
func TestReadmeSendsToOwnSubscribers(t *testing.T) {
	t.Parallel()
	folder, url := t.TempDir(), freeAddress(t)
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	// `make build` is there, and the binary is fresh already.
	if err := os.Mkdir(filepath.Join(folder, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(name, filepath.Join(folder, "bin", "tocsin")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "Makefile"), []byte("build: ;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := "set -eu -o pipefail\n" + strings.Join(blocks(t, "../README.md", "Send to your own subscribers"), "") + "\nkill %1 %2\nwait\n"
	if calls := strings.Count(script, "\ncurl "); calls != 4 {
		t.Fatalf("%d curl calls instead of four", calls)
	}
	shell := command(t, folder, "bash", "-c", script)
	shell.Env = append(os.Environ(), "TOCSIN_LISTEN="+strings.TrimPrefix(url, "http://"), "TOCSIN_URL="+url)
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	events := strings.Split(strings.TrimSpace(string(out)), "data: ")
	var sent client.Send
	if err := json.Unmarshal([]byte(events[len(events)-1]), &sent); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if c := sent.Counters; sent.Status != client.SendFinished || c.Audience != 3 || c.Accepted != 3 {
		t.Fatalf("%s", out)
	}

	// A second start finds everything again.
	serve := binary(t, folder, "serve", "--listen", "127.0.0.1:0")
	node := start(t, serve, "Tocsin is up at ")
	again := strings.TrimSpace(strings.TrimPrefix(node.line, "Tocsin is up at "))
	key := regexp.MustCompile(`"key":"([^"]+)"`).FindStringSubmatch(read(t, folder, "project.json"))[1]
	api, err := client.New(client.Config{URL: again, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	found, err := api.GetSend(t.Context(), sent.ID)
	if err != nil || !reflect.DeepEqual(found, sent) {
		t.Fatalf("%+v, %v", found, err)
	}
	if n, err := api.Count(t.Context(), client.Target{Query: json.RawMessage(`{"country":"FR"}`)}); err != nil || n.Count != 1 {
		t.Fatalf("%+v, %v", n, err)
	}

	// A second process on the same folder is refused, and says why.
	second := binary(t, folder, "serve", "--listen", "127.0.0.1:0")
	text, err := second.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if err == nil || second.ProcessState.ExitCode() != 1 || len(lines) != 1 || !strings.Contains(lines[0], folder) ||
		!strings.Contains(lines[0], "in use by another process") {
		t.Fatalf("%v: %s", err, text)
	}
	if status := node.interrupt(); status != 0 {
		t.Fatalf("status %d after SIGINT: %s", status, node.err)
	}
}

// blocks are the shell blocks of a section.
func blocks(t *testing.T, file, section string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", file, section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for _, block := range strings.Split(rest, "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```\n")
		all = append(all, block)
	}
	return all
}

// freeAddress is the URL of a port that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
