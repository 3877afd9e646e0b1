package audience

import (
	"slices"

	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// Since when a subscription has been as it is, is known to the second, for all that
// is known of it together: when a value or a tag of it, its person or its opt-in
// changed last. That takes 4 bytes for each that has changed at all since it
// registered, where 2 for each value would be 50 with 20 attributes and 5 sets of
// tags. A value may have been the same for longer, never for less long: "at least
// since" is all that is said.

// mark notes that something of a subscription that targets see changes now. What it
// had when it registered needs no mark.
func (p *project) mark(ordinal uint32) {
	if p.rows.created.At(ordinal) != p.at {
		p.rows.changed.Set(ordinal, p.at)
	}
}

// since is when a subscription became what it is, in seconds; 0 unknown. Nothing was
// noted before a snapshot of an earlier version was read.
func (p *project) since(ordinal uint32) uint32 {
	return max(p.rows.changed.At(ordinal), p.rows.created.At(ordinal), p.noted)
}

// learn gives a subscription attributes and tags.
func (p *project) learn(ordinal uint32, attributes []*record.Attribute, tags []*record.TagSet) {
	var before [][]string
	for _, t := range tags {
		before = append(before, p.known.Tags(ordinal, t.Name))
	}
	changes := slices.ContainsFunc(attributes, func(a *record.Attribute) bool {
		v, given := valueOf(a)
		have, has := p.known.Get(ordinal, a.Name)
		return given != has || has && have != v
	})
	setAll(p.known, ordinal, attributes, tags)
	for i, t := range tags {
		changes = changes || !slices.Equal(before[i], p.known.Tags(ordinal, t.Name))
	}
	if changes {
		p.mark(ordinal)
	}
}

// setField gives it a native field.
func (p *project) setField(ordinal uint32, name, text string) {
	v := index.Value{Kind: index.Text, Text: text}
	if ordinal+1 == p.coming {
		p.give(ordinal, name, v)
		return
	}
	if have, has := p.known.Get(ordinal, name); has && have == v {
		return
	}
	p.known.Set(ordinal, name, v)
	p.mark(ordinal)
}
