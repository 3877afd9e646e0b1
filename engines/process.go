package engines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// ReadyLimit is how long a server may take until it serves: 2 s alone, 34 s were
// seen on a loaded machine.
const ReadyLimit = 90 * time.Second

// stopLimit is how long a server may take to stop by itself.
const stopLimit = 60 * time.Second

// Process is one server. Its output goes to the file Log, over restarts too.
type Process struct {
	Name string
	Log  string
	path string
	args []string

	mu   sync.Mutex
	run  *run // nil before the first start
	gone bool // Close was called
}

type run struct {
	pid  int
	done chan struct{} // closed when the process has ended
	err  error         // how it ended, set before done is closed
}

// NewProcess describes a server; Start starts it.
func NewProcess(name, log, path string, args ...string) *Process {
	return &Process{Name: name, Log: log, path: path, args: args}
}

// Start starts the server, also after Kill and Stop, and does not wait until it
// serves.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return fmt.Errorf("engines: %s is closed", p.Name)
	}
	if p.run != nil && !p.run.ended() {
		return fmt.Errorf("engines: %s runs already", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	command := exec.Command(p.path, p.args...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	r := &run{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal comes when the thread ends that started the server, so
		// the thread is kept for as long as the server runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		if err == nil {
			r.pid = command.Process.Pid
		}
		started <- err
		if err == nil {
			r.err = command.Wait()
			close(r.done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("engines: starting %s: %w", p.Name, err)
	}
	p.run = r
	return nil
}

func (r *run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (p *Process) signal(s syscall.Signal) (*run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil || p.run.ended() {
		return nil, fmt.Errorf("engines: %s does not run", p.Name)
	}
	if err := syscall.Kill(p.run.pid, s); err != nil {
		return nil, fmt.Errorf("engines: %s to %s: %w", s, p.Name, err)
	}
	return p.run, nil
}

// Pause stops the server in the middle of whatever it does (SIGSTOP). It keeps
// its connections, and its memory.
func (p *Process) Pause() error {
	_, err := p.signal(syscall.SIGSTOP)
	return err
}

// Resume lets a paused server go on.
func (p *Process) Resume() error {
	_, err := p.signal(syscall.SIGCONT)
	return err
}

// Kill ends the server at once (SIGKILL), and returns when it is gone.
func (p *Process) Kill() error {
	r, err := p.signal(syscall.SIGKILL)
	if err == nil {
		<-r.done
	}
	return err
}

// Stop asks the server to end (SIGTERM), and returns when it is gone.
func (p *Process) Stop() error {
	r, err := p.signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-r.done:
		return nil
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("engines: %s did not stop within %s", p.Name, stopLimit), p.Kill())
	}
}

// Runs tells whether the server runs, paused or not.
func (p *Process) Runs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run != nil && !p.run.ended()
}

// PID is the server's process id, 0 when it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil || p.run.ended() {
		return 0
	}
	return p.run.pid
}

// Close kills the server, if it runs, for good.
func (p *Process) Close() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	if p.Runs() {
		_ = p.Kill() // it may have ended in between
	}
}

// Await asks probe until it says nil, for ReadyLimit at most. It gives up when
// one of the servers has ended, and then shows the end of its output.
func Await(ctx context.Context, what string, probe func(ctx context.Context) error, servers ...*Process) error {
	ctx, stop := context.WithTimeout(ctx, ReadyLimit)
	defer stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		once, end := context.WithTimeout(ctx, 10*time.Second)
		err := probe(once)
		end()
		if err == nil {
			return nil
		}
		for _, p := range servers {
			if !p.Runs() {
				return fmt.Errorf("engines: %s: %s has ended: %w\n%s", what, p.Name, err, p.tail())
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("engines: %s: %w: %w", what, ctx.Err(), err)
		}
	}
}

// tail is the end of the server's output.
func (p *Process) tail() []byte {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-4000):]
}

// Ports returns n free ports of 127.0.0.1, all different.
func Ports(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // together, at the end: no port comes twice
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
