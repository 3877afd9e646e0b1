package pace

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
)

// State is what a machine knows at an instant. It shares nothing with it.
type State struct {
	Rate  float64 // pushes a second that leave, measured
	Ahead int     // pushes granted that have not left

	Subjects []SubjectState // in the order in which they were first used
	Projects []ProjectState // by identifier
	Classes  [tocsin.Synthetic + 1]Backlog
	Weights  map[tocsin.ProjectID]int // of those that have not 1
}

// Weight is that of a project.
func (s State) Weight(id tocsin.ProjectID) int { return max(1, s.Weights[id]) }

// Backlog is what is open: slices (a send counts on each shard that has some of
// it) and pushes without an outcome.
type Backlog struct{ Slices, Pushes int }

func (b *Backlog) add(l Load) {
	b.Slices += l.Slices
	b.Pushes += l.Pushes
}

// SubjectState is what is known of whom a provider counts.
type SubjectState struct {
	Subject    string
	Provider   tocsin.Provider
	Configured int           // pushes a minute; 0 none
	Granted    int           // pushes a minute that the provider is held to grant; 0: all that is configured
	Ramp       float64       // part of the quota that sends which are not urgent may use, above 0 to 1
	Until      time.Time     // nothing leaves before it; zero or past: it may
	Backlog    Backlog       // its slices are those whose first route it is
	InFlight   int           // granted and not answered
	Latency    time.Duration // of an answer, of late; 0 unknown
	Waited     time.Duration // in all, for the quota or until
	Shared     Shared
}

// Shared is how a quota stands between processes; zero while a process has all
// of it.
type Shared struct {
	Processes int // in the row, this one included
	Own       int // pushes that this one may let leave in any second, now
	Others    int // all others together
}

// ProjectState is what one project has open.
type ProjectState struct {
	Project     tocsin.ProjectID
	Environment tocsin.Environment
	Backlog
}

// State returns a copy.
func (m *Machine) State(now time.Time) State {
	state := State{Rate: m.road.rate.perSecond, Ahead: m.road.ahead, Weights: maps.Clone(m.weights)}
	subjects, projects := map[string]*Backlog{}, map[tocsin.ProjectID]*Backlog{}
	environments := map[tocsin.ProjectID]tocsin.Environment{}
	for _, loads := range m.loads {
		for _, l := range loads {
			named(subjects, l.Subject).add(l)
			named(projects, l.Project).add(l)
			environments[l.Project] = l.Environment
			state.Classes[l.Class].add(l)
		}
	}
	for _, s := range m.order {
		one := SubjectState{Subject: s.name, Configured: s.quota, Ramp: 1, Until: s.governor.paused, Backlog: *named(subjects, s.name),
			InFlight: s.underway, Latency: s.governor.latest, Waited: s.waited(now)}
		if s.governor.allowed > 0 {
			one.Granted = int(s.governor.rate(now, s.perSecond()) * 60)
		}
		if s.ramp.over > 0 && s.quota > 0 {
			one.Ramp = s.ramp.now(now)
		}
		if s.held != nil && s.quota > 0 {
			one.Shared = s.held.shared(now)
		}
		for _, r := range m.routes {
			if r.subject == s {
				one.Provider = r.key.Provider
			}
		}
		state.Subjects = append(state.Subjects, one)
	}
	for id, b := range projects {
		state.Projects = append(state.Projects, ProjectState{id, environments[id], *b})
	}
	slices.SortFunc(state.Projects, func(a, b ProjectState) int { return bytes.Compare(a.Project[:], b.Project[:]) })
	return state
}

func named[K comparable](all map[K]*Backlog, key K) *Backlog {
	if all[key] == nil {
		all[key] = &Backlog{}
	}
	return all[key]
}

// Admission says who may come in while much is open. It is a copy, for many to
// read at once.
type Admission struct {
	config   Config
	total    Backlog
	projects map[tocsin.ProjectID]Backlog
	rate     float64
}

// Admission returns how it stands now.
func (m *Machine) Admission() Admission {
	a := Admission{config: m.config, projects: map[tocsin.ProjectID]Backlog{}, rate: m.road.rate.perSecond}
	for _, shard := range slices.Sorted(maps.Keys(m.loads)) {
		for _, l := range m.loads[shard] {
			a.total.add(l)
			own := a.projects[l.Project]
			own.add(l)
			a.projects[l.Project] = own
		}
	}
	return a
}

// Refusal is why a send may not come in now.
type Refusal struct {
	Own   bool          // the project has too much open itself; else all have
	After time.Duration // when to come back, at least a second
}

// reserved is one in how many of what may be open is for sends that are not
// normal.
const reserved = 5

// comeBack bounds the time that a refused client is told.
const comeBack = 2 * time.Minute

// Refuses reports whether a new send of a project waits outside. A project may
// have open at most as much as is still free: one alone takes half of the room,
// and there is always some for the others. Normal sends leave a fifth to higher classes.
func (a *Admission) Refuses(project tocsin.ProjectID, class tocsin.Class) (Refusal, bool) {
	slices, pushes := a.config.Slices, a.config.Pushes
	if class >= tocsin.Normal {
		slices, pushes = slices-slices/reserved, pushes-pushes/reserved
	}
	own := a.projects[project]
	if own.Slices < slices-a.total.Slices && own.Pushes < pushes-a.total.Pushes {
		return Refusal{}, false
	}
	all := a.total.Slices >= slices || a.total.Pushes >= pushes
	// A tenth of what may be open has to end before it is worth coming back.
	after := comeBack
	if a.rate > 0 {
		after = time.Duration(float64(min(a.total.Pushes, a.config.Pushes/10)) / a.rate * 1e9)
	}
	return Refusal{Own: !all, After: min(max(after, time.Second), comeBack)}, true
}
