package audience

import (
	"strings"
	"sync"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Admitted are the names and routes of a project that a writer of very many
// changes has let pass on a shard, applied or not: the last room is given once.
// What others write at the same moment is not among them.
type Admitted struct {
	mu         sync.RWMutex
	attributes map[string]bool
	sets       map[string]bool
	routes     [2]map[Route]bool // of Web Push, of the others
}

func (a *Admitted) routesLike(p tocsin.Provider) map[Route]bool {
	if p == tocsin.WebPush {
		return a.routes[0]
	}
	return a.routes[1]
}

// NewAdmitted begins with nothing.
func NewAdmitted() *Admitted {
	return &Admitted{attributes: map[string]bool{}, sets: map[string]bool{}, routes: [2]map[Route]bool{{}, {}}}
}

func (a *Admitted) holds(u *record.Upsert) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, x := range u.Attributes {
		if !a.attributes[x.Name] {
			return false
		}
	}
	for _, x := range u.Tags {
		if !a.sets[x.Name] {
			return false
		}
	}
	return len(u.Address) == 0 || a.routesLike(tocsin.Provider(u.Provider))[routeOf(u)]
}

// Admit reports whether a shard has room for a change beside what was admitted
// before, and admits it. If not, it tells the attribute or the set of tags that
// would be left out; neither is the route, and the whole change.
func (s *Shard) Admit(project tocsin.ProjectID, u *record.Upsert, a *Admitted) (attribute, set string, ok bool) {
	if a.holds(u) {
		return "", "", true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		p = newProject(project, s.number)
	}
	names, sets := p.known.Names()
	for _, native := range fields {
		if known, _ := p.known.Has(native); !known {
			names++ // it comes with the first subscriptions
		}
	}
	// What is kept must not hold on to the text that it was read from.
	var attributes, tags []string
	for _, x := range u.Attributes {
		attributes = append(attributes, strings.Clone(x.Name))
	}
	for _, x := range u.Tags {
		tags = append(tags, strings.Clone(x.Name))
	}
	var routes []Route
	if len(u.Address) > 0 {
		r := routeOf(u)
		r.Host, r.Topic = strings.Clone(r.Host), strings.Clone(r.Topic)
		routes = append(routes, r)
	}
	knownName := func(name string) bool { known, _ := p.known.Has(name); return known }
	knownSet := func(name string) bool { _, known := p.known.Has(name); return known }
	like := tocsin.Provider(u.Provider)
	if n := room(attributes, a.attributes, knownName, MaxAttributes-names); n < len(attributes) {
		return attributes[n], "", false
	}
	if n := room(tags, a.sets, knownSet, MaxTagSets-sets); n < len(tags) {
		return "", tags[n], false
	}
	if room(routes, a.routesLike(like), p.routeInUse, MaxRoutes-p.routesInUse(like)) < len(routes) {
		return "", "", false
	}
	admit(attributes, a.attributes)
	admit(tags, a.sets)
	admit(routes, a.routesLike(like))
	return "", "", true
}

// room is how many of the first wanted there is room for: those that are known
// or admitted take none.
func room[K comparable](wanted []K, admitted map[K]bool, known func(K) bool, free int) int {
	for k := range admitted {
		if !known(k) {
			free--
		}
	}
	for n, k := range wanted {
		if admitted[k] || known(k) {
			continue
		}
		if free--; free < 0 {
			return n
		}
	}
	return len(wanted)
}

func admit[K comparable](wanted []K, admitted map[K]bool) {
	for _, k := range wanted {
		admitted[k] = true
	}
}
