package fanout

import (
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
)

// A client steers a send while it runs. What it has asked for and not claimed
// goes back. Its rate is pace's to keep, over all shards of the process; while it
// is paused it asks for nothing, and what is on its way is stopped.

// readSteer obeys the steering of an open send, which the fold has now.
func (m *Machine) readSteer(s *ledger.Send) {
	j := m.jobs[s.ID]
	if j == nil || m.phase != owning || j.stage != open {
		return
	}
	m.tellRate(s)
	m.withdraw(j)
	if s.Steering.Paused {
		m.halt(j)
		for _, f := range j.feeds { // a pause is counted by itself
			if f.paced {
				f.before, f.paced = f.before+f.total-f.began, false
			}
		}
	}
	m.look(j)
}

// steering is that of a send that is not open yet: the newer of what its slice
// and the ledger say.
func (m *Machine) steering(j *job) ledger.Steering {
	s := ledger.SteeringOf(j.slice().GetSteer())
	if told := m.fold.Steering(j.id); told.Version > s.Version {
		return told
	}
	return s
}

// tellRate tells pace the rate of an open send that has one, or had.
func (m *Machine) tellRate(s *ledger.Send) {
	told := slices.Contains(m.rated, s.ID)
	if s.Steering.PerMinute == 0 && !told {
		return
	}
	if !told {
		m.rated = append(m.rated, s.ID)
	}
	m.toPace(pace.Steered{Send: s.ID, Shard: m.shard, Version: s.Steering.Version, PerMinute: s.Steering.PerMinute})
}

// forgetRates tells pace which sends it need not keep to a rate any more: those
// that are not open here, or all.
func (m *Machine) forgetRates(all bool) {
	m.rated = slices.DeleteFunc(m.rated, func(id tocsin.SendID) bool {
		if !all && m.fold.Send(id) != nil {
			return false
		}
		m.toPace(pace.Unsteered{Send: id, Shard: m.shard})
		return true
	})
}
