package fanout

import (
	"context"
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

func (l *Lanes) recent(ctx context.Context) (pace.State, error) {
	now := time.Now()
	if s := l.stated.Load(); s != nil && now.Sub(s.at) < stateAge {
		return s.State, nil
	}
	s, err := l.State(ctx)
	if err == nil {
		l.stated.Store(&stated{s, now})
	}
	return s, err
}

// Outlook tells what stands before a send of a project that goes out on these
// routes: now, or at some later time, of which only the quotas are known.
func (l *Lanes) Outlook(ctx context.Context, project tocsin.ProjectID, class tocsin.Class, shares []ask.Share, later bool) (ask.Outlook, error) {
	credentials, err := l.accounts.Credentials(ctx, project)
	if len(credentials) == 0 && err != nil {
		return ask.Outlook{}, err
	}
	o := ask.Outlook{Now: time.Now()}
	pushes := 0
	at := map[string]int{}
	for _, share := range shares {
		w := l.wayOf(share, credentials)
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

// wayOf is whom a provider counts for a share, and the quota that was configured.
func (l *Lanes) wayOf(share ask.Share, credentials []provider.Credential) ask.Way {
	w := ask.Way{Provider: share.Route.Provider, Pushes: int(share.Pushes)}
	by := l.providers[share.Route.Provider]
	for _, c := range credentials {
		if by == nil || c.Provider != share.Route.Provider || !share.Route.Credential.IsZero() && share.Route.Credential != c.ID {
			continue
		}
		route := share.Route
		route.Credential = c.ID
		w.Subject, w.Ramp = by.Subject(route, c), ask.Ramp{Level: lowest, Over: by.Ramp()}
		if w.Quota = float64(c.Quota) / 60 * used; c.Quota == 0 {
			w.Quota = float64(by.Quota()) / 60 * used
		}
	}
	return w
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
