package fanout

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
)

// stateAge is how old the state may be that an outlook stands on: many may ask
// at once.
const stateAge = 100 * time.Millisecond

// stated is a state and when it was asked for.
type stated struct {
	pace.State
	at time.Time
}

// recent asks once for all who find it too old.
func (l *Lanes) recent(ctx context.Context) (pace.State, error) {
	if s := l.stated.Load(); s != nil && time.Since(s.at) < stateAge {
		return s.State, nil
	}
	found, err, _ := l.stating.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		s := &stated{at: time.Now()}
		var err error
		if s.State, err = l.State(ctx); err == nil {
			l.stated.Store(s)
		}
		return s.State, err
	})
	return found.(pace.State), err
}

// Outlook tells what stands before a send of a project that goes out on these
// routes: now, or at some later time, of which only the quotas are known.
func (l *Lanes) Outlook(ctx context.Context, project tocsin.ProjectID, class tocsin.Class, shares []ask.Share, later bool) (ask.Outlook, error) {
	ids, err := l.accounts.IDs(ctx, project)
	if err != nil {
		return ask.Outlook{}, err
	}
	credentials := sync.OnceValues(func() ([]provider.Credential, error) { return l.accounts.Credentials(ctx, project) })
	o := ask.Outlook{Now: time.Now()}
	pushes := 0
	at := map[string]int{}
	for _, share := range shares {
		w, err := l.wayOf(share, ids, credentials)
		if err != nil {
			return ask.Outlook{}, err
		}
		i, known := at[w.Subject]
		if !known {
			i = len(o.Ways)
			at[w.Subject] = i
			o.Ways = append(o.Ways, w)
		} else {
			o.Ways[i].Pushes += w.Pushes
		}
		pushes += w.Pushes
	}
	if class < tocsin.Normal {
		for i := range o.Ways {
			o.Ways[i].Ramp = ask.Ramp{}
		}
	}
	if later {
		return o, nil
	}
	state, err := l.recent(ctx)
	if err != nil {
		return ask.Outlook{}, err
	}
	ahead := before(state, project, class, pushes)
	for _, s := range state.Subjects {
		i, ours := at[s.Subject]
		if !ours {
			continue
		}
		w := &o.Ways[i]
		w.Until, w.Latency = s.Until, s.Latency
		if granted := float64(s.Granted) / 60; granted > 0 && (w.Quota == 0 || granted < w.Quota) {
			w.Quota = granted
		}
		if w.Ramp.Over > 0 {
			w.Ramp.Level = s.Ramp
		}
		w.Ahead = min(s.Backlog.Pushes, ahead)
		ahead -= w.Ahead
	}
	o.Ahead = ahead
	return o, nil
}

// used is the part of a quota that pace lets leave in a second: it counts a
// little more than a second.
const used = 0.97

// lowest is where the ramp of a subject begins that was not used of late.
const lowest = 0.01

// wayOf is whom a provider counts for a share, and the quota that was
// configured. An open lane tells; credentials are read for the others.
func (l *Lanes) wayOf(share ask.Share, ids map[tocsin.Provider]tocsin.CredentialID, credentials func() ([]provider.Credential, error)) (ask.Way, error) {
	w, route := ask.Way{Provider: share.Route.Provider, Pushes: int(share.Pushes)}, share.Route
	if route.Credential.IsZero() {
		route.Credential = ids[route.Provider]
	}
	l.mu.RLock()
	lane, known := l.open[route]
	l.mu.RUnlock()
	if !known {
		all, err := credentials()
		if len(all) == 0 && err != nil {
			return w, err
		}
		by := l.providers[route.Provider]
		i := slices.IndexFunc(all, func(c provider.Credential) bool { return c.ID == route.Credential && c.Provider == route.Provider })
		if by == nil || i < 0 {
			return w, nil // nothing can leave there
		}
		lane = countedAs(by, route, all[i])
	}
	w.Subject, w.Quota, w.Ramp = lane.subject, float64(lane.quota)/60*used, ask.Ramp{Level: lowest, Over: lane.ramp}
	return w, nil
}

// before is how much of what is open takes turns with a send of so many pushes:
// of each other project as much as the send itself has, by their weights; of its
// own all; nothing of lower classes.
func before(s pace.State, project tocsin.ProjectID, class tocsin.Class, pushes int) (ahead int) {
	higher := 0
	for c := tocsin.Urgent; c <= class; c++ {
		higher += s.Classes[c].Pushes
	}
	for _, p := range s.Projects {
		if p.Project == project {
			ahead += p.Pushes
		} else {
			ahead += min(p.Pushes, pushes*s.Weight(p.Project)/s.Weight(project))
		}
	}
	return min(ahead, higher)
}
