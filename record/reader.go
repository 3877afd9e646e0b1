package record

import (
	"fmt"
	"math"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Reader reads records of changes one after the other into the same memory:
// whoever follows millions of registrations would otherwise leave some hundred
// small pieces of it for each. What Decode returns is valid until its next call,
// and byte strings and texts of an Upsert stand in the record that was read.
type Reader struct {
	changes    Changes
	body       Envelope_Changes
	head       []byte // an envelope without its body
	items      slab[upsertItem]
	attributes slab[Attribute]
	tags       slab[TagSet]
	texts      slab[Attribute_Text]
	urls       slab[Attribute_Url]
	integers   slab[Attribute_Integer]
	reals      slab[Attribute_Real]
	flags      slab[Attribute_Flag]
	times      slab[Attribute_Time]
	locations  slab[Attribute_Location]
}

// upsertItem is a change that holds an upsert.
type upsertItem struct {
	change  Change
	body    Change_Upsert
	upsert  Upsert
	optedIn bool
}

// slab hands out the same values again, in the same order, from begin on.
type slab[T any] struct {
	parts [][]T
	used  int
	most  int // that were used since those behind them were emptied
}

func (s *slab[T]) begin() { s.used, s.most = 0, max(s.used, s.most) }

// end empties the values that are not in use now, so that they do not hold on to
// records of long ago.
func (s *slab[T]) end() {
	for ; s.most > s.used; s.most-- {
		s.parts[(s.most-1)/slabPart][(s.most-1)%slabPart] = *new(T)
	}
}

const slabPart = 256

func (s *slab[T]) next() *T {
	part := s.used / slabPart
	if part == len(s.parts) {
		s.parts = append(s.parts, make([]T, slabPart))
	}
	s.used++
	return &s.parts[part][(s.used-1)%slabPart]
}

// Decode is Decode of the package. Records of other kinds, and fields that it
// does not know, it leaves to that.
func (r *Reader) Decode(data []byte) (*Envelope, error) {
	changes, ok := r.split(data)
	if !ok || !r.all(changes) {
		return Decode(data)
	}
	e := new(Envelope)
	if err := e.UnmarshalVT(r.head); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	r.body.Changes = &r.changes
	e.Body = &r.body
	if err := check(e); err != nil {
		return nil, err
	}
	return e, nil
}

// split finds the changes in an envelope; head is the rest.
func (r *Reader) split(data []byte) (changes []byte, ok bool) {
	const field = 24 // Envelope.changes
	r.head = r.head[:0]
	for len(data) > 0 {
		number, kind, size := protowire.ConsumeField(data)
		if size < 0 {
			return nil, false
		}
		if number != field {
			r.head, data = append(r.head, data[:size]...), data[size:]
			continue
		}
		_, _, tag := protowire.ConsumeTag(data)
		if kind != protowire.BytesType || changes != nil {
			return nil, false
		}
		changes, _ = protowire.ConsumeBytes(data[tag:size])
		data = data[size:]
	}
	return changes, changes != nil
}

// all reads Changes.
func (r *Reader) all(data []byte) bool {
	list := r.changes.Changes[:0]
	r.changes.Reset()
	for _, s := range r.slabs() {
		s.begin()
	}
	ok := fields(data, func(number protowire.Number, n uint64, b []byte) bool {
		switch {
		case number == 1 && b != nil:
			c := r.change(b)
			list = append(list, c)
			return c != nil
		case number == 2 && b == nil:
			r.changes.Names = n
			return true
		}
		return false
	})
	clear(list[len(list):cap(list)])
	r.changes.Changes = list
	for _, s := range r.slabs() {
		s.end()
	}
	return ok
}

func (r *Reader) slabs() [10]interface {
	begin()
	end()
} {
	return [...]interface {
		begin()
		end()
	}{&r.items, &r.attributes, &r.tags, &r.texts, &r.urls, &r.integers, &r.reals, &r.flags, &r.times, &r.locations}
}

// change reads a Change; nil when it cannot.
func (r *Reader) change(data []byte) *Change {
	const upsert = 1
	number, kind, tag := protowire.ConsumeTag(data)
	if tag < 0 {
		return nil
	}
	if number != upsert || kind != protowire.BytesType {
		c := new(Change)
		if c.UnmarshalVT(data) != nil {
			return nil
		}
		return c
	}
	body, size := protowire.ConsumeBytes(data[tag:])
	item := r.items.next()
	if size < 0 || tag+size != len(data) || !r.upsert(body, item) {
		return nil
	}
	item.body.Upsert, item.change.Change = &item.upsert, &item.body
	return &item.change
}

func (r *Reader) upsert(data []byte, item *upsertItem) bool {
	u := &item.upsert
	attributes, tags := u.Attributes[:0], u.Tags[:0]
	u.Reset()
	u.Attributes, u.Tags = attributes, tags
	return fields(data, func(number protowire.Number, n uint64, b []byte) bool {
		ofBytes := true
		switch number {
		case 1:
			u.Subscription = b
		case 2:
			u.Profile = text(b)
		case 4:
			u.Address = b
		case 5:
			u.Host = text(b)
		case 6:
			u.Topic = text(b)
		case 7:
			u.Language = text(b)
		case 8:
			u.Zone = text(b)
		case 10:
			u.Secret = b
		case 11:
			a := r.attributes.next()
			u.Attributes = append(u.Attributes, a)
			return b != nil && r.attribute(b, a)
		case 12:
			t := r.tags.next()
			u.Tags = append(u.Tags, t)
			return b != nil && tagSet(b, t)
		case 14:
			u.Vapid = b
		case 16:
			u.Platform = text(b)
		case 17:
			u.Region = text(b)
		case 18:
			u.City = text(b)
		case 19:
			u.AppVersion = text(b)
		default:
			ofBytes = false
			switch number {
			case 3:
				u.Provider = uint32(n)
			case 9:
				u.Active = int64(n)
			case 13:
				item.optedIn = n != 0
				u.OptedIn = &item.optedIn
			case 15:
				u.Derived = n != 0
			case 30:
				u.Later = n
			case 31:
				u.Found = n != 0
			default:
				return false
			}
		}
		return ofBytes == (b != nil)
	})
}

func (r *Reader) attribute(data []byte, a *Attribute) bool {
	a.Name, a.Value = "", nil
	if r.usual(data, a) {
		return true
	}
	return fields(data, func(number protowire.Number, n uint64, b []byte) bool {
		switch number {
		case 1:
			a.Name = text(b)
			return b != nil
		case 2:
			v := r.texts.next()
			v.Text, a.Value = text(b), v
			return b != nil
		case 3:
			v := r.integers.next()
			v.Integer, a.Value = int64(n), v
		case 4:
			v := r.reals.next()
			v.Real, a.Value = math.Float64frombits(n), v
		case 5:
			v := r.flags.next()
			v.Flag, a.Value = n != 0, v
		case 6:
			v := r.times.next()
			v.Time, a.Value = int64(n), v
		case 7:
			v := r.urls.next()
			v.Url, a.Value = text(b), v
			return b != nil
		case 8:
			a.Value = &Attribute_Remove{Remove: n != 0}
		case 9:
			v := r.locations.next()
			v.Location, a.Value = n, v
		default:
			return false
		}
		return b == nil
	})
}

// usual reads an attribute as nearly all stand in a record, and reports whether it is
// one: a short name, then one value and nothing behind it.
func (r *Reader) usual(data []byte, a *Attribute) bool {
	const varint, fixed64, bytes = byte(protowire.VarintType), byte(protowire.Fixed64Type), byte(protowire.BytesType)
	if len(data) < 4 || data[0] != 1<<3|bytes || data[1] >= 1<<7 || int(data[1]) > len(data)-4 {
		return false
	}
	end := 2 + int(data[1])
	value := data[end+1:]
	switch data[end] {
	case 2<<3 | bytes, 7<<3 | bytes:
		if value[0] >= 1<<7 || int(value[0]) != len(value)-1 {
			return false
		}
		if data[end] == 2<<3|bytes {
			v := r.texts.next()
			v.Text, a.Value = text(value[1:]), v
		} else {
			v := r.urls.next()
			v.Url, a.Value = text(value[1:]), v
		}
	case 3<<3 | varint, 5<<3 | varint, 6<<3 | varint:
		n, size := protowire.ConsumeVarint(value)
		if size != len(value) {
			return false
		}
		switch data[end] {
		case 3<<3 | varint:
			v := r.integers.next()
			v.Integer, a.Value = int64(n), v
		case 5<<3 | varint:
			v := r.flags.next()
			v.Flag, a.Value = n != 0, v
		default:
			v := r.times.next()
			v.Time, a.Value = int64(n), v
		}
	case 4<<3 | fixed64, 9<<3 | fixed64:
		if len(value) != 8 {
			return false
		}
		n, _ := protowire.ConsumeFixed64(value)
		if data[end] == 4<<3|fixed64 {
			v := r.reals.next()
			v.Real, a.Value = math.Float64frombits(n), v
		} else {
			v := r.locations.next()
			v.Location, a.Value = n, v
		}
	default:
		return false
	}
	a.Name = text(data[2:end])
	return true
}

func tagSet(data []byte, t *TagSet) bool {
	for _, texts := range [...]*[]string{&t.Replace, &t.Add, &t.Remove} {
		clear(*texts)
		*texts = (*texts)[:0]
	}
	t.Name, t.Clear = "", false
	for len(data) >= 2 && data[1] < 1<<7 { // short fields, as nearly all are
		end := 2 + int(data[1])
		if data[0] == 5<<3|byte(protowire.VarintType) {
			t.Clear, data = data[1] != 0, data[2:]
			continue
		}
		if end > len(data) {
			return false
		}
		switch value := text(data[2:end]); data[0] {
		case 1<<3 | byte(protowire.BytesType):
			t.Name = value
		case 2<<3 | byte(protowire.BytesType):
			t.Replace = append(t.Replace, value)
		case 3<<3 | byte(protowire.BytesType):
			t.Add = append(t.Add, value)
		case 4<<3 | byte(protowire.BytesType):
			t.Remove = append(t.Remove, value)
		default:
			return false
		}
		data = data[end:]
	}
	return fields(data, func(number protowire.Number, n uint64, b []byte) bool {
		switch number {
		case 1:
			t.Name = text(b)
		case 2:
			t.Replace = append(t.Replace, text(b))
		case 3:
			t.Add = append(t.Add, text(b))
		case 4:
			t.Remove = append(t.Remove, text(b))
		case 5:
			t.Clear = n != 0
			return b == nil
		default:
			return false
		}
		return b != nil
	})
}

// fields hands every field of a message to f: a number, or bytes, which are not
// nil then. It reports whether the message is whole and f took all of them.
func fields(data []byte, f func(number protowire.Number, n uint64, b []byte) bool) bool {
	for len(data) > 0 {
		tag, size := protowire.ConsumeVarint(data)
		if size < 0 {
			return false
		}
		data = data[size:]
		number, kind := protowire.DecodeTag(tag)
		var n uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(data)
		case protowire.Fixed64Type:
			n, size = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			if b, size = protowire.ConsumeBytes(data); b == nil && size > 0 {
				b = []byte{}
			}
		default:
			return false
		}
		if size < 0 || !f(number, n, b) {
			return false
		}
		data = data[size:]
	}
	return true
}

// text views bytes of a record, which nobody changes.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
