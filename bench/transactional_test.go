package main

import (
	"testing"
)

func TestEdgeIsBetweenWhatHeldAndWhatBroke(t *testing.T) {
	good := func(rate float64) LoadRun { return LoadRun{Rate: rate, WireP99: 5} }
	slow := func(rate float64) LoadRun { return LoadRun{Rate: rate, WireP99: singleP99 + 1} }
	refused := func(rate float64) LoadRun { return LoadRun{Rate: rate, WireP99: 5, Refused: 1} }
	for _, c := range []struct {
		name        string
		all         Transactional
		held, broke float64
	}{
		{"stepping up", Transactional{Steady: []LoadRun{good(5000)}, Steps: []LoadRun{good(6250), slow(7812)}}, 6250, 7812},
		{"one refused", Transactional{Steady: []LoadRun{good(5000)}, Steps: []LoadRun{refused(6250)}}, 5000, 6250},
		{"stepping down", Transactional{Steady: []LoadRun{slow(5000)}, Steps: []LoadRun{slow(3200), good(2048)}}, 2048, 3200},
		{"never broke", Transactional{Steady: []LoadRun{good(5000)}, Steps: []LoadRun{good(6250)}}, 6250, 0},
	} {
		if held, broke := c.all.edge(); held != c.held || broke != c.broke {
			t.Errorf("%s: held %v, broke %v", c.name, held, broke)
		}
	}
}
