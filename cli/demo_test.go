package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
)

// The demo with standard input not a terminal ends by itself; with --stay it
// is ended by Ctrl-C. Either way its folder is gone.
func TestDemo(t *testing.T) {
	t.Parallel()
	folder, temporary := t.TempDir(), t.TempDir()
	c := binary(t, folder, "demo", "--newsrooms", "2", "--people", "2000", "--json", "figures.json")
	c.Env = append(os.Environ(), "TMPDIR="+temporary)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var figures struct {
		Subscriptions int  `json:"subscriptions"`
		Balanced      bool `json:"balanced"`
	}
	if err := json.Unmarshal([]byte(read(t, folder, "figures.json")), &figures); err != nil || !figures.Balanced || figures.Subscriptions != 2000 {
		t.Fatalf("%+v, %v", figures, err)
	}
	empty(t, temporary)

	c = binary(t, folder, "demo", "--newsrooms", "1", "--people", "100", "--stay")
	c.Env = append(os.Environ(), "TMPDIR="+temporary)
	demo := start(t, c, "stays up until Ctrl-C")
	// A terminal sends it to the whole group.
	if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-demo.ended
	if status := c.ProcessState.ExitCode(); status != 0 || strings.Contains(demo.err.String(), "tocsin:") {
		t.Fatalf("status %d after Ctrl-C: %s", status, demo.err)
	}
	empty(t, temporary)
}

// Ctrl-C before the sends are over ends it as cleanly, with status 1.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	c := binary(t, t.TempDir(), "demo", "--newsrooms", "1", "--people", "5000000")
	c.Env = append(os.Environ(), "TMPDIR="+temporary)
	out, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c.Stderr = write
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	var said strings.Builder
	for buffer, sent := make([]byte, 4096), false; ; {
		n, err := out.Read(buffer)
		said.Write(buffer[:n])
		if err != nil {
			break
		}
		if !sent && strings.Contains(said.String(), "quotas of the simulated providers") {
			sent = true
			if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Wait()
	if status := c.ProcessState.ExitCode(); status != 1 || !strings.HasSuffix(said.String(), "tocsin: interrupted\n") {
		t.Fatalf("status %d after Ctrl-C: %s", status, said.String())
	}
	empty(t, temporary)
}

func empty(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}
