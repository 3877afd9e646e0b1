package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	readyLimit = 30 * time.Second
	stopLimit  = 20 * time.Second // from SIGTERM to SIGKILL
)

// child is this program in another part, in a process of its own.
type child struct {
	part   string
	pid    int
	log    string // file that its standard error goes to
	cmd    *exec.Cmd
	exited chan error
}

// startChild returns when the child has said that it is ready: one JSON value
// on its standard output, read into ready.
func startChild(ctx context.Context, dir, part string, args []string, ready any) (*child, error) {
	c := &child{part: part, log: filepath.Join(dir, part+".log"), exited: make(chan error, 1)}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.Command("/proc/self/exe", append([]string{part}, args...)...)
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the death signal follows the thread that started the child
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.exited <- c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.pid = c.cmd.Process.Pid
	said := make(chan error, 1)
	go func() { said <- json.NewDecoder(out).Decode(ready) }()
	select {
	case err = <-said:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(readyLimit):
		err = fmt.Errorf("not ready after %v", readyLimit)
	}
	if err != nil {
		return nil, c.failure(errors.Join(err, c.stop()))
	}
	return c, nil
}

// stop asks the child to end, and kills it when it does not. A child that
// ended by itself is an error.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ended by itself: %v", <-c.exited)
	} else if err != nil {
		return err
	}
	select {
	case err := <-c.exited:
		return err
	case <-time.After(stopLimit):
		c.cmd.Process.Kill()
		<-c.exited
		return fmt.Errorf("killed, it did not end within %v", stopLimit)
	}
}

// failure adds the last words of the child to an error.
func (c *child) failure(err error) error {
	text, _ := os.ReadFile(c.log)
	if tail := len(text) - 2000; tail > 0 {
		text = text[tail:]
	}
	return fmt.Errorf("%s: %w\n%s", c.part, err, text)
}
