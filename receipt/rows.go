package receipt

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// The rows. In Place: "ledger", ...: ReceiptState at a position, in parts. In
// SendPlace, of one send on one shard, all expiring with it:
//
//	counters            Counters
//	open/CHUNK          the open, as it stands in the ledger
//	page/PAGE/POSITION  a claim or settle of the page, or a take that ended one
//	end/PAGE            PageEnd, written when the send is closed
//
// A small send has them packed with those of others, see pack. They are written
// before the state whose position passes them.
const (
	stateKey    = "ledger"
	countersKey = "counters"
)

// Place is where the machine of a shard keeps its state.
func Place(shard tocsin.Shard) store.Place {
	return store.Place{Table: "receipt", Partition: strconv.Itoa(int(shard))}
}

// SendPlace is where the rows of one send on one shard are.
func SendPlace(shard tocsin.Shard, id tocsin.SendID) store.Place {
	return store.Place{Table: "receipt", Partition: strconv.Itoa(int(shard)) + "/" + id.String()}
}

func pagePrefix(page int) string { return string(padded(nil, "page/", uint64(page), 6)) + "/" }

// padded appends a number with leading zeros.
func padded(b []byte, before string, n uint64, digits int) []byte {
	b = append(b, before...)
	from := len(b)
	b = append(b, "00000000000000000000"[:digits]...)
	for i := len(b) - 1; n > 0 && i >= from; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

func endKey(page int) string { return fmt.Sprintf("end/%06d", page) }
func openKey(chunk uint32) string {
	return fmt.Sprintf("open/%04d", chunk)
}

// rows gathers what is to be written.
type rows struct {
	pending  map[tocsin.SendID][]store.Write
	flying   map[tocsin.SendID][]store.Write
	ended    map[tocsin.SendID]*record.Counters // closed; until its row is written
	whole    map[tocsin.SendID]bool             // those of them without a row before
	blocks   uint64                             // packed so far
	deflater deflater
	busy     bool
	at       time.Time

	next, nextFlying   uint64 // position of the saved state
	parts, partsFlying store.Parts
}

func (m *Machine) keep(id tocsin.SendID, at int64, w store.Write) {
	w.Expires = time.Unix(0, at).Add(m.config.Retention)
	m.rows.pending[id] = append(m.rows.pending[id], w)
}

// tracePage keeps a record as part of a page's story.
func (m *Machine) tracePage(id tocsin.SendID, page int, r Record) {
	var key [32]byte // "page/", 6 digits, "/", 20 digits
	m.keep(id, r.Envelope.At, store.Write{Key: string(padded(padded(key[:0], "page/", uint64(page), 6), "/", r.Position, 20)), Value: record.Encode(r.Envelope), Version: r.Position})
}

// keepOpen keeps a chunk of an open. One that a take voids before its last
// chunk is overwritten by the open that takes its place.
func (m *Machine) keepOpen(r Record, o *record.Open) {
	m.keep(tocsin.SendID(o.Send), r.Envelope.At, store.Write{Key: openKey(o.Chunk), Value: record.Encode(r.Envelope), Version: r.Position})
}

func (m *Machine) keepEnds(position uint64, s *ledger.Send) {
	for n := range s.Pages() {
		page := s.Page(n)
		end := &record.PageEnd{}
		for span, push := range page.Runs(ledger.Span{From: 0, To: page.Size()}) {
			end.Runs = append(end.Runs, &record.PushRun{Count: uint32(span.To - span.From), Outcome: uint32(push.Outcome()),
				Reason: uint32(push.Reason()), Mark: push.Mark(), Attempt: uint32(push.Attempt())})
		}
		m.keep(s.ID, m.rows.ended[s.ID].Ended, store.Write{Key: endKey(n), Value: marshal(end), Version: position})
	}
}

func marshal(m interface{ MarshalVT() ([]byte, error) }) []byte {
	data, err := m.MarshalVT()
	if err != nil {
		panic(fmt.Sprintf("receipt: %v", err)) // bytes and numbers only
	}
	return data
}

func (m *Machine) saveDue() time.Time {
	if m.rows.busy || m.next <= m.rows.next {
		return time.Time{}
	}
	return m.rows.at
}

func (m *Machine) save(now time.Time) {
	r := &m.rows
	if r.busy || m.next <= r.next {
		return
	}
	if r.at.IsZero() { // the first one waits too
		r.at = now.Add(m.config.Save)
	}
	if r.at.After(now) {
		return
	}
	r.busy = true
	for _, s := range m.fold.Sends() {
		if c := m.open[s.ID]; c.position > c.saved {
			c.saved = c.position
			c.spread = true
			m.keep(s.ID, c.touched, store.Write{Key: countersKey, Value: marshal(c.counters()), Version: c.position})
		}
	}
	for id, c := range r.ended {
		if !slices.ContainsFunc(r.pending[id], func(w store.Write) bool { return w.Key == countersKey && w.Version == c.Position }) {
			m.keep(id, c.Ended, store.Write{Key: countersKey, Value: marshal(c), Version: c.Position})
		}
	}
	r.flying, r.pending = r.pending, map[tocsin.SendID][]store.Write{}
	var batches []store.Batch
	var small []tocsin.SendID
	for _, id := range slices.SortedFunc(maps.Keys(r.flying), func(a, b tocsin.SendID) int { return slices.Compare(a[:], b[:]) }) {
		if r.whole[id] && bytesOf(r.flying[id]) <= briefMost {
			small = append(small, id)
			continue
		}
		batches = append(batches, store.Batches(SendPlace(m.shard, id), r.flying[id])...)
	}
	r.nextFlying = m.next
	batches = append(batches, m.pack(m.next, small)...)
	var steps [][]store.Write
	steps, r.partsFlying = store.PutParts(stateKey, m.next, m.encode(), r.parts)
	batches = append(batches, store.InSteps(Place(m.shard), steps...)...)
	r.at = now.Add(store.Pause(m.config.Save, batches))
	m.emit(Save{Batches: batches})
}

func bytesOf(writes []store.Write) (n int) {
	for _, w := range writes {
		n += len(w.Key) + len(w.Value)
	}
	return n
}

func (m *Machine) saved(now time.Time, e Saved) {
	r := &m.rows
	r.busy = false
	if e.Failed {
		for id, writes := range r.flying {
			r.pending[id] = append(writes, r.pending[id]...)
		}
		r.flying, r.at = nil, now.Add(m.config.Again)
		return
	}
	for id, c := range r.ended {
		if c.Position < r.nextFlying {
			delete(r.ended, id)
			delete(r.whole, id)
		}
	}
	r.flying, r.next, r.parts = nil, r.nextFlying, r.partsFlying
	m.emit(Durable{Ledger: r.next})
}

// encode is the fold with the counters of open sends, at its position.
func (m *Machine) encode() []byte {
	state := &record.ReceiptState{Next: m.next, Fold: m.fold.Marshal()}
	for _, s := range m.fold.Sends() {
		state.Open = append(state.Open, m.open[s.ID].counters())
	}
	for _, g := range append(m.dead.flying[:len(m.dead.flying):len(m.dead.flying)], m.dead.waits...) {
		state.Dead = append(state.Dead, &record.Dead{Project: g.scope.Project.Bytes(), Environment: uint32(g.scope.Environment),
			Class: uint32(g.scope.Class), Addresses: g.addresses})
	}
	return marshal(state)
}

// Load gives a new machine the rows of its place, all of them.
func (m *Machine) Load(list []store.Row) error {
	data, parts, err := store.JoinParts(stateKey, list)
	if err != nil || parts.Version == 0 {
		return err
	}
	state := new(record.ReceiptState)
	if err := state.UnmarshalVT(data); err != nil {
		return fmt.Errorf("receipt: state of the ledger: %w", err)
	}
	if m.fold, err = ledger.Unmarshal(state.Fold); err != nil {
		return fmt.Errorf("receipt: %w", err)
	}
	m.next, m.rows.next, m.rows.parts = state.Next, state.Next, parts
	for _, c := range state.Open {
		send := m.fold.Send(tocsin.SendID(c.Send))
		if send == nil {
			return fmt.Errorf("receipt: counters of a send that is not open")
		}
		m.open[send.ID] = resume(send, c)
	}
	if len(m.open) != len(m.fold.Sends()) {
		return fmt.Errorf("receipt: an open send has no counters")
	}
	for _, d := range state.Dead {
		m.dead.push(record.Of(&record.Envelope{Project: d.Project, Environment: d.Environment, Class: d.Class}), d.Addresses)
	}
	return nil
}

// Snapshot reads the fold of the ledger that was saved last, an empty one when
// there is none. It is a snapshot in the sense of the ledger's rules: the fold
// at a position, and nothing of an owner's memory.
func Snapshot(rows []store.Row) (*ledger.Fold, error) {
	data, parts, err := store.JoinParts(stateKey, rows)
	if err != nil {
		return nil, err
	}
	if parts.Version == 0 {
		return ledger.New(), nil
	}
	state := new(record.ReceiptState)
	if err := state.UnmarshalVT(data); err != nil {
		return nil, fmt.Errorf("receipt: state of the ledger: %w", err)
	}
	return ledger.Unmarshal(state.Fold)
}
