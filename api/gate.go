package api

import (
	"sync"

	"github.com/tocsin-push/tocsin"
)

// gate counts what each project has under way.
type gate struct {
	limit int

	mu    sync.Mutex
	count map[tocsin.ProjectID]int
}

func newGate(limit int) *gate { return &gate{limit: limit, count: map[tocsin.ProjectID]int{}} }

// enter reports whether one more may begin; then leave follows.
func (g *gate) enter(p tocsin.ProjectID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count[p] >= g.limit {
		return false
	}
	g.count[p]++
	return true
}

func (g *gate) leave(p tocsin.ProjectID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count[p]--; g.count[p] == 0 {
		delete(g.count, p)
	}
}
