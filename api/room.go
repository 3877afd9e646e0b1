package api

import (
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// room is what a change stands in. An import encodes a change before it reads the
// next line, and has one room for all of them: millions of lines would otherwise
// leave some forty small pieces of memory each.
type room struct {
	upsert     *record.Upsert
	attributes []*attributeRoom
	tags       []*record.TagSet
	named      []*record.Attribute // those of the change
	sets       []*record.TagSet

	// Names that were found good.
	goodAttributes, goodSets order[struct{}]
}

// attributeRoom is an attribute, and its value of each type.
type attributeRoom struct {
	attribute record.Attribute
	text      record.Attribute_Text
	url       record.Attribute_Url
	integer   record.Attribute_Integer
	real      record.Attribute_Real
	flag      record.Attribute_Flag
	time      record.Attribute_Time
	location  record.Attribute_Location
}

// begin empties the room.
func (r *room) begin() *record.Upsert {
	if r.upsert == nil {
		r.upsert = new(record.Upsert)
	}
	r.upsert.Reset()
	r.named, r.sets = r.named[:0], r.sets[:0]
	return r.upsert
}

// add puts an attribute into the change that stands here.
func (r *room) add(name string, v client.Value) {
	n := len(r.named)
	if n == len(r.attributes) {
		r.attributes = append(r.attributes, new(attributeRoom))
	}
	r.named = append(r.named, r.attributes[n].hold(name, v))
	r.upsert.Attributes = r.named
}

// hold makes the attribute that stands here.
func (in *attributeRoom) hold(name string, v client.Value) *record.Attribute {
	a := &in.attribute
	a.Name = name
	switch v.Kind {
	case client.Removed:
		a.Value = &record.Attribute_Remove{Remove: true}
	case client.Text:
		in.text.Text, a.Value = v.Text(), &in.text
	case client.Integer:
		in.integer.Integer, a.Value = v.Integer(), &in.integer
	case client.Float:
		in.real.Real, a.Value = v.Float(), &in.real
	case client.Boolean:
		in.flag.Flag, a.Value = v.Boolean(), &in.flag
	case client.Time:
		in.time.Time, a.Value = v.Time().UnixNano(), &in.time
	case client.URL:
		in.url.Url, a.Value = v.Text(), &in.url
	case client.Location:
		in.location.Location, a.Value = uint64(index.LocationValue(v.Location()).Bits), &in.location
	}
	return a
}

// set returns a set of tags for the change that stands here, without tags yet.
func (r *room) set(name string) *record.TagSet {
	n := len(r.sets)
	if n == len(r.tags) {
		r.tags = append(r.tags, new(record.TagSet))
	}
	t := r.tags[n]
	t.Name, t.Clear, t.Replace, t.Add, t.Remove = name, false, t.Replace[:0], t.Add[:0], t.Remove[:0]
	r.sets = append(r.sets, t)
	r.upsert.Tags = r.sets
	return t
}
