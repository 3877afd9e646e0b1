package plan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// The rows of a machine in its Place (those of planned sends are apart):
//
//	sends          position to read next in sends
//	waiting/ID     a scheduled send, encoded, after its position
//	ledger, ...    PlanState at a position, in parts
//
// Cursors live with the state that they produced: rows of sends are written
// before the cursor that passes them, the fold together with its position.
const (
	sendsKey   = "sends"
	waitingKey = "waiting/"
	ledgerKey  = "ledger"
)

// Place is where the machine of a shard number keeps its rows.
func Place(shard tocsin.Shard) store.Place {
	return store.Place{Table: "plan", Partition: strconv.Itoa(int(shard))}
}

// saver gathers rows and writes them now and then. What is not saved is read
// again from the journal after a crash.
type saver struct {
	rows   []store.Write // in order
	flying []store.Write // rows of the save under way
	busy   bool
	at     time.Time // no save before it

	sends, ledger         uint64 // cursors that are saved
	nextSends, nextLedger uint64 // those of the save under way
	parts, nextParts      store.Parts
}

func (s *saver) keepSend(w *waiting) {
	w.stored = true
	value := append(binary.BigEndian.AppendUint64(nil, w.position), record.Encode(w.envelope)...)
	s.rows = append(s.rows, store.Write{Key: waitingKey + w.id.String(), Value: value, Version: 2 * w.changed})
}

func (s *saver) dropSend(w *waiting) {
	if w.stored {
		s.rows = append(s.rows, store.Write{Key: waitingKey + w.id.String(), Version: 2*w.changed + 1, Delete: true})
	}
}

// dirty reports whether a save would write anything.
func (s *saver) dirty(m *Machine) bool {
	return len(s.rows) > 0 || m.sends.planned.unsaved() || m.sends.durable() > s.sends || m.retries.next > s.ledger
}

func (s *saver) nextDue(m *Machine) time.Time {
	if s.busy || !s.dirty(m) {
		return time.Time{}
	}
	return s.at
}

func (m *Machine) save(now time.Time) {
	s := &m.saver
	if s.busy || !s.dirty(m) {
		return
	}
	if s.at.IsZero() { // the first one waits too
		s.at = now.Add(m.config.Save)
	}
	if s.at.After(now) {
		return
	}
	s.busy = true
	batches := m.sends.planned.save(now, m)
	s.flying, s.rows = s.rows, nil
	steps := [][]store.Write{s.flying} // before the cursor that passes them
	s.nextSends, s.nextLedger, s.nextParts = m.sends.durable(), s.ledger, s.parts
	if s.nextSends > s.sends {
		steps = append(steps, []store.Write{{Key: sendsKey, Value: binary.BigEndian.AppendUint64(nil, s.nextSends), Version: s.nextSends}})
	}
	if m.retries.next > s.ledger {
		s.nextLedger = m.retries.next
		var put [][]store.Write
		put, s.nextParts = store.PutParts(ledgerKey, s.nextLedger, m.retries.encode(), s.parts)
		steps = append(steps, put...)
	}
	batches = append(batches[:len(batches):len(batches)], store.InSteps(Place(m.shard), steps...)...)
	s.at = now.Add(store.Pause(m.config.Save, batches))
	m.emit(Save{Batches: batches})
}

func (m *Machine) saved(now time.Time, e Saved) {
	s := &m.saver
	s.busy = false
	m.sends.planned.saved(now, e.Failed)
	if e.Failed {
		s.rows = append(s.flying, s.rows...)
		s.flying, s.at = nil, now.Add(m.config.Again)
		return
	}
	s.flying, s.parts, s.sends, s.ledger = nil, s.nextParts, s.nextSends, s.nextLedger
	m.emit(Durable{Sends: s.sends, Ledger: s.ledger})
}

// StateRows reads what Load and Snapshot take.
func StateRows(ctx context.Context, s store.Store, shard tocsin.Shard) ([]store.Row, error) {
	return store.AllOf(ctx, s, Place(shard), ledgerKey)
}

