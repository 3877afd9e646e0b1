package crashtest

import (
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
)

// Points counts the failpoints that a process passes, and kills it at one.
type Points struct {
	mu     sync.Mutex
	passed map[string]int
	name   string
	left   int // how often name is still to be passed; 0: not armed
}

// Process is the list of this process: the overlay reaches it from two rooms.
var Process = &Points{passed: map[string]int{}}

// Arm makes the process die when it passes a failpoint for the n-th time from
// now on, n above 0.
func (p *Points) Arm(name string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.left = name, n
}

// Passed tells how often each failpoint was passed.
func (p *Points) Passed() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.passed)
}

// due counts a failpoint and tells whether the process is to die at it.
func (p *Points) due(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed[name]++
	if p.left == 0 || name != p.name {
		return false
	}
	p.left--
	return p.left == 0
}

// around does a durable step between its failpoints: one on either side for
// each of the things that it makes durable together.
func (p *Points) around(step string, of []string, do func() error) error {
	p.pass(step, of, " / before")
	err := do()
	if err == nil { // a step that failed leads elsewhere
		p.pass(step, of, " / after")
	}
	return err
}

// pass counts failpoints. It does not return when the process is to die here.
func (p *Points) pass(step string, of []string, side string) {
	here := false
	for i, what := range of {
		if !slices.Contains(of[:i], what) && p.due(step+what+side) {
			here = true
		}
	}
	if here {
		die()
	}
}

// die kills the process as the kernel would: nothing more is run or written.
func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
