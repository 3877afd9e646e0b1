package audience

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

// Admitted are the routes of a project that a writer of very many changes has
// let pass on a shard, applied or not: the last room is given once. What others
// write at the same moment is not among them.
type Admitted struct {
	mu     sync.RWMutex
	routes map[ask.Route]bool
}

// NewAdmitted begins with nothing.
func NewAdmitted() *Admitted { return &Admitted{routes: map[ask.Route]bool{}} }

func (a *Admitted) holds(u *record.Upsert) bool {
	if len(u.Address) == 0 {
		return true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.routes[ask.Route(routeOf(u))]
}

// Admit reports whether a shard has room for the route of a change beside what
// was admitted before, when there may be so many, at most MaxRoutes; and admits it.
// Beyond those the whole change would be left out. Web Push takes no room from the
// others.
func (a *Admitted) Admit(ctx context.Context, shard ask.Audience, project tocsin.ProjectID, u *record.Upsert, most int) (bool, error) {
	if a.holds(u) {
		return true, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := ask.Route(routeOf(u))
	// What is kept must not hold on to the text that it was read from.
	r.Host, r.Topic = strings.Clone(r.Host), strings.Clone(r.Topic)
	some := []ask.Route{r}
	for known := range a.routes {
		if (known.Provider == tocsin.WebPush) == (r.Provider == tocsin.WebPush) {
			some = append(some, known)
		}
	}
	in, err := shard.Routes(ctx, project, some)
	if err != nil {
		return false, err
	}
	if !slices.Contains(in.Known, r) {
		free := most - in.Others
		if r.Provider == tocsin.WebPush {
			free = most - in.WebPush
		}
		free -= len(some) - 1 - len(in.Known) // admitted, and not applied
		if free <= 0 {
			return false, nil
		}
	}
	a.routes[r] = true
	return true, nil
}
