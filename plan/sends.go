package plan

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
)

// sends is what the machine knows of its sends partition.
type sends struct {
	next      uint64 // position to read next
	waiting   map[tocsin.SendID]*waiting
	scheduled dueHeap[*waiting]
	now       []*waiting // the others, in the order in which they were read
	held      []Record   // read, and not decided on before it is known what was planned
	planned   planned
}

// waiting is a send that is not planned yet.
type waiting struct {
	id       tocsin.SendID
	position uint64
	changed  uint64 // position of the last record that changed it
	envelope *record.Envelope
	due      time.Time
	stored   bool // its row is written or about to be
	left     int  // slices not durable yet
	cut      bool
	gone     bool
}

func (w *waiting) when() time.Time { return w.due }

// readHeld decides on what was read, in order, as far as it is known what was
// planned before: a send that came later must not be cut first.
func (m *Machine) readHeld(now time.Time) {
	for len(m.sends.held) > 0 {
		r := m.sends.held[0]
		if s := r.Envelope.GetSend(); s != nil && !m.known(now, tocsin.SendID(s.Send)) {
			return
		}
		m.readSend(now, r)
		m.sends.held[0] = Record{}
		m.sends.held = m.sends.held[1:]
	}
	m.sends.held = nil
}

// readSend takes one record of sends.
func (m *Machine) readSend(now time.Time, r Record) {
	switch body := r.Envelope.Body.(type) {
	case *record.Envelope_Send:
		id := tocsin.SendID(body.Send.Send)
		if m.sends.planned.has(id) || m.sends.waiting[id] != nil {
			return
		}
		w := &waiting{id: id, position: r.Position, changed: r.Position, envelope: r.Envelope, due: time.Unix(0, body.Send.Due)}
		m.sends.add(w)
		if body.Send.Scheduled {
			m.saver.keepSend(w)
		}
	case *record.Envelope_Cancel:
		id := tocsin.SendID(body.Cancel.Send)
		w := m.sends.waiting[id]
		switch {
		case w == nil:
			// Planned already, and then the ledger's cancel decides; or its
			// record was forgotten, and then a late repeat of it must not start.
			m.sends.planned.add(now, id)
		case !w.cut:
			m.finished(now, w)
		}
	case *record.Envelope_Erase:
		for _, w := range m.sends.waiting {
			if !w.cut && bytes.Equal(w.envelope.Project, r.Envelope.Project) {
				m.erase(w, r.Position, body.Erase)
			}
		}
	case *record.Envelope_Steer: // once it is cut the ledger's steer decides
		if w := m.sends.waiting[tocsin.SendID(body.Steer.Send)]; w != nil && !w.cut {
			m.steer(w, r.Position, ledger.SteeringOf(body.Steer))
		}
	}
}

// steer keeps the newest steering of a send for its slices.
func (m *Machine) steer(w *waiting, position uint64, to ledger.Steering) {
	if to.Version <= w.envelope.GetSend().GetSteer().GetVersion() {
		return
	}
	w.envelope = proto.CloneOf(w.envelope) // the record belongs to whoever read it
	w.envelope.GetSend().Steer = to.Record()
	if w.changed = position; w.stored {
		m.saver.keepSend(w)
	}
}

// erase takes a person out of the recipients of a send.
func (m *Machine) erase(w *waiting, position uint64, e *record.Erase) {
	if !slices.ContainsFunc(w.envelope.GetSend().Recipients, e.Names) {
		return
	}
	w.envelope = proto.CloneOf(w.envelope)
	send := w.envelope.GetSend()
	send.Recipients = slices.DeleteFunc(send.Recipients, e.Names)
	if w.changed = position; w.stored {
		m.saver.keepSend(w)
	}
}

func (s *sends) add(w *waiting) {
	s.waiting[w.id] = w
	if w.envelope.GetSend().Scheduled {
		heap.Push(&s.scheduled, w)
	} else {
		s.now = append(s.now, w)
	}
}

