package receipt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// ErrNotTargeted: the send was not opened on this shard, or the ordinal is not
// in its audience.
var ErrNotTargeted = errors.New("receipt: not in the audience of the send")

// Trace is the story of one push.
type Trace struct {
	Page, Index int
	Provider    tocsin.Provider // that the page leaves through
	Attempts    []Attempt
	State       ledger.State // an outcome, or where it stands
	Reason      tocsin.Reason
	Doubt       bool
}

// Attempt is one claim of the push and how it ended.
type Attempt struct {
	ask.Attempt

	term, claim uint64 // that made it
	from        int    // first push of the claim
}

// Live is what a machine holds of a push that is not in the store, or not yet.
type Live struct {
	open    bool // the send is; then page, index and push are known
	page    int
	index   int
	via     tocsin.Provider
	push    ledger.Push
	next    uint64 // position: what the store says at or above it is left out
	pending []store.Write
}

// Live takes down what Story needs beside the rows, as of now. It is
// ErrNotTargeted when the send is open and the ordinal is not in its audience.
func (m *Machine) Live(id tocsin.SendID, ordinal uint32) (l Live, err error) {
	l.next = m.next
	l.pending = append(slices.Clone(m.rows.flying[id]), m.rows.pending[id]...)
	if c := m.open[id]; c != nil {
		if l.page, l.index, l.open = c.send.Locate(ordinal); !l.open {
			return l, ErrNotTargeted
		}
		page := c.send.Page(l.page)
		l.via, l.push = page.Lot().Provider, page.Push(l.index)
	}
	return l, nil
}

// find tells the page and index of an ordinal from the rows of the open.
func (l *Live) find(ordinal uint32, rows []store.Row) error {
	if l.open {
		return nil
	}
	first, chunks := 0, uint32(0)
	for _, data := range l.rows(rows, "open/") {
		e, err := record.Decode(data)
		if err != nil {
			return fmt.Errorf("receipt: row of an open: %w", err)
		}
		if o := e.GetOpen(); o.GetChunk() == 0 {
			chunks = o.GetChunks()
		} else if o.GetChunk() >= chunks {
			break // of a longer open, torn by a take before this one
		}
		for _, lot := range e.GetOpen().GetLots() {
			bits := roaring.New()
			if _, err := bits.FromBuffer(lot.Ordinals); err != nil {
				return fmt.Errorf("receipt: ordinals of a lot: %w", err)
			}
			if bits.Contains(ordinal) {
				rank := int(bits.Rank(ordinal)) - 1
				l.via = tocsin.Provider(lot.Route.GetProvider())
				l.page, l.index = first+rank/tocsin.PageSize, rank%tocsin.PageSize
				return nil
			}
			first += (int(lot.Count) + tocsin.PageSize - 1) / tocsin.PageSize
		}
	}
	return ErrNotTargeted
}

// rows are the values below a prefix, those of the store and those on their
// way to it, in the order of their keys.
func (l *Live) rows(stored []store.Row, prefix string) (values [][]byte) {
	newest := map[string]store.Write{}
	take := func(w store.Write) {
		if strings.HasPrefix(w.Key, prefix) && w.Version < l.next && newest[w.Key].Version <= w.Version {
			newest[w.Key] = w
		}
	}
	for _, r := range stored {
		take(store.Write{Key: r.Key, Value: r.Value, Version: r.Version})
	}
	for _, w := range l.pending {
		take(w)
	}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		values = append(values, newest[key].Value)
	}
	return values
}

// story tells what became of a push from the rows of its page.
func (l *Live) story(rows []store.Row) (Trace, error) {
	t := Trace{Page: l.page, Index: l.index, Provider: l.via}
	for _, data := range l.rows(rows, pagePrefix(l.page)) {
		e, err := record.Decode(data)
		if err != nil {
			return Trace{}, fmt.Errorf("receipt: row of a page: %w", err)
		}
		t.add(e, l.index)
	}
	if l.open {
		t.State, t.Reason, t.Doubt = l.push.State(), l.push.Reason(), l.push.Mark()
		return t, nil
	}
	for _, data := range l.rows(rows, endKey(l.page)) {
		end := new(record.PageEnd)
		if err := end.UnmarshalVT(data); err != nil {
			return Trace{}, fmt.Errorf("receipt: end of a page: %w", err)
		}
		at := 0
		for _, run := range end.Runs {
			if at += int(run.Count); l.index < at {
				t.State, t.Reason, t.Doubt = ledger.Ended(tocsin.Outcome(run.Outcome)), tocsin.Reason(run.Reason), run.Mark
				return t, nil
			}
		}
	}
	return Trace{}, fmt.Errorf("receipt: the end of page %d is missing", l.page)
}

// add takes one record of the page. All that are kept were in force.
func (t *Trace) add(e *record.Envelope, index int) {
	at := time.Unix(0, e.At)
	switch body := e.Body.(type) {
	case *record.Envelope_Claim:
		c := body.Claim
		if int(c.From) <= index && index < int(c.To) {
			t.Attempts = append(t.Attempts, Attempt{Attempt: ask.Attempt{Number: int(c.Attempt), Claimed: at}, term: c.Stamp.GetTerm(), claim: c.Stamp.GetSeq(), from: int(c.From)})
		}
	case *record.Envelope_Take:
		if a := t.last(); a != nil && a.Settled.IsZero() && a.TakenOver.IsZero() {
			a.TakenOver, a.Doubt = at, true
		}
	case *record.Envelope_Settle:
		s := body.Settle
		a := t.last()
		if a == nil || a.term != s.Stamp.GetTerm() || a.claim != s.Claim {
			return
		}
		next := a.from
		for _, run := range s.Runs {
			if next += int(run.Count); index < next {
				a.Settled, a.Result, a.Reason, a.Doubt = at, ledger.Result(run.Result), tocsin.Reason(run.Reason), run.Mark
				if run.NotBefore != 0 {
					a.NotBefore = time.Unix(0, run.NotBefore)
				}
				if s.LastWrite != 0 && a.Result != ledger.Released {
					a.Written = time.Unix(0, s.LastWrite)
				}
				return
			}
		}
	}
}

func (t *Trace) last() *Attempt {
	if len(t.Attempts) == 0 {
		return nil
	}
	return &t.Attempts[len(t.Attempts)-1]
}
