package catalogue

import (
	"iter"
	"maps"
	"slices"
)

// View is the names of a project at one moment. It never changes.
type View struct {
	Edition uint64 // of deletions and renamings that are known

	names   [kinds]map[string]*Entry
	crowded bool // no further writer is noted by his name
}

// Find returns what is known of a name; nil: it is not in use.
func (v *View) Find(k Kind, name string) *Entry { return v.names[k][name] }

// Count is how many names of a kind there are.
func (v *View) Count(k Kind) int { return len(v.names[k]) }

// All yields the names of a kind, in order.
func (v *View) All(k Kind) iter.Seq2[string, *Entry] {
	return func(yield func(string, *Entry) bool) {
		for _, name := range slices.Sorted(maps.Keys(v.names[k])) {
			if !yield(name, v.names[k][name]) {
				return
			}
		}
	}
}

// Allows reports whether a name may be written with nothing to be noted before.
// Where it says no, Take decides.
func (v *View) Allows(w Writer, today Day, u Use) bool {
	e := v.names[u.Kind][u.Name]
	return e != nil && e.Type == u.Type && e.noted(w, today, !v.crowded)
}
