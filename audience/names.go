package audience

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// names tells how the names of a project's attributes and sets of tags changed.
// A record that its writer made before he knew of a change, and that stands
// behind it in the log, is read with the names of now: what was deleted stays
// away, what was renamed arrives under its new name.
type names struct {
	edition uint64
	past    []renamed // the oldest first
}

type renamed struct {
	edition uint64
	at      int64
	tags    bool
	from    string
	to      string // empty: taken away
}

// recall is how long a change of a name is remembered for writers who did not
// know of it. They know within a second.
const recall = 24 * time.Hour

// rename takes a name, or what is under it, away from everybody on the shard,
// and from what people hand on to subscriptions to come.
func (p *project) rename(at int64, n *record.Names) {
	if n.Edition <= p.names.edition {
		return
	}
	p.names.edition = n.Edition
	p.noted = p.at
	p.names.past = slices.DeleteFunc(p.names.past, func(r renamed) bool { return at-r.at > int64(recall) })
	p.names.past = append(p.names.past, renamed{n.Edition, at, n.Tags, n.From, n.To})
	for _, x := range [...]*index.Index{p.known, p.people.known} {
		switch {
		case n.To == "" && n.Tags:
			x.DropSet(n.From)
		case n.To == "":
			x.Drop(n.From)
		case n.Tags:
			x.RenameSet(n.From, n.To)
		default:
			x.Rename(n.From, n.To)
		}
	}
}

// now is the present name of what a writer calls name who knew an edition;
// false when it was taken away since.
func (n *names) now(edition uint64, tags bool, name string) (string, bool) {
	for _, r := range n.past {
		if r.edition > edition && r.tags == tags && r.from == name {
			name = r.to
		}
	}
	return name, name != ""
}

// attributes are those of a change as they are called now.
func (n *names) attributes(edition uint64, as []*record.Attribute) (now []*record.Attribute) {
	if edition >= n.edition || len(as) == 0 {
		return as
	}
	for _, a := range as {
		if name, ok := n.now(edition, false, a.Name); ok {
			now = append(now, &record.Attribute{Name: name, Value: a.Value})
		}
	}
	return now
}

// tags are the same for sets of tags.
func (n *names) tags(edition uint64, ts []*record.TagSet) (now []*record.TagSet) {
	if edition >= n.edition || len(ts) == 0 {
		return ts
	}
	for _, t := range ts {
		if name, ok := n.now(edition, true, t.Name); ok {
			now = append(now, &record.TagSet{Name: name, Replace: t.Replace, Add: t.Add, Remove: t.Remove, Clear: t.Clear})
		}
	}
	return now
}

func (n *names) encode(e *index.Encoder) {
	e.Number(n.edition)
	e.Number(uint64(len(n.past)))
	for _, r := range n.past {
		kind := uint64(0)
		if r.tags {
			kind = 1
		}
		e.Number(r.edition)
		e.Number(uint64(r.at))
		e.Number(kind)
		e.Text(r.from)
		e.Text(r.to)
	}
}

func decodeNames(d *index.Decoder) (n names) {
	const most, longest = 1 << 24, 1 << 10
	n.edition = d.Number()
	for range d.Length(most) {
		n.past = append(n.past, renamed{d.Number(), int64(d.Number()), d.Number() == 1, d.Text(longest), d.Text(longest)})
		if d.Err() != nil {
			break
		}
	}
	return n
}
