package api

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tocsin-push/tocsin/record"
)

// The library spends more on an Upsert than reading its line costs. These
// functions write the same bytes by the field numbers of record.proto; a test
// holds them against the library.

// Fields of a Change.
const (
	changeUpsert protowire.Number = 1
	changeEvent  protowire.Number = 6
	changeMove   protowire.Number = 14
)

// appendChange appends a Change that holds an encoded one of a kind to a Changes.
func appendChange(b []byte, kind protowire.Number, change []byte) []byte {
	const changesChange = 1
	size := protowire.SizeTag(kind) + protowire.SizeBytes(len(change))
	b = protowire.AppendTag(b, changesChange, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, kind, protowire.BytesType)
	return protowire.AppendBytes(b, change)
}

// appendEdition appends the edition of names to a Changes.
func appendEdition(b []byte, edition uint64) []byte {
	const changesNames = 2
	return numberField(b, changesNames, edition)
}

func appendMove(b []byte, m *record.Move) []byte {
	b = bytesField(b, 1, m.Subscription)
	b = textField(b, 2, m.Profile)
	return numberField(b, 3, uint64(m.Shard))
}

func appendUpsert(b []byte, u *record.Upsert) []byte {
	b = bytesField(b, 1, u.Subscription)
	b = textField(b, 2, u.Profile)
	b = numberField(b, 3, uint64(u.Provider))
	b = bytesField(b, 4, u.Address)
	b = textField(b, 5, u.Host)
	b = textField(b, 6, u.Topic)
	b = textField(b, 7, u.Language)
	b = textField(b, 8, u.Zone)
	b = numberField(b, 9, uint64(u.Active))
	b = bytesField(b, 10, u.Secret)
	for _, a := range u.Attributes {
		b = nested(b, 11, func(b []byte) []byte { return appendAttribute(b, a) })
	}
	for _, t := range u.Tags {
		b = nested(b, 12, func(b []byte) []byte { return appendTagSet(b, t) })
	}
	if u.OptedIn != nil {
		b = flagField(b, 13, *u.OptedIn)
	}
	b = bytesField(b, 14, u.Vapid)
	if u.Derived {
		b = flagField(b, 15, true)
	}
	b = textField(b, 16, u.Platform)
	b = textField(b, 17, u.Region)
	b = textField(b, 18, u.City)
	b = textField(b, 19, u.AppVersion)
	b = numberField(b, 30, u.Later)
	if u.Found {
		b = flagField(b, 31, true)
	}
	return b
}

// appendAttribute writes the value even when it is zero: it is set.
func appendAttribute(b []byte, a *record.Attribute) []byte {
	b = textField(b, 1, a.Name)
	switch v := a.Value.(type) {
	case *record.Attribute_Text:
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), v.Text)
	case *record.Attribute_Integer:
		b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(v.Integer))
	case *record.Attribute_Real:
		b = protowire.AppendFixed64(protowire.AppendTag(b, 4, protowire.Fixed64Type), math.Float64bits(v.Real))
	case *record.Attribute_Flag:
		b = flagField(b, 5, v.Flag)
	case *record.Attribute_Time:
		b = protowire.AppendVarint(protowire.AppendTag(b, 6, protowire.VarintType), uint64(v.Time))
	case *record.Attribute_Url:
		b = protowire.AppendString(protowire.AppendTag(b, 7, protowire.BytesType), v.Url)
	case *record.Attribute_Remove:
		b = flagField(b, 8, v.Remove)
	case *record.Attribute_Location:
		b = protowire.AppendFixed64(protowire.AppendTag(b, 9, protowire.Fixed64Type), v.Location)
	}
	return b
}

func appendTagSet(b []byte, t *record.TagSet) []byte {
	b = textField(b, 1, t.Name)
	for field, list := range [...][]string{t.Replace, t.Add, t.Remove} {
		for _, tag := range list {
			b = protowire.AppendString(protowire.AppendTag(b, protowire.Number(field+2), protowire.BytesType), tag)
		}
	}
	if t.Clear {
		b = flagField(b, 5, true)
	}
	return b
}

// nested appends a message. One byte is left for its length, which fits nearly
// all; a longer one is moved.
func nested(b []byte, field protowire.Number, write func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	at := len(b)
	b = write(append(b, 0))
	size := len(b) - at - 1
	if size < 1<<7 {
		b[at] = byte(size)
		return b
	}
	length := protowire.AppendVarint(nil, uint64(size))
	b = append(b, length[1:]...)
	copy(b[at+len(length):], b[at+1:at+1+size])
	copy(b[at:], length)
	return b
}

func bytesField(b []byte, field protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func textField(b []byte, field protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func numberField(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func flagField(b []byte, field protowire.Number, v bool) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), protowire.EncodeBool(v))
}
