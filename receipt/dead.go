package receipt

import (
	"time"

	"github.com/tocsin-push/tocsin/record"
)

// dead orders the addresses that providers called dead into changes: one
// append at a time, repeated unchanged until it is durable. Until then they
// are part of the saved state. audience decides whether an address still is
// the one that was used, so a repeat does no harm.
type dead struct {
	writer *record.Writer
	waits  []group
	flying []group
	sent   []*record.Envelope
	again  time.Time // when a failed append is repeated
}

type group struct {
	scope     record.Scope
	addresses []*record.Address
}

func (d *dead) push(s record.Scope, addresses []*record.Address) {
	d.waits = append(d.waits, group{s, addresses})
}

// drop appends what waits unless an append is under way.
func (m *Machine) drop(now time.Time) {
	d := &m.dead
	if len(d.flying) > 0 {
		if !d.again.IsZero() && !d.again.After(now) {
			d.again = time.Time{}
			m.emit(Append{Changes: d.sent})
		}
		return
	}
	if len(d.waits) == 0 {
		return
	}
	d.flying, d.waits, d.sent = d.waits, nil, nil
	for _, g := range d.flying {
		changes := &record.Changes{}
		for _, a := range g.addresses {
			changes.Changes = append(changes.Changes, &record.Change{Change: &record.Change_Gone{Gone: a}})
		}
		d.sent = append(d.sent, d.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: changes}}, now, g.scope))
	}
	m.emit(Append{Changes: d.sent})
}

func (m *Machine) appended(now time.Time, e Appended) {
	if e.Failed {
		m.dead.again = now.Add(m.config.Again)
		return
	}
	m.dead.flying, m.dead.sent = nil, nil
}
