package audience

import (
	"context"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// Reached tells who on a shard got a push of a send, as ordinals, or returns an
// error. Nobody changes the rows.
type Reached func(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error)

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
	var moved []former
	for _, m := range q.Members() {
		if m.Field != target.Sent {
			continue
		}
		if found == nil {
			found, moved = make(gotten), s.formers(project)
		}
		rows, err := s.reached(ctx, s.number, project, sendOf(m))
		if err != nil {
			return nil, err
		}
		// And those whom it reached before they moved here.
		own := false
		for _, before := range shards(moved) {
			there, err := s.reached(ctx, before, project, sendOf(m))
			if err != nil {
				return nil, err
			}
			for _, b := range moved {
				if tocsin.Shard(b.shard) != before || !there.Has(b.was) {
					continue
				}
				if !own {
					rows, own = rows.Clone(), true
				}
				rows.Add(b.ordinal)
			}
		}
		found[m] = rows
	}
	return found, nil
}

func (s *Shard) formers(project tocsin.ProjectID) []former {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if p := s.projects[project]; p != nil {
		return p.formers.all
	}
	return nil
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
