package audience

import (
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// light is how many bytes of values a change may bring without being weighed: so
// much in each of 200 attributes comes to 50 KiB.
const light = 256

// Weighs reports whether a change is to be weighed: it brings much, or adds to
// sets of tags, which grow.
func Weighs(attributes []*record.Attribute, tags []*record.TagSet) bool {
	bytes := 0
	for _, a := range attributes {
		if v, ok := valueOf(a); ok {
			bytes += v.Weight()
		}
	}
	for _, t := range tags {
		if len(t.Add) > 0 {
			return true
		}
		for _, tag := range t.Replace {
			bytes += len(tag)
		}
	}
	return bytes > light
}

// Weight is how many bytes of values and tags the heaviest of those would have
// that a change is about: a subscription or, without id, a person and all
// subscriptions. What is not applied yet does not count.
func (s *Shard) Weight(project tocsin.ProjectID, id []byte, profile string, attributes []*record.Attribute, tags []*record.TagSet) (bytes int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	const nobody = 1<<32 - 1
	p := s.projects[project]
	if p == nil {
		return weight(index.New(), nobody, attributes, tags)
	}
	weigh := func(x *index.Index, row uint32) { bytes = max(bytes, weight(x, row, attributes, tags)) }
	person, known := p.person(profile)
	if !known {
		person = nobody
	}
	if len(id) == 0 {
		weigh(p.people.known, person)
		p.subscriptions(profile, func(ordinal uint32) { weigh(p.known, ordinal) })
	} else if ordinal, known := p.ordinal(tocsin.SubscriptionID(id)); known && p.live.Contains(ordinal) {
		weigh(p.known, ordinal)
	} else {
		weigh(p.people.known, person) // what it will inherit
	}
	return bytes
}

// weight is what a row would have after a change.
func weight(x *index.Index, row uint32, attributes []*record.Attribute, tags []*record.TagSet) int {
	bytes := x.Weight(row, func(name string) bool {
		return target.Reserved(name) || slices.ContainsFunc(attributes, func(a *record.Attribute) bool { return a.Name == name })
	}, func(name string) bool {
		return slices.ContainsFunc(tags, func(t *record.TagSet) bool { return t.Name == name })
	})
	for _, a := range attributes {
		if v, ok := valueOf(a); ok {
			bytes += v.Weight()
		}
	}
	for _, t := range tags {
		now := slices.Clone(t.Replace)
		if !t.Clear && len(now) == 0 {
			now = x.Tags(row, t.Name)
		}
		now = append(now, t.Add...)
		slices.Sort(now)
		for _, tag := range slices.Compact(now) {
			if !slices.Contains(t.Remove, tag) {
				bytes += len(tag)
			}
		}
	}
	return bytes
}
