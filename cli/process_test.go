package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// built is where program puts the binary.
var built string

// program builds the binary once, for the tests that need processes.
var program = sync.OnceValues(func() (string, error) {
	name := filepath.Join(built, "tocsin")
	if out, err := exec.Command("go", "build", "-o", name, "../cmd/tocsin").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "tocsin-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(built)
	os.Exit(status)
}

// command prepares a process in a group of its own, which ends with the test.
func command(t *testing.T, folder, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = folder
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	return c
}

// binary prepares the binary itself.
func binary(t *testing.T, folder string, args ...string) *exec.Cmd {
	t.Helper()
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return command(t, folder, name, args...)
}

// running is a process that was started and reached a line of its output.
type running struct {
	t     *testing.T
	c     *exec.Cmd
	line  string
	err   *bytes.Buffer
	ended chan error
}

// start starts a process and returns when it has written a line that holds
// the text to standard output.
func start(t *testing.T, c *exec.Cmd, text string) *running {
	t.Helper()
	r := &running{t: t, c: c, err: new(bytes.Buffer), ended: make(chan error, 1)}
	c.Stderr = r.err
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for !strings.Contains(r.line, text) {
		if r.line, err = lines.ReadString('\n'); err != nil {
			t.Fatalf("ended before it wrote %q: %v, %s", text, c.Wait(), r.err)
		}
	}
	go func() {
		io.Copy(io.Discard, lines)
		r.ended <- c.Wait()
	}()
	return r
}

// interrupt sends SIGINT, as Ctrl-C does, and returns the exit status.
func (r *running) interrupt() int {
	r.t.Helper()
	if err := r.c.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
	<-r.ended
	return r.c.ProcessState.ExitCode()
}