// cutDue cuts every send whose time has come. A scheduled one takes its mark
// now, so that all who registered before this instant are in it.
func (m *Machine) cutDue(now time.Time) {
	kept := m.sends.now[:0]
	for _, w := range m.sends.now {
		if !w.gone && !w.cut {
			send := w.envelope.GetSend()
			m.cut(now, w, send.Before, send.Mark)
		}
		if !w.gone {
			kept = append(kept, w)
		}
	}
	clear(m.sends.now[len(kept):])
	m.sends.now = kept
	if m.dueNow(now) != nil && !m.askAt.After(now) && !m.asking {
		m.asking = true
		m.emit(Ends{})
	}
}

// dueNow is the scheduled send that is to be cut now, nil when there is none.
// One that was planned while the deletion of its row was lost is dropped.
func (m *Machine) dueNow(now time.Time) *waiting {
	for {
		w := m.sends.firstDue()
		if w == nil || w.due.After(now) || !m.known(now, w.id) {
			return nil
		}
		if !m.sends.planned.has(w.id) {
			return w
		}
		m.drop(w)
	}
}

// firstDue is the scheduled send that is due first, nil when there is none.
func (s *sends) firstDue() *waiting {
	for len(s.scheduled) > 0 {
		if w := s.scheduled[0]; !w.gone && !w.cut {
			return w
		}
		heap.Pop(&s.scheduled)
	}
	return nil
}

// marked cuts the scheduled sends that are due with the ends just learned.
func (m *Machine) marked(now time.Time, e Ended) {
	m.asking = false
	if e.Ends == nil {
		m.askAt = now.Add(m.config.Again)
		return
	}
	for w := m.dueNow(now); w != nil; w = m.dueNow(now) {
		m.cut(now, w, e.Before, e.Ends)
	}
}

// cut queues the slices of a send: one for each shard that can hold a
// recipient. Explicit recipients carry their profile, which decides the shard;
// those that stand in the store were counted by shard.
func (m *Machine) cut(now time.Time, w *waiting, before, mark []uint64) {
	w.cut = true
	send, scope := w.envelope.GetSend(), record.Of(w.envelope)
	explicit := len(send.Query) == 0
	var routed map[tocsin.Shard][]*record.Recipient
	if explicit {
		routed = map[tocsin.Shard][]*record.Recipient{}
		for _, r := range send.Recipients {
			shard := tocsin.ShardOf(scope.Project, r.Profile, m.config.Shards)
			routed[shard] = append(routed[shard], r)
		}
	}
	for i := range m.config.Shards {
		shard := tocsin.Shard(i)
		recipients := routed[shard]
		if explicit && len(recipients) == 0 && audience.StoredOn(send.Stored, shard) == 0 {
			continue
		}
		slice := &record.Slice{Send: send.Send, Due: send.Due, Query: send.Query, Segments: send.Segments, Recipients: recipients, Stored: send.Stored,
			Message: send.Message, Options: send.Options, Steer: send.Steer}
		if i < len(mark) {
			slice.Mark = mark[i]
		}
		if i < len(before) {
			slice.Before = before[i]
		}
		if !send.Scheduled {
			slice.Origin = &record.Origin{Shard: uint32(m.shard), Position: w.position}
		}
		w.left++
		m.queues[shard].push(scope, slice, w)
	}
	if w.left == 0 {
		m.finished(now, w)
	}
}

// finished forgets a send whose slices are durable, or that was cancelled
// first, and remembers its identifier.
func (m *Machine) finished(now time.Time, w *waiting) {
	m.drop(w)
	m.sends.planned.add(now, w.id)
}

func (m *Machine) drop(w *waiting) {
	w.gone = true
	delete(m.sends.waiting, w.id)
	m.saver.dropSend(w)
}

// durable is the position below which no record of sends is needed after the
// rows that have been gathered are saved.
func (s *sends) durable() uint64 {
	next := s.next
	if len(s.held) > 0 {
		next = min(next, s.held[0].Position)
	}
	for _, w := range s.now {
		if !w.gone {
			next = min(next, w.position)
		}
	}
	return next
}
