package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"pgregory.net/rapid"
)

var at = time.Unix(1_700_000_000, 5)

func claim() *record.Envelope {
	return &record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{
		Stamp: &record.Stamp{Term: 3, Seq: 9}, Send: make([]byte, 16), Page: 2, From: 4, To: 8, Attempt: 1}}}
}

func TestRecordRoundTrips(t *testing.T) {
	scope := record.Scope{Project: tocsin.MakeID[tocsin.ProjectID](at, [10]byte{1}),
		Environment: tocsin.Development, Class: tocsin.Urgent}
	e := record.NewWriter(77).Next(claim(), at, scope)
	back, err := record.Decode(record.Encode(e))
	if err != nil || !proto.Equal(e, back) {
		t.Fatalf("came back as %v, %v", back, err)
	}
	if record.Of(back) != scope || back.At != at.UnixNano() {
		t.Errorf("scope %v at %d", record.Of(back), back.At)
	}
}

// Every record means the same to the generated code and to the library.
func TestBothCodecsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := record.NewWriter(7).Next(claim(), at, record.Scope{})
		bodies := e.ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
		field := bodies.Get(rapid.IntRange(0, bodies.Len()-1).Draw(t, "body"))
		fill(t, e.ProtoReflect().Mutable(field).Message(), 0)
		if back, err := record.Decode(record.Encode(e)); err != nil || !proto.Equal(e, back) {
			t.Fatalf("%v came back as %v, %v", e, back, err)
		}
		data, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := record.Decode(data); err != nil || !proto.Equal(e, back) {
			t.Fatalf("of the library, %v is read as %v, %v", e, back, err)
		}
		back := new(record.Envelope)
		if err := proto.Unmarshal(record.Encode(e), back); err != nil || !proto.Equal(e, back) {
			t.Fatalf("the library reads %v as %v, %v", e, back, err)
		}
	})
}

// fill draws a value for every second field of a message.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if depth > 4 || rapid.Bool().Draw(t, "absent") {
			continue
		}
		switch {
		case f.IsMap():
			for range rapid.IntRange(1, 3).Draw(t, "entries") {
				value := m.Mutable(f).Map().NewValue()
				if f.MapValue().Message() != nil {
					fill(t, value.Message(), depth+1)
				} else {
					value = plain(t, f.MapValue())
				}
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(rapid.String().Draw(t, "key")).MapKey(), value)
			}
		case f.IsList():
			for range rapid.IntRange(1, 3).Draw(t, "items") {
				list := m.Mutable(f).List()
				if f.Message() != nil {
					fill(t, list.AppendMutable().Message(), depth+1)
				} else {
					list.Append(plain(t, f))
				}
			}
		case f.Message() != nil:
			fill(t, m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, plain(t, f))
		}
	}
}

func plain(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "double"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(rapid.String().Draw(t, "string"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	}
	panic("a kind that no record has: " + f.Kind().String())
}

func TestEveryBodyHasItsName(t *testing.T) {
	var e record.Envelope
	bodies := e.ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range bodies.Len() {
		field := bodies.Get(i)
		with := new(record.Envelope)
		with.ProtoReflect().Set(field, protoreflect.ValueOfMessage(with.ProtoReflect().NewField(field).Message()))
		if got := record.Kind(with); got != string(field.Name()) {
			t.Errorf("body %s is called %q", field.Name(), got)
		}
	}
}

func TestOlderRecordIsReadAndNewerRefusedByName(t *testing.T) {
	e := record.NewWriter(1).Next(claim(), at, record.Scope{})
	record.Encode(e)

	e.Level = record.Level + 1
	e.Kind = "forecast"
	newer, _ := proto.Marshal(e)
	_, err := record.Decode(newer)
	if !errors.Is(err, record.ErrNewer) || !strings.Contains(err.Error(), `"forecast" has format level 2`) {
		t.Errorf("a newer record gives %v", err)
	}

	// A field that this build does not know, at a level that it does, is from a
	// sister build before its level is raised: kept aside, not refused.
	e.Level, e.Kind = record.Level, "claim"
	e.ProtoReflect().SetUnknown(protoreflect.RawFields{0xfa, 0x3f, 0x01, 'x'})
	sister, _ := proto.Marshal(e)
	if back, err := record.Decode(sister); err != nil || back.GetClaim().GetPage() != 2 {
		t.Errorf("a record with an unknown field gives %v, %v", back, err)
	}
}

func TestNothingIsNoRecord(t *testing.T) {
	if _, err := record.Decode(nil); !errors.Is(err, record.ErrDamaged) {
		t.Errorf("no bytes are read as a record: %v", err)
	}
}

func TestDecodeNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		if e, err := record.Decode(data); err == nil && record.Kind(e) == "" {
			t.Fatalf("%x was read as a record without a body", data)
		}
	})
}

// Writers repeat what they are not sure of, in order; each record counts once.
func TestSeenDropsRepeats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen, counted := record.Seen{}, map[[2]uint64]int{}
		var log []*record.Envelope
		for range rapid.IntRange(1, 3).Draw(t, "writers") {
			w := record.NewWriter(uint64(len(log)) + 1)
			for range rapid.IntRange(0, 8).Draw(t, "records") {
				e := w.Next(claim(), at, record.Scope{})
				for range rapid.IntRange(1, 3).Draw(t, "appends") {
					log = append(log, e)
				}
			}
		}
		for _, e := range log {
			if seen.First(e) {
				counted[[2]uint64{e.Writer, e.Number}]++
			}
		}
		for _, e := range log {
			if counted[[2]uint64{e.Writer, e.Number}] != 1 {
				t.Fatalf("record %d of writer %d counted %d times", e.Number, e.Writer, counted[[2]uint64{e.Writer, e.Number}])
			}
		}
	})
}
