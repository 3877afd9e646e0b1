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

func appendUpsert(b []byte, u *record.Upsert) []byte { return appendKnown(appendPlaced(b, u), u) }

// appendPlaced appends what decides the place of a change, or is decided with it.
func appendPlaced(b []byte, u *record.Upsert) []byte {
	b = bytesField(b, 1, u.Subscription)
	b = textField(b, 2, u.Profile)
	b = numberField(b, 3, uint64(u.Provider))
	b = bytesField(b, 4, u.Address)
	b = textField(b, 5, u.Host)
	b = textField(b, 6, u.Topic)
	if u.OptedIn != nil {
		b = flagField(b, 13, *u.OptedIn)
	}
	b = bytesField(b, 14, u.Vapid)
	if u.Derived {
		b = flagField(b, 15, true)
	}
	b = numberField(b, 30, u.Later)
	if u.Found {
		b = flagField(b, 31, true)
	}
	return b
}

// appendKnown appends the rest of a change.
func appendKnown(b []byte, u *record.Upsert) []byte {
	b = textField(b, 7, u.Language)
	b = textField(b, 8, u.Zone)
	b = numberField(b, 9, uint64(u.Active))
	b = bytesField(b, 10, u.Secret)
	for _, a := range u.Attributes {
		b = append(b, 11<<3|lengthed, 0)
		b = endMessage(appendAttribute(b, a), len(b))
	}
	for _, t := range u.Tags {
		b = append(b, 12<<3|lengthed, 0)
		b = endMessage(appendTagSet(b, t), len(b))
	}
	b = textField(b, 16, u.Platform)
	b = textField(b, 17, u.Region)
	b = textField(b, 18, u.City)
	return textField(b, 19, u.AppVersion)
}

// Wire types of a field whose number is below 16: with it they are one byte.
const (
	varint   = byte(protowire.VarintType)
	fixed64  = byte(protowire.Fixed64Type)
	lengthed = byte(protowire.BytesType)
)

// appendAttribute writes the value even when it is zero: it is set.
func appendAttribute(b []byte, a *record.Attribute) []byte {
	b = appendText(b, 1, a.Name)
	switch v := a.Value.(type) {
	case *record.Attribute_Text:
		b = appendText(b, 2, v.Text)
	case *record.Attribute_Integer:
		b = protowire.AppendVarint(append(b, 3<<3|varint), uint64(v.Integer))
	case *record.Attribute_Real:
		b = protowire.AppendFixed64(append(b, 4<<3|fixed64), math.Float64bits(v.Real))
	case *record.Attribute_Flag:
		b = append(b, 5<<3|varint, byte(protowire.EncodeBool(v.Flag)))
	case *record.Attribute_Time:
		b = protowire.AppendVarint(append(b, 6<<3|varint), uint64(v.Time))
	case *record.Attribute_Url:
		b = appendText(b, 7, v.Url)
	case *record.Attribute_Remove:
		b = append(b, 8<<3|varint, byte(protowire.EncodeBool(v.Remove)))
	case *record.Attribute_Location:
		b = protowire.AppendFixed64(append(b, 9<<3|fixed64), v.Location)
	}
	return b
}

func appendTagSet(b []byte, t *record.TagSet) []byte {
	b = appendText(b, 1, t.Name)
	for field, list := range [...][]string{t.Replace, t.Add, t.Remove} {
		for _, tag := range list {
			b = appendText(b, byte(field+2), tag)
		}
	}
	if t.Clear {
		b = append(b, 5<<3|varint, 1)
	}
	return b
}

// appendText appends a text under a field below 16, an empty one too.
func appendText(b []byte, field byte, text string) []byte {
	if len(text) < 1<<7 {
		b = append(b, field<<3|lengthed, byte(len(text)))
		return append(b, text...)
	}
	return protowire.AppendString(append(b, field<<3|lengthed), text)
}

// endMessage writes the length of a message that begins at a place of b. One byte was left
// for it, which fits nearly all; a longer message is moved.
func endMessage(b []byte, from int) []byte {
	size := len(b) - from
	if size < 1<<7 {
		b[from-1] = byte(size)
		return b
	}
	length := protowire.AppendVarint(nil, uint64(size))
	b = append(b, length[1:]...)
	copy(b[from-1+len(length):], b[from:from+size])
	copy(b[from-1:], length)
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
