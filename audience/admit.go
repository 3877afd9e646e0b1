package audience

import (
	"strings"
	"sync"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Admitted are the routes of a project that a writer of very many changes has
// let pass on a shard, applied or not: the last room is given once. What others
// write at the same moment is not among them.
type Admitted struct {
	mu     sync.RWMutex
	routes [2]map[Route]bool // of Web Push, of the others
}

func (a *Admitted) routesLike(p tocsin.Provider) map[Route]bool {
	if p == tocsin.WebPush {
		return a.routes[0]
	}
	return a.routes[1]
}

// NewAdmitted begins with nothing.
func NewAdmitted() *Admitted { return &Admitted{routes: [2]map[Route]bool{{}, {}}} }

func (a *Admitted) holds(u *record.Upsert) bool {
	if len(u.Address) == 0 {
		return true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.routesLike(tocsin.Provider(u.Provider))[routeOf(u)]
}

// Admit reports whether a shard has room for the route of a change beside what
// was admitted before, and admits it.
func (s *Shard) Admit(project tocsin.ProjectID, u *record.Upsert, a *Admitted) bool {
	if a.holds(u) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		p = newProject(project, s.number)
	}
	like, r := tocsin.Provider(u.Provider), routeOf(u)
	admitted := a.routesLike(like)
	if !admitted[r] && !p.routeInUse(r) {
		free := MaxRoutes - p.routesInUse(like)
		for known := range admitted {
			if !p.routeInUse(known) {
				free--
			}
		}
		if free <= 0 {
			return false
		}
	}
	// What is kept must not hold on to the text that it was read from.
	r.Host, r.Topic = strings.Clone(r.Host), strings.Clone(r.Topic)
	admitted[r] = true
	return true
}
