package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/store"
)

// planned remembers which sends were planned for as long as a client may repeat
// its request: an API that did not learn whether its append landed makes it
// again, under the same identifier.
//
// Identifiers are grouped by the minute that they were made in. Those planned
// between two saves are written once, as one row for each minute, 16 bytes a
// send; the rows expire. In memory is a minute while records of it are read: it
// is read back before the first of them is decided on. So memory and what is
// written follow the rate of sends, whatever their number: at 5,000 a second
// 80 kB are written a second, 13.8 GB are kept over 48 hours, and the three
// minutes in memory take about 40 MB, all shards together.
type planned struct {
	minutes map[int64]*minute
	rows    []store.Batch // made and not saved
	flying  []store.Batch // of the save under way
	made    uint64        // rows so far, names them
	fresh   int           // identifiers that no row holds
	asking  bool          // a Recall is under way
	again   time.Time     // no Recall before it, after one that failed
}

// minute are the identifiers made in one minute.
type minute struct {
	ids   map[tocsin.SendID]struct{}
	known bool            // read back: those planned before are among them
	fresh []tocsin.SendID // no row holds them
	used  time.Time
}

const (
	// kept is how long a minute stays in memory after its last use.
	kept = 2 * time.Minute
	// rowIDs bounds a row, in identifiers.
	rowIDs = 32 << 10
)

func minuteOf(id tocsin.SendID) int64 { return id.Time().Unix() / 60 }

// plannedPlace is where the rows of an hour are: PART/COUNT in the order made,
// named by the writer that no other shares, so that no row is written twice.
func plannedPlace(shard tocsin.Shard, minute int64) store.Place {
	return store.Place{Table: "plan", Partition: strconv.Itoa(int(shard)) + "/planned/" + strconv.FormatInt(minute/60, 10)}
}

func (p *planned) minute(id tocsin.SendID) *minute {
	n := minuteOf(id)
	m := p.minutes[n]
	if m == nil {
		m = &minute{ids: map[tocsin.SendID]struct{}{}}
		p.minutes[n] = m
	}
	return m
}

func (p *planned) has(id tocsin.SendID) bool {
	_, ok := p.minute(id).ids[id]
	return ok
}

func (p *planned) add(now time.Time, id tocsin.SendID) {
	m := p.minute(id)
	m.used = now
	if _, ok := m.ids[id]; !ok {
		m.ids[id] = struct{}{}
		m.fresh = append(m.fresh, id)
		p.fresh++
	}
}

// known reports whether all that was planned in the minute of the identifier is
// in memory. If not, or if the next minute is not, it asks for it.
func (m *Machine) known(now time.Time, id tocsin.SendID) bool {
	p := &m.sends.planned
	this := p.minute(id)
	this.used = now
	n := minuteOf(id)
	if this.known {
		if next := p.minutes[n+1]; next != nil && next.known {
			return true
		}
		n++ // its turn comes within a minute: no send is to wait for it then
	}
	if !p.asking && p.again.IsZero() {
		p.asking = true
		from := fmt.Sprintf("%d/", n)
		m.emit(Recall{Minute: n, Place: plannedPlace(m.shard, n), From: from, To: from + "~"})
	}
	return this.known
}

func (m *Machine) recalled(now time.Time, e Recalled) {
	p := &m.sends.planned
	p.asking = false
	if e.Failed {
		p.again = now.Add(m.config.Again)
		return
	}
	into := p.minutes[e.Minute]
	if into == nil {
		into = &minute{ids: map[tocsin.SendID]struct{}{}}
		p.minutes[e.Minute] = into
	}
	into.known, into.used = true, now
	for _, r := range e.Rows {
		for ids := r.Value; len(ids) >= 16; ids = ids[16:] {
			into.ids[tocsin.SendID(ids[:16])] = struct{}{}
		}
	}
}

// unsaved reports whether a save has something to write.
func (p *planned) unsaved() bool { return len(p.rows) > 0 || p.fresh > 0 }

// save makes the rows of what was planned since the last save, and returns all
// that are not saved.
func (p *planned) save(now time.Time, machine *Machine) []store.Batch {
	for _, n := range slices.Sorted(maps.Keys(p.minutes)) {
		m := p.minutes[n]
		for len(m.fresh) > 0 {
			part := m.fresh[:min(rowIDs, len(m.fresh))]
			m.fresh = m.fresh[len(part):]
			value := make([]byte, 0, 16*len(part))
			for _, id := range part {
				value = append(value, id[:]...)
			}
			p.made++
			p.rows = append(p.rows, store.Batch{Place: plannedPlace(machine.shard, n), Writes: []store.Write{{
				Key: fmt.Sprintf("%d/%016x-%d", n, machine.incarnation, p.made), Value: value, Version: 1, Expires: now.Add(machine.config.Remember),
			}}})
		}
		m.fresh = nil
	}
	p.flying, p.rows, p.fresh = p.rows, nil, 0
	return p.flying
}

func (p *planned) saved(now time.Time, failed bool) {
	if failed {
		p.rows, p.flying = append(p.flying, p.rows...), nil
		return
	}
	p.flying = nil
	for n, m := range p.minutes { // all that a minute goes without is in a row that is saved
		if len(m.fresh) == 0 && now.Sub(m.used) > kept {
			delete(p.minutes, n)
		}
	}
}
