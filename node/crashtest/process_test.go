package crashtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/sim"
)

// child is a process that dies with this one.
type child struct {
	*exec.Cmd
	lines chan string   // its standard output
	ended chan struct{} // closed when it is gone; then err is set
	err   error
	tell  func(string) error // writes a line to its standard input
}

// start runs a program whose complaints go to a file.
func start(t *testing.T, complaints string, program string, arguments ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(program, arguments...), lines: make(chan string, 16), ended: make(chan struct{})}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(complaints, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stderr = log
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.tell = func(line string) error { _, err := fmt.Fprintln(in, line); return err }
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.lines <- lines.Text()
		}
		c.err = c.Wait()
		close(c.ended)
	}()
	t.Cleanup(c.kill)
	return c
}

// kill ends the process at once, and returns when it is gone.
func (c *child) kill() {
	c.Process.Kill()
	for {
		select {
		case <-c.lines:
		case <-c.ended:
			return
		}
	}
}

// hear returns what follows a word at the beginning of the next line.
func (c *child) hear(word string) (string, error) {
	select {
	case line := <-c.lines:
		rest, ok := strings.CutPrefix(line, word)
		if !ok {
			return "", fmt.Errorf("want %q, heard %q", word, line)
		}
		return strings.TrimSpace(rest), nil
	case <-c.ended:
		return "", fmt.Errorf("the process is gone: %v", c.err)
	case <-time.After(time.Minute):
		return "", fmt.Errorf("not a word of %q in a minute", word)
	}
}

// settings of a node, as testdata/victim.go takes them.
type settings struct {
	Dir    string
	Window int
	Point  string
	Pass   int
}

// victim is a running node.
type victim struct {
	*child
	url   string
	admin string
	ready time.Duration // from the start of the process until it said that it is ready
}

// startNode returns a node that is ready, or why there is none: it may have
// died at the failpoint it was started with.
func startNode(t *testing.T, program, folder string, s settings) (*victim, error) {
	t.Helper()
	s.Dir = filepath.Join(folder, "data")
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	v := &victim{child: start(t, filepath.Join(folder, "node.log"), program, "node", string(text))}
	up, err := v.hear("up")
	if err != nil {
		return v, err
	}
	url, file, _ := strings.Cut(up, " ")
	key, err := os.ReadFile(file)
	if err != nil {
		return v, err
	}
	v.url, v.admin = url, strings.TrimSpace(string(key))
	for {
		answer, err := http.Get(url + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				v.ready = time.Since(began)
				return v, nil
			}
		}
		select {
		case <-v.ended:
			return v, fmt.Errorf("the node is gone: %v", v.err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(began) > time.Minute {
			return v, fmt.Errorf("not ready after a minute")
		}
	}
}

// arm makes the node die when it passes a failpoint for the n-th time.
func (v *victim) arm(name string, n int) error {
	text, err := json.Marshal([]any{name, n})
	if err != nil {
		return err
	}
	if err := v.tell(string(text)); err != nil {
		return err
	}
	_, err = v.hear("armed")
	return err
}

// disarm lets the node live on, if it does: a failpoint that it comes to late
// is not to kill it while it is judged.
func (v *victim) disarm() {
	if v.arm("", 0) != nil {
		<-v.ended
	}
}

// passed tells how often the node passed each failpoint since its start.
func (v *victim) passed() (counts map[string]int, err error) {
	if err := v.tell("passed"); err != nil {
		return nil, err
	}
	text, err := v.hear("passed")
	if err != nil {
		return nil, err
	}
	return counts, json.Unmarshal([]byte(text), &counts)
}

// providers are the simulated ones, in a process of their own.
type providers struct {
	*child
	setup sim.Setup
}

func startProviders(t *testing.T, program, folder string, seed uint64) *providers {
	t.Helper()
	setup := filepath.Join(folder, "setup.json")
	p := &providers{child: start(t, filepath.Join(folder, "sim.log"), program, "sim", "--setup", setup, "--fcm-quota", "0",
		"--credentials", filepath.Join(folder, "credentials.json"), "--seed", fmt.Sprint(seed))}
	for {
		text, err := os.ReadFile(setup)
		if err == nil {
			if err := json.Unmarshal(text, &p.setup); err != nil {
				t.Fatal(err)
			}
			return p
		}
		select {
		case <-p.ended:
			t.Fatalf("simulated providers ended: %v", p.err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// control asks the simulators something.
func (p *providers) control(method, path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(context.Background(), method, p.setup.Control+path, strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err == nil && answer.StatusCode/100 != 2 {
		answer.Body.Close()
		err = fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return answer, err
}

// command is control where the answer does not matter.
func (p *providers) command(t *testing.T, path string, body any) {
	t.Helper()
	answer, err := p.control(http.MethodPost, path, body)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}
