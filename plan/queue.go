package plan

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// batch bounds what is appended at once, in slices; a slice may be 512 KiB.
const batch = 64

// queue orders what goes to one shard's slices: one append at a time, repeated
// unchanged until it is durable, so that identities never overtake each other.
type queue struct {
	writer *record.Writer
	waits  []queued
	flying []queued
	again  time.Time // when a failed append is repeated
}

type queued struct {
	envelope *record.Envelope
	scope    record.Scope
	send     *waiting // nil for a permission
}

func (q *queue) push(scope record.Scope, slice *record.Slice, w *waiting) {
	q.waits = append(q.waits, queued{
		envelope: &record.Envelope{Body: &record.Envelope_Slice{Slice: slice}}, scope: scope, send: w,
	})
}

// flush appends what waits wherever nothing is under way.
func (m *Machine) flush(now time.Time) {
	for i := range m.queues {
		q := &m.queues[i]
		if len(q.flying) > 0 {
			if !q.again.IsZero() && !q.again.After(now) {
				q.again = time.Time{}
				m.emit(Append{Shard: tocsin.Shard(i), Slices: envelopes(q.flying)})
			}
			continue
		}
		if len(q.waits) == 0 {
			continue
		}
		n := min(batch, len(q.waits))
		q.flying, q.waits = q.waits[:n:n], q.waits[n:]
		for _, f := range q.flying {
			q.writer.Next(f.envelope, now, f.scope)
		}
		m.emit(Append{Shard: tocsin.Shard(i), Slices: envelopes(q.flying)})
	}
}

func envelopes(list []queued) []*record.Envelope {
	all := make([]*record.Envelope, len(list))
	for i, f := range list {
		all[i] = f.envelope
	}
	return all
}

func (m *Machine) appended(now time.Time, e Appended) {
	q := &m.queues[e.Shard]
	if e.Failed {
		q.again = now.Add(m.config.Again)
		return
	}
	for _, f := range q.flying {
		if f.send == nil {
			continue
		}
		if f.send.left--; f.send.left == 0 {
			m.finished(now, f.send)
		}
	}
	q.flying = nil
}
