//go:build browser

package browsertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const install = "sudo apt-get update && sudo apt-get install -y firefox-esr"

// preferences make a headless Firefox under automation push like one that a
// person uses, but over a push service of ours.
func preferences(pushService string) string {
	return fmt.Sprintf(`user_pref("dom.push.serverURL", %q);
user_pref("dom.push.testing.allowInsecureServerURL", true); // ws: instead of wss:
user_pref("dom.push.connection.enabled", true); // automation turns it off
user_pref("permissions.default.desktop-notification", 1); // the person has said yes
user_pref("alerts.useSystemBackend", false); // there is no desktop
user_pref("network.proxy.type", 0);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("app.normandy.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
`, pushService)
}

// firefox is a running browser with a profile of its own.
type firefox struct {
	command *exec.Cmd
	ended   chan struct{}

	mu   sync.Mutex
	tail []string // last lines of its standard error
}

const tailLines = 40

// startFirefox starts a browser that ends with the test, and returns the URL of
// its WebDriver BiDi service.
func startFirefox(ctx context.Context, t *testing.T, pushService string) string {
	program, err := exec.LookPath("firefox-esr")
	if err != nil {
		t.Fatalf("firefox-esr is missing (%v). Run: %s", err, install)
	}
	home := t.TempDir()
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(preferences(pushService)), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &firefox{ended: make(chan struct{})}
	f.command = exec.Command(program, "--no-remote", "--headless", "--profile", profile, "--remote-debugging-port", "0", "about:blank")
	f.command.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "MOZ_HEADLESS=1", "MOZ_CRASHREPORTER_DISABLE=1")
	// Its processes are a group of their own, which ends with the browser.
	f.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	words, err := f.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.command.Start(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	listening := make(chan string, 1)
	go f.listen(words, listening)
	t.Cleanup(func() { f.stop(t) })
	select {
	case url := <-listening:
		return url
	case <-f.ended:
		t.Fatal("Firefox ended before it listened")
	case <-ctx.Done():
		t.Fatal("Firefox did not listen in time")
	}
	return ""
}

// listen keeps the last lines that Firefox says, and finds where it listens.
func (f *firefox) listen(words io.Reader, listening chan<- string) {
	defer close(f.ended)
	lines := bufio.NewScanner(words)
	for lines.Scan() {
		if _, url, found := strings.Cut(lines.Text(), "WebDriver BiDi listening on "); found {
			listening <- url
		}
		f.mu.Lock()
		f.tail = append(f.tail, lines.Text())
		f.tail = f.tail[max(0, len(f.tail)-tailLines):]
		f.mu.Unlock()
	}
	io.Copy(io.Discard, words) // a line beyond the scanner's limit
}

// stop kills the browser, which has nothing to save, and waits for it.
func (f *firefox) stop(t *testing.T) {
	if err := syscall.Kill(-f.command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Errorf("ending Firefox: %v", err)
	}
	select {
	case <-f.ended:
	case <-time.After(10 * time.Second):
		t.Error("Firefox did not end in 10 s")
	}
	f.command.Wait() // tells only that it was killed
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Failed() {
		t.Logf("Firefox said at last:\n%s", strings.Join(f.tail, "\n"))
	}
}
