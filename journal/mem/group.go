package mem

import (
	"context"
	"slices"
	"sync"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// Groups share the shards of an installation among members of one process, which
// come and go, as evenly as can be and moving no more than that takes.
type Groups struct {
	mu     sync.Mutex
	shards int
	byName map[string]*sharing
}

// sharing is one named group.
type sharing struct {
	members []*Member // in the order in which they came
	owner   []*Member // by shard, until its run has returned; nil: nobody
	meant   []*Member // by shard, whose it is to be
	changed chan struct{}
}

// NewGroups is for an installation of so many shards.
func NewGroups(shards int) *Groups { return &Groups{shards: shards, byName: map[string]*sharing{}} }

// Member is what one process is to the groups.
type Member struct {
	groups *Groups
	lost   bool // guarded by groups.mu
}

var _ journal.Group = (*Member)(nil)

// Member makes one, which joins a group with Share.
func (g *Groups) Member() *Member { return &Member{groups: g} }

// Lose has the groups take a member for dead, one that was paused or cut off for
// one: others get its shards, while its runs go on and hear of nothing.
func (m *Member) Lose() {
	m.groups.mu.Lock()
	defer m.groups.mu.Unlock()
	m.lost = true
	for _, s := range m.groups.byName {
		s.leave(m)
	}
}

// Owned are the shards that a member works on in a group.
func (m *Member) Owned(group string) (shards []tocsin.Shard) {
	m.groups.mu.Lock()
	defer m.groups.mu.Unlock()
	if s := m.groups.byName[group]; s != nil {
		for shard, owner := range s.owner {
			if owner == m {
				shards = append(shards, tocsin.Shard(shard))
			}
		}
	}
	return shards
}

// Share joins the named group until ctx ends. It may be called once at a time for
// a group.
func (m *Member) Share(ctx context.Context, group string, run func(ctx context.Context, shard tocsin.Shard) error) error {
	g, runs := m.groups, journal.NewRuns(ctx, run)
	g.mu.Lock()
	s := g.byName[group]
	if s == nil {
		s = &sharing{owner: make([]*Member, g.shards), meant: make([]*Member, g.shards), changed: make(chan struct{})}
		g.byName[group] = s
	}
	if !m.lost {
		s.members = append(s.members, m)
		s.share()
	}
	g.mu.Unlock()
	stopping := make(map[tocsin.Shard]bool)
	left := make(chan tocsin.Shard)
	for {
		g.mu.Lock()
		changed := s.changed
		for i := range s.owner {
			shard := tocsin.Shard(i)
			switch {
			case s.owner[i] == m && s.meant[i] != m && !stopping[shard]:
				stopping[shard] = true
				go func(gone <-chan struct{}) {
					<-gone
					select {
					case left <- shard:
					case <-runs.Context().Done():
					}
				}(runs.Stop(shard))
			case s.owner[i] == nil && s.meant[i] == m:
				s.owner[i] = m
				runs.Begin(shard)
			}
		}
		g.mu.Unlock()
		select {
		case <-changed:
		case shard := <-left:
			delete(stopping, shard)
			g.mu.Lock()
			if s.owner[shard] == m {
				s.owner[shard] = nil
			}
			s.tell()
			g.mu.Unlock()
		case <-runs.Context().Done():
			err := runs.End()
			g.mu.Lock()
			defer g.mu.Unlock()
			s.leave(m)
			return err
		}
	}
}

// leave takes a member out, and whatever it still owns away from it.
func (s *sharing) leave(m *Member) {
	s.members = slices.DeleteFunc(s.members, func(one *Member) bool { return one == m })
	for i, owner := range s.owner {
		if owner == m {
			s.owner[i] = nil
		}
	}
	s.share()
}

// share says anew whose each shard is to be: nobody's are given to whoever has
// least, and whoever has more than his part gives the rest.
func (s *sharing) share() {
	has := make(map[*Member]int)
	for i, m := range s.meant {
		part := 0
		if at := slices.Index(s.members, m); at >= 0 {
			part = len(s.meant) / len(s.members)
			if at < len(s.meant)%len(s.members) {
				part++
			}
		}
		if has[m] < part {
			has[m]++
		} else {
			s.meant[i] = nil
		}
	}
	for i, m := range s.meant {
		if m == nil && len(s.members) > 0 {
			least := slices.MinFunc(s.members, func(a, b *Member) int { return has[a] - has[b] })
			s.meant[i] = least
			has[least]++
		}
	}
	s.tell()
}

// tell wakes every member.
func (s *sharing) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}
