package account

import "strings"

// Scopes is a set of what a key may do. None includes another.
type Scopes uint8

const (
	Send     Scopes = 1 << iota // create and cancel sends
	Audience                    // write subscriptions and imports
	Read                        // read sends, counters, traces, counts and previews
	Admin                       // keys, credentials and settings; without a project: projects too
	Device                      // the device API only
)

// AllScopes is everything but Device, which stands alone.
const AllScopes = Send | Audience | Read | Admin

func scopeNames() []string { return []string{"send", "audience", "read", "admin", "device"} }

// Has reports whether every scope of one is in the set.
func (s Scopes) Has(one Scopes) bool { return s&one == one }

// Names lists the scopes of the set.
func (s Scopes) Names() []string {
	var names []string
	for i, name := range scopeNames() {
		if s.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// ParseScopes reads names.
func ParseScopes(names []string) (Scopes, error) {
	var s Scopes
next:
	for _, name := range names {
		for i, known := range scopeNames() {
			if name == known {
				s |= 1 << i
				continue next
			}
		}
		return 0, invalid("scopes", "%.20q is unknown: want some of %s", name, strings.Join(scopeNames(), ", "))
	}
	return s, nil
}
