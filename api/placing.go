package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
)

// placing finds where the changes of one request go, in their order: those that
// came with it count for those behind them. All are written at one instant.
type placing struct {
	server  *Server
	sought  map[*record.Upsert]sought // that were looked for together
	project tocsin.ProjectID
	at      time.Time
	fresh   bool // the shards have applied what was acknowledged before
	count   uint64
	made    map[tocsin.SubscriptionID]audience.Made
}

// sought is a change with its place among those that were looked for.
type sought struct {
	in *audience.Sought
	n  int
}

func (s *Server) placing(project tocsin.ProjectID) *placing {
	return &placing{server: s, project: project, at: s.Now(), made: map[tocsin.SubscriptionID]audience.Made{}}
}

// seek looks for many changes at once, which may be placed then.
func (p *placing) seek(ctx context.Context, changes ...*record.Upsert) error {
	if !p.fresh {
		if err := p.server.fresh(ctx); err != nil {
			return err
		}
		p.fresh = true
	}
	found, err := audience.Seek(ctx, p.server.Ask, p.project, changes...)
	if err != nil {
		return err
	}
	p.sought = make(map[*record.Upsert]sought, len(changes))
	for i, u := range changes {
		p.sought[u] = sought{found, i}
	}
	return nil
}

func (p *placing) place(ctx context.Context, u *record.Upsert) (audience.Placed, error) {
	if _, known := p.sought[u]; !known {
		if err := p.seek(ctx, u); err != nil {
			return audience.Placed{}, err
		}
	}
	p.count++
	u.Later = p.count // of the same address the last one counts, on whatever shard
	of := p.sought[u]
	at, ok := of.in.Place(of.n, u, p.made, p.at)
	if !ok {
		return at, notFound("subscription")
	}
	if at.Move != nil && len(u.Address) == 0 {
		return at, invalid("user", "the subscription belongs to somebody else; tell who it is, or register its address again")
	}
	return at, nil
}

// placed is called for a change that is written.
func (p *placing) placed(u *record.Upsert, at audience.Placed) {
	made := audience.Made{At: u.Profile, Profile: u.Profile}
	if at.Move != nil {
		made.Profile = at.Move.Profile
	}
	p.made[tocsin.SubscriptionID(u.Subscription)] = made
}

// aboutOne makes of an error what is wrong with one subscription of many. Not
// ok: it is about more than that one.
func aboutOne(err error) (wrong *fieldError, ok bool) {
	f, known := problemOf(err)
	switch {
	case errors.As(err, &wrong):
		return wrong, true
	case known && len(f.Errors) > 0:
		return &fieldError{field: f.Errors[0].Field, reason: f.Errors[0].Reason}, true
	case known && f.Status == http.StatusNotFound:
		return &fieldError{field: "id", reason: f.Detail}, true
	}
	return nil, false
}

// standing is the identifier by which a registered address is known. One that
// nobody chose gives way to that of the install that is there already.
func (s *Server) standing(ctx context.Context, project tocsin.ProjectID, changes ...*record.Upsert) ([]tocsin.SubscriptionID, error) {
	ids, derived := make([]tocsin.SubscriptionID, len(changes)), map[tocsin.Shard][]*record.Upsert{}
	of := map[*record.Upsert]int{}
	for i, u := range changes {
		if u == nil {
			continue
		}
		ids[i], of[u] = tocsin.SubscriptionID(u.Subscription), i
		if u.Derived {
			shard := tocsin.ShardOf(project, u.Profile, s.Shards)
			derived[shard] = append(derived[shard], u)
		}
	}
	if len(derived) == 0 {
		return ids, nil
	}
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	err := ask.Each(slices.Collect(maps.Keys(derived)), func(_ int, shard tocsin.Shard) error {
		seen, err := s.Ask[shard].Sightings(ctx, project, derived[shard])
		for _, one := range seen {
			if one.Holder.Held {
				ids[of[derived[shard][one.Of]]] = one.Holder.ID
			}
		}
		return err
	})
	return ids, err
}