// encode is the fold with what waits, at its position. Whether a permission
// was issued is left out: after a restart each is issued once more.
func (s *retries) encode() []byte {
	state := &record.PlanState{Next: s.next, Fold: s.fold.Marshal()}
	for _, send := range s.fold.Sends() {
		for _, r := range s.bySend[send.ID].all() {
			w := &record.Wait{Send: r.send.Bytes(), Retry: r.name.record()}
			if r.credential.IsZero() {
				w.Due = r.due.UnixNano()
			} else {
				w.Credential = r.credential.Bytes()
			}
			state.Waits = append(state.Waits, w)
		}
	}
	data, err := state.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("plan: %v", err)) // bytes and numbers only
	}
	return data
}

// Load gives a new machine the rows of its place, all of them. What waits for
// a replaced credential is due at once: the replacement may have come meanwhile.
func (m *Machine) Load(now time.Time, rows []store.Row) error {
	for _, r := range rows {
		id, waits := strings.CutPrefix(r.Key, waitingKey)
		if waits && len(r.Value) > 8 {
			e, err := record.Decode(r.Value[8:])
			if err != nil {
				return fmt.Errorf("waiting send %s: %w", id, err)
			}
			send := e.GetSend()
			m.sends.add(&waiting{id: tocsin.SendID(send.GetSend()), position: binary.BigEndian.Uint64(r.Value), changed: r.Version / 2, envelope: e,
				due: time.Unix(0, send.GetDue()), stored: true})
		}
		if r.Key == sendsKey && len(r.Value) == 8 {
			m.sends.next = binary.BigEndian.Uint64(r.Value)
			m.saver.sends = m.sends.next
		}
	}
	data, parts, err := store.JoinParts(ledgerKey, rows)
	if err != nil || parts.Version == 0 {
		return err
	}
	return m.retries.decode(now, data, parts, &m.saver)
}

func (s *retries) decode(now time.Time, data []byte, parts store.Parts, saver *saver) error {
	state := new(record.PlanState)
	if err := state.UnmarshalVT(data); err != nil {
		return fmt.Errorf("state of the ledger: %w", err)
	}
	fold, err := ledger.Unmarshal(state.Fold)
	if err != nil {
		return err
	}
	s.fold, s.next = fold, state.Next
	for _, w := range state.Waits {
		send := fold.Send(tocsin.SendID(w.Send))
		if send == nil || w.Retry == nil {
			return fmt.Errorf("a retry of a send that is not open")
		}
		r := &retry{send: send.ID, scope: send.Scope, due: time.Unix(0, w.Due), name: name{w.Retry.Term, w.Retry.Claim,
			w.Retry.Page, w.Retry.From, w.Retry.To, w.Retry.Attempt}}
		if len(w.Credential) == len(r.credential) {
			copy(r.credential[:], w.Credential)
			r.due = now
		}
		s.add(r)
	}
	saver.ledger, saver.parts = state.Next, parts
	return nil
}

// Planned is how far the sends of a shard are planned, as it was saved: nothing
// below is needed here any more.
func Planned(ctx context.Context, s store.Store, shard tocsin.Shard) (uint64, error) {
	row, err := s.Get(ctx, Place(shard), sendsKey)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return row.Version, err
}

// Snapshot reads the fold of the ledger that was saved last, an empty one when
// there is none. It is a snapshot in the sense of the ledger's rules: the fold
// at a position, and nothing of an owner's memory.
func Snapshot(rows []store.Row) (*ledger.Fold, error) {
	data, parts, err := store.JoinParts(ledgerKey, rows)
	if err != nil {
		return nil, err
	}
	if parts.Version == 0 {
		return ledger.New(), nil
	}
	state := new(record.PlanState)
	if err := state.UnmarshalVT(data); err != nil {
		return nil, fmt.Errorf("plan: state of the ledger: %w", err)
	}
	return ledger.Unmarshal(state.Fold)
}
