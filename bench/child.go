package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	readyLimit = 90 * time.Second // a node with an audience reads it first
	stopLimit  = 20 * time.Second // from SIGTERM to SIGKILL
)

// child is a process that a measurement needs: this program in another part,
// or a binary of Tocsin.
type child struct {
	name   string
	pid    int
	log    string // file that its standard error goes to
	cmd    *exec.Cmd
	exited chan error
}

// startPart starts this program in a part, which says on standard output that
// it is ready: one JSON value, read into ready.
func startPart(ctx context.Context, dir, part string, args []string, ready any) (*child, error) {
	return startChild(ctx, dir, part, append([]string{"/proc/self/exe", part}, args...),
		func(out io.Reader) error { return json.NewDecoder(out).Decode(ready) })
}

// startChild returns when ready has read from the child's standard output that
// it is.
func startChild(ctx context.Context, dir, name string, command []string, ready func(io.Reader) error) (*child, error) {
	c := &child{name: name, log: filepath.Join(dir, name+".log"), exited: make(chan error, 1)}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.Command(command[0], command[1:]...)
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
	go func() {
		said <- ready(out)
		io.Copy(io.Discard, out) // it may say more
	}()
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
	return fmt.Errorf("%s: %w\n%s", c.name, err, text)
}
