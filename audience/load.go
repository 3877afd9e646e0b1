package audience

import (
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// Recipients is what sending needs to know of one page. Load fills it; its
// buffers are used again. Byte strings and texts may be kept and must not be
// changed.
type Recipients struct {
	Addresses [][]byte // stored form of the provider; nil when deleted
	Languages []string // "" unknown
	IDs       []tocsin.SubscriptionID
	Versions  []uint64        // of the address
	Blocked   []tocsin.Reason // 0: may be sent to; else ReasonOptedOut, ReasonErased or ReasonMoved
	Moved     []bool          // the send may find the subscription on another shard too
	Applied   uint64          // all of this is as of the changes below this position

	names  []string
	values []value
}

type value struct {
	text string
	has  bool
}

// Value is recipient i's value of one of the names that were loaded.
func (r *Recipients) Value(i int, name string) (string, bool) {
	n := slices.Index(r.names, name)
	if n < 0 {
		return "", false
	}
	v := r.values[i*len(r.names)+n]
	return v.text, v.has
}

// Load reads the recipients with these ordinals as they are now. route is the
// page's: somebody who has moved to another since is blocked as erased, for
// the address that was meant is no more.
func (s *Shard) Load(project tocsin.ProjectID, route Route, ordinals []uint32, names []string, into *Recipients) {
	s.courtesy.sending()
	n := len(ordinals)
	into.Addresses = slices.Grow(into.Addresses[:0], n)[:n]
	into.Languages = slices.Grow(into.Languages[:0], n)[:n]
	into.IDs = slices.Grow(into.IDs[:0], n)[:n]
	into.Versions = slices.Grow(into.Versions[:0], n)[:n]
	into.Blocked = slices.Grow(into.Blocked[:0], n)[:n]
	into.Moved = slices.Grow(into.Moved[:0], n)[:n]
	clear(into.Moved)
	into.names = names
	into.values = slices.Grow(into.values[:0], n*len(names))[:n*len(names)]
	clear(into.values)

	s.mu.RLock()
	defer s.mu.RUnlock()
	into.Applied = s.applied
	p := s.projects[project]
	var optedIn, language index.Column
	last, fits := ^uint32(0), false // most rows of a page have one route
	columns := make([]index.Column, len(names))
	if p != nil {
		optedIn, language = p.known.Column(fieldOptedIn), p.known.Column(fieldLanguage)
		for k, name := range names {
			columns[k] = p.known.Column(name)
		}
	}
	for i, ordinal := range ordinals {
		into.Addresses[i], into.Languages[i], into.Blocked[i] = nil, "", tocsin.ReasonErased
		into.IDs[i], into.Versions[i] = tocsin.SubscriptionID{}, 0
		if p == nil || int(ordinal) >= p.rows.ids.Len() {
			continue
		}
		into.IDs[i], into.Versions[i] = p.rows.ids.At(ordinal), p.rows.version.At(ordinal)
		if len(p.moves.departing)+len(p.moves.left)+len(p.moves.arrived) > 0 {
			into.Moved[i] = p.isMoved(ordinal)
		}
		if p.rows.address.At(ordinal) == 0 {
			if _, away := p.whereTo(ordinal); away {
				into.Blocked[i] = tocsin.ReasonMoved
			}
			continue
		}
		if n := p.rows.route.At(ordinal); n != last {
			last, fits = n, p.routes[n].fits(route)
		}
		if !fits {
			continue
		}
		into.Blocked[i] = 0
		if in, _ := optedIn.Get(ordinal); in.Bits == 0 {
			into.Blocked[i] = tocsin.ReasonOptedOut
		}
		into.Addresses[i], _ = p.stored(ordinal)
		if v, ok := language.Get(ordinal); ok {
			into.Languages[i] = v.Text
		}
		for k := range columns {
			if v, ok := columns[k].Get(ordinal); ok {
				into.values[i*len(names)+k] = value{v.String(), true}
			}
		}
	}
}
