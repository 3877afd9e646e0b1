package ledger

import "github.com/tocsin-push/tocsin"

// tomb remembers a send that is not open: closed without an origin, or cancelled
// or steered before its open.
type tomb struct {
	id                tocsin.SendID
	at                int64 // of the time in which the ledger was awake
	closed, cancelled bool
	steering          Steering
}

// tombs are kept in the order made, so that forgetting looks at the oldest.
type tombs struct {
	byID  map[tocsin.SendID]*tomb
	order []*tomb
}

func (t *tombs) add(b *tomb) {
	t.byID[b.id] = b
	t.order = append(t.order, b)
}

func (t *tombs) drop(id tocsin.SendID) { delete(t.byID, id) }

func (t *tombs) forget(now int64) {
	n := 0
	for n < len(t.order) && t.order[n].at+int64(Remembered) < now {
		if old := t.order[n]; t.byID[old.id] == old {
			delete(t.byID, old.id)
		}
		n++
	}
	t.order = t.order[n:]
}
