package audience

import (
	"context"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// Reached tells who on this shard got a push of a send, as ordinals, or returns
// an error. Nobody changes the rows.
type Reached func(ctx context.Context, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error)

// TellReached has the shard ask who got earlier sends; without it nobody did. It
// is called before anybody asks for targets.
func (s *Shard) TellReached(reached Reached) { s.reached = reached }

// gotten are the sets of one query that stand elsewhere: who got sends.
type gotten map[target.Member]*index.Rows

// whoGot reads who got the sends that a query names, before the lock is taken:
// what is evaluated with them is of that moment in this respect.
func (s *Shard) whoGot(ctx context.Context, project tocsin.ProjectID, q *target.Query) (gotten, error) {
	if q == nil || s.reached == nil {
		return nil, nil
	}
	var found gotten
	for _, m := range q.Members() {
		if m.Field != target.Sent {
			continue
		}
		rows, err := s.reached(ctx, project, sendOf(m))
		if err != nil {
			return nil, err
		}
		if found == nil {
			found = make(gotten)
		}
		found[m] = rows
	}
	return found, nil
}

// sendOf is the send that a target names; zero is none.
func sendOf(m target.Member) (send tocsin.SendID) {
	if send.UnmarshalText([]byte(m.Name)) != nil {
		return tocsin.SendID{} // target has checked it
	}
	return send
}

// rowsOf are the rows of a set that a target names; nil is nobody.
func (p *project) rowsOf(m target.Member, other gotten) *index.Rows {
	switch m.Field {
	case target.List:
		if n := p.lists.named[m.Name]; n != nil {
			return n.list.rows
		}
		return nil
	case target.Sent:
		return other[m]
	case target.Opened:
		if o := p.opened.sends[sendOf(m)]; o != nil {
			return o.rows
		}
		return nil
	}
	return p.members[m]
}
