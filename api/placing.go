package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
)

// placing finds where the changes of one request go, in their order: those that
// came with it count for those behind them. All are written at one instant.
type placing struct {
	server  *Server
	project tocsin.ProjectID
	at      time.Time
	fresh   bool // the shards have applied what was acknowledged before
	count   uint64
	made    map[tocsin.SubscriptionID]audience.Made
}

func (s *Server) placing(project tocsin.ProjectID) *placing {
	return &placing{server: s, project: project, at: s.Now(), made: map[tocsin.SubscriptionID]audience.Made{}}
}

func (p *placing) place(ctx context.Context, u *record.Upsert) (audience.Placed, error) {
	if !p.fresh {
		if err := p.server.fresh(ctx); err != nil {
			return audience.Placed{}, err
		}
		p.fresh = true
	}
	p.count++
	u.Later = p.count // of the same address the last one counts, on whatever shard
	at, ok := audience.Place(p.server.Audience, p.project, u, p.made, p.at)
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
	ids, fresh := make([]tocsin.SubscriptionID, len(changes)), false
	for i, u := range changes {
		if u == nil {
			continue
		}
		ids[i] = tocsin.SubscriptionID(u.Subscription)
		if !u.Derived {
			continue
		}
		if !fresh {
			if err := s.fresh(ctx); err != nil {
				return nil, err
			}
			fresh = true
		}
		shard := s.Audience[tocsin.ShardOf(project, u.Profile, s.Shards)]
		if id, held := shard.Holder(project, tocsin.Provider(u.Provider), u.Address); held {
			ids[i] = id
		}
	}
	return ids, nil
}
