package record

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A field that Reader does not know makes every record that has it cost six times
// as much: whoever adds one to record.proto adds it there too.
func TestReaderKnowsEveryFieldOfAnUpsert(t *testing.T) {
	for name, m := range map[string]protoreflect.Message{"upsert": new(Upsert).ProtoReflect(), "attribute": new(Attribute).ProtoReflect(), "tags": new(TagSet).ProtoReflect()} {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			one := m.New()
			setOne(one, fields.Get(i))
			held := &Upsert{}
			switch v := one.Interface().(type) {
			case *Upsert:
				held = v
			case *Attribute:
				held.Attributes = []*Attribute{v}
			case *TagSet:
				held.Tags = []*TagSet{v}
			}
			data, err := (&Changes{Names: 1, Changes: []*Change{{Change: &Change_Upsert{Upsert: held}}}}).MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			if !new(Reader).all(data) {
				t.Errorf("field %s of %s is not known to Reader", fields.Get(i).Name(), name)
			}
		}
	}
}

func setOne(m protoreflect.Message, f protoreflect.FieldDescriptor) {
	var v protoreflect.Value
	switch f.Kind() {
	case protoreflect.MessageKind:
		m.Mutable(f).List().AppendMutable()
		return
	case protoreflect.StringKind:
		v = protoreflect.ValueOfString("x")
	case protoreflect.BytesKind:
		v = protoreflect.ValueOfBytes([]byte("x"))
	case protoreflect.BoolKind:
		v = protoreflect.ValueOfBool(true)
	case protoreflect.DoubleKind:
		v = protoreflect.ValueOfFloat64(1)
	case protoreflect.Uint32Kind:
		v = protoreflect.ValueOfUint32(1)
	case protoreflect.Int64Kind:
		v = protoreflect.ValueOfInt64(1)
	default:
		v = protoreflect.ValueOfUint64(1)
	}
	if f.IsList() {
		m.Mutable(f).List().Append(v)
		return
	}
	m.Set(f, v)
}
