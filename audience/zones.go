package audience

import (
	"sync"
	"time"
	_ "time/tzdata" // days begin right also where the machine has no time zones of its own

	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// zones keeps the time zones that were asked for.
type zones struct {
	mu      sync.RWMutex
	known   map[string]*time.Location
	unknown map[string]bool
}

// maxUnknown is how many names that are no zone are remembered as such.
const maxUnknown = 10_000

// of returns the IANA zone of a name. "Local" would be the machine's.
func (z *zones) of(name string) (*time.Location, bool) {
	z.mu.RLock()
	zone, unknown := z.known[name], z.unknown[name]
	z.mu.RUnlock()
	if zone != nil || unknown {
		return zone, zone != nil
	}
	zone, err := time.LoadLocation(name)
	if name == "" || name == "Local" || err != nil {
		zone = nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	switch {
	case zone != nil && z.known == nil:
		z.known = map[string]*time.Location{name: zone}
	case zone != nil:
		z.known[name] = zone
	case len(z.unknown) == 0 || len(z.unknown) == maxUnknown:
		z.unknown = map[string]bool{name: true}
	default:
		z.unknown[name] = true
	}
	return zone, zone != nil
}

// around is what targets of a project are evaluated with for an instant.
// memo, which may be nil, goes from one to the next of one query and instant.
func (p *project) around(s *Shard, at time.Time, other gotten, memo *index.Memo) *index.Around {
	return &index.Around{Now: at, Zone: s.zones.of, Created: p.rows.created, Active: p.rows.active, Profile: p.rows.profile,
		Own: p.done.own, People: p.done.people, Memo: memo, Members: func(m target.Member) *index.Rows { return p.rowsOf(m, other) },
		Segment: p.segment}
}
