package audience

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Query reads the target of a send that was accepted, with the definitions of
// segments that it was accepted with. It means the same on every shard.
func Query(query []byte, segments []*record.Segment) (*target.Query, error) {
	return target.NewLibrary(target.Widest(), func(name string) ([]byte, bool) {
		i, ok := slices.BinarySearchFunc(segments, name, func(s *record.Segment, name string) int { return cmp.Compare(s.Name, name) })
		if !ok {
			return nil, false
		}
		return []byte(segments[i].Query), true
	}, nil).Parse(query)
}

// Definitions are the segments that go with a target into the record of a send.
func Definitions(q *target.Query) (segments []*record.Segment) {
	all := q.Segments()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		segments = append(segments, &record.Segment{Name: name, Query: all[name]})
	}
	return segments
}
