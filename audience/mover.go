package audience

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Mover is the machine that brings what a shard has for others to their logs,
// in order, and then says in its own log that it is durable there (Leave). What
// is in the outbox follows from the log, so it remembers nothing that must
// outlive it: whoever begins anew brings all of it again.
//
// Step holds no clock and does no I/O.
type Mover struct {
	outbox []Message
	lanes  map[tocsin.Shard]*lane
	wake   time.Time // asked for; zero: none
}

// lane is the way to one shard. One append to it is under way at a time, and
// nothing overtakes what failed.
type lane struct {
	to      tocsin.Shard
	durable map[tocsin.ProjectID]uint64 // there
	left    map[tocsin.ProjectID]uint64 // of that, what the own log says
	sending bool
	leaving bool
	sendAt  time.Time // not before, after a failure; and the same for leaving
	leaveAt time.Time
}

// moverPause is how long a lane waits after a failure.
const moverPause = 50 * time.Millisecond

// NewMover is for one shard.
func NewMover() *Mover { return &Mover{lanes: map[tocsin.Shard]*lane{}} }

// MoverEvent is what can happen to a Mover.
type MoverEvent interface{ moverEvent() }

// MoverEffect is what a Mover asks for.
type MoverEffect interface{ moverEffect() }

type (
	// Pending brings the outbox as it is now.
	Pending struct{ Outbox []Message }

	// Brought answers Bring. Failed: any part of it may be in the log, or come later.
	Brought struct {
		Bring
		Failed bool
	}

	// Left answers Depart.
	Left struct {
		Depart
		Failed bool
	}

	// MoverTick comes after MoverWake.
	MoverTick struct{}
)

func (Pending) moverEvent()   {}
func (Brought) moverEvent()   {}
func (Left) moverEvent()      {}
func (MoverTick) moverEvent() {}

type (
	// Bring appends messages, in order, to the log of a shard.
	Bring struct {
		To       tocsin.Shard
		Messages []Message
	}

	// Depart appends what Leaves makes of it to the own log.
	Depart struct {
		To      tocsin.Shard
		Numbers map[record.Scope]uint64
	}

	// MoverWake asks for a MoverTick.
	MoverWake struct{ At time.Time }
)

func (Bring) moverEffect()     {}
func (Depart) moverEffect()    {}
func (MoverWake) moverEffect() {}

// Step takes one event and returns what is to be done.
func (m *Mover) Step(now time.Time, e MoverEvent) []MoverEffect {
	switch e := e.(type) {
	case Pending:
		m.outbox = e.Outbox
		for _, x := range m.outbox {
			if m.lanes[x.To] == nil {
				m.lanes[x.To] = &lane{to: x.To, durable: map[tocsin.ProjectID]uint64{}, left: map[tocsin.ProjectID]uint64{}}
			}
		}
	case Brought:
		l := m.lanes[e.To]
		l.sending = false
		if e.Failed {
			l.sendAt = now.Add(moverPause)
		} else {
			for _, x := range e.Messages {
				l.durable[x.Scope.Project] = x.Arrive.Number
			}
		}
	case Left:
		l := m.lanes[e.To]
		l.leaving = false
		if e.Failed {
			l.leaveAt = now.Add(moverPause)
		} else {
			for scope, number := range e.Numbers {
				l.left[scope.Project] = number
			}
		}
	case MoverTick:
		m.wake = time.Time{}
	}
	return m.begin(now)
}

// begin starts whatever can be done now.
func (m *Mover) begin(now time.Time) (effects []MoverEffect) {
	var wake time.Time
	later := func(at time.Time) bool {
		if !at.After(now) {
			return false
		}
		if wake.IsZero() || at.Before(wake) {
			wake = at
		}
		return true
	}
	for _, l := range slices.SortedFunc(maps.Values(m.lanes), func(a, b *lane) int { return cmp.Compare(a.to, b.to) }) {
		if next := m.next(l); !l.sending && len(next) > 0 && !later(l.sendAt) {
			l.sending = true
			effects = append(effects, Bring{l.to, next})
		}
		if l.leaving {
			continue
		}
		numbers := map[record.Scope]uint64{}
		for _, x := range m.outbox {
			if n := l.durable[x.Scope.Project]; x.To == l.to && l.left[x.Scope.Project] < n {
				numbers[x.Scope] = n
			}
		}
		if len(numbers) > 0 && !later(l.leaveAt) {
			l.leaving = true
			effects = append(effects, Depart{l.to, numbers})
		}
	}
	if !wake.IsZero() && (m.wake.IsZero() || wake.Before(m.wake)) {
		m.wake = wake
		effects = append(effects, MoverWake{wake})
	}
	return effects
}

// bringBytes bounds what is brought at once.
const bringBytes = 1 << 20

// next are the first of a lane's messages that are not durable yet.
func (m *Mover) next(l *lane) (next []Message) {
	size := 0
	for _, x := range m.outbox {
		if x.To != l.to || x.Arrive.Number <= l.durable[x.Scope.Project] {
			continue
		}
		if size += x.Arrive.SizeVT(); size > bringBytes && len(next) > 0 {
			break
		}
		next = append(next, x)
	}
	return next
}

// Records are messages as records of a log: one for each run of a project's, of
// a good size.
func Records(messages []Message) (bodies []*record.Envelope, scopes []record.Scope) {
	const most, full = 256, 256 << 10
	size := 0
	var now *record.Changes
	for i, x := range messages {
		n := x.Arrive.SizeVT()
		if i == 0 || x.Scope != messages[i-1].Scope || len(now.Changes) == most || size+n > full {
			now, size = &record.Changes{}, 0
			bodies = append(bodies, &record.Envelope{Body: &record.Envelope_Changes{Changes: now}})
			scopes = append(scopes, x.Scope)
		}
		now.Changes = append(now.Changes, &record.Change{Change: &record.Change_Arrive{Arrive: x.Arrive}})
		size += n
	}
	return bodies, scopes
}

// Leaves are the records that a Depart appends: a Leave for each project.
func Leaves(d Depart) (bodies []*record.Envelope, scopes []record.Scope) {
	scopes = slices.SortedFunc(maps.Keys(d.Numbers), func(a, b record.Scope) int { return bytes.Compare(a.Project[:], b.Project[:]) })
	for _, scope := range scopes {
		leave := &record.Change{Change: &record.Change_Leave{Leave: &record.Leave{To: uint32(d.To), Number: d.Numbers[scope]}}}
		bodies = append(bodies, &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: []*record.Change{leave}}}})
	}
	return bodies, scopes
}
