package pace

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
)

func TestTheStateIsTold(t *testing.T) {
	s, r := serve(t, 600_000, time.Second, time.Second)
	s.rate = 5000
	s.send(1, tocsin.Urgent, r, "project", 10_000_000)
	mine, other := tocsin.ProjectID{1, 1}, tocsin.ProjectID{2}
	s.tell(Opened{Shard: 1, Loads: []Load{{Route: r, Subject: "project", Project: mine, Class: tocsin.Urgent, Slices: 1, Pushes: 5_000_000}}})
	s.tell(Opened{Shard: 2, Loads: []Load{
		{Route: r, Subject: "project", Project: mine, Class: tocsin.Urgent, Slices: 1, Pushes: 3_000_000},
		{Project: other, Class: tocsin.Normal, Slices: 4, Pushes: 40},
	}})
	s.run(start.Add(10 * time.Second))
	state := s.m.State(s.now)
	if len(state.Subjects) != 1 || state.Rate < 3000 || state.Rate > 7000 {
		t.Fatalf("%+v", state)
	}
	one := state.Subjects[0]
	if one.Subject != "project" || one.Provider != tocsin.FCM || one.Configured != 600_000 || one.Granted < 250_000 || one.Granted > 350_000 ||
		one.Until.IsZero() || one.Latency < 25*time.Millisecond || one.Latency > 40*time.Millisecond || one.InFlight == 0 || one.Waited < 5*time.Second {
		t.Errorf("%+v", one)
	}
	if want := (Backlog{2, 8_000_000}); one.Backlog != want || state.Classes[tocsin.Urgent] != want || len(state.Projects) != 2 ||
		state.Projects[0] != (ProjectState{mine, 0, want}) || state.Projects[1] != (ProjectState{other, 0, Backlog{4, 40}}) {
		t.Errorf("backlog %+v, classes %+v, projects %+v", one.Backlog, state.Classes, state.Projects)
	}
	s.tell(Opened{Shard: 2})
	if state = s.m.State(s.now); len(state.Projects) != 1 || state.Subjects[0].Backlog.Pushes != 5_000_000 {
		t.Errorf("after a shard has ended all: %+v", state)
	}
}

func TestAdmission(t *testing.T) {
	config := Default()
	config.Slices, config.Pushes = 1000, 100_000
	m := New(config)
	open := func(project byte, slices, pushes int) {
		m.Step(start, Opened{Shard: tocsin.Shard(project), Loads: []Load{{Project: tocsin.ProjectID{project}, Class: tocsin.Normal, Slices: slices, Pushes: pushes}}})
	}
	check := func(what string, project byte, class tocsin.Class, refused, own bool) {
		t.Helper()
		a := m.Admission()
		r, is := a.Refuses(tocsin.ProjectID{project}, class)
		if is != refused || is && (r.Own != own || r.After < time.Second || r.After > comeBack) {
			t.Errorf("%s: refused %t, %+v", what, is, r)
		}
	}
	check("nothing is open", 1, tocsin.Normal, false, false)
	open(1, 1, 39_999)
	check("less than is free", 1, tocsin.Normal, false, false)
	open(1, 1, 40_000)
	check("as much as is free", 1, tocsin.Normal, true, true)
	check("what is reserved is free for an urgent one", 1, tocsin.Urgent, false, false)
	check("there is room for others", 2, tocsin.Normal, false, false)
	open(2, 1, 20_000)
	check("a third of all", 2, tocsin.Normal, true, true)
	check("for a third project", 3, tocsin.Normal, false, false)
	open(3, 1, 20_000)
	check("all of what normal ones get", 4, tocsin.Normal, true, false)
	check("the others still get in", 4, tocsin.Transactional, false, false)
	open(3, 1, 40_000)
	check("all", 4, tocsin.Urgent, true, false)
	open(1, 1, 1)
	open(2, 400, 1)
	open(3, 1, 1)
	check("many small ones", 2, tocsin.Normal, true, true)
	check("beside many small ones", 3, tocsin.Normal, false, false)
}

// The time to come back is that in which a tenth of what may be open ends.
func TestWhenToComeBack(t *testing.T) {
	n := nightfall(t, 1_000_000)
	n.m.config.Pushes = 50_000_000
	n.begin(1, tocsin.Urgent, 5_000_000)
	n.run(n.now.Add(time.Second))
	n.tell(Opened{Shard: 1, Loads: []Load{{Project: tocsin.ProjectID{1}, Class: tocsin.Normal, Slices: 1, Pushes: 60_000_000}}})
	a := n.m.Admission()
	if r, is := a.Refuses(tocsin.ProjectID{2}, tocsin.Normal); !is || r.After < 4500*time.Millisecond || r.After > 5500*time.Millisecond {
		t.Errorf("refused %t, %+v", is, r)
	}
}
