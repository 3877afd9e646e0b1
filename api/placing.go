package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
)

// placing finds the profile, and so the shard, of changes that name only the
// subscription. It must be there: such a change makes none. Show it the others
// of a request too, in their order, so that it knows who came with them.
type placing struct {
	server  *Server
	project tocsin.ProjectID
	fresh   bool                             // the shards have applied what was acknowledged before
	made    map[tocsin.SubscriptionID]string // profiles of those with an address
}

func (s *Server) placing(project tocsin.ProjectID) *placing {
	return &placing{server: s, project: project, made: map[tocsin.SubscriptionID]string{}}
}

func (p *placing) place(ctx context.Context, u *record.Upsert) error {
	id := tocsin.SubscriptionID(u.Subscription)
	if len(u.Address) > 0 {
		p.made[id] = u.Profile
		return nil
	}
	profile, known := p.made[id]
	if !known {
		if !p.fresh {
			if err := p.server.fresh(ctx); err != nil {
				return err
			}
			p.fresh = true
		}
		found, _, ok := p.server.find(p.project, id)
		if !ok || !found.Live {
			return notFound("subscription")
		}
		profile = found.Profile
	}
	if strings.HasPrefix(u.Profile, audience.UserKey("")) && u.Profile != profile {
		return invalid("user", "the subscription belongs to somebody else; register its address again")
	}
	u.Profile = profile
	return nil
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
