package tocsin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ID is a 128-bit identifier that sorts by the time it was made: 48 bits of
// Unix milliseconds, then 80 random bits. Its text form is the kind's prefix,
// an underscore and 26 characters of lower-case Crockford base32; text and
// bytes sort alike.
type ID[K kind] [16]byte

type kind interface{ prefix() string }

type (
	projectKind      struct{}
	sendKind         struct{}
	subscriptionKind struct{}
	keyKind          struct{}
	credentialKind   struct{}
	importKind       struct{}
	erasureKind      struct{}
)

func (projectKind) prefix() string      { return "prj" }
func (sendKind) prefix() string         { return "snd" }
func (subscriptionKind) prefix() string { return "sub" }
func (keyKind) prefix() string          { return "key" }
func (credentialKind) prefix() string   { return "crd" }
func (importKind) prefix() string       { return "imp" }
func (erasureKind) prefix() string      { return "ers" }

type (
	ProjectID      = ID[projectKind]
	SendID         = ID[sendKind]
	SubscriptionID = ID[subscriptionKind]
	KeyID          = ID[keyKind]
	CredentialID   = ID[credentialKind]
	ImportID       = ID[importKind]
	ErasureID      = ID[erasureKind]
)

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// ErrID is wrapped by every error of ParseText and UnmarshalText.
var ErrID = errors.New("not an identifier")

// MakeID builds an identifier from an instant and 80 random bits. The caller
// brings both, so that a simulated run can repeat itself.
func MakeID[I ~[16]byte](at time.Time, entropy [10]byte) I {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(at.UnixMilli())<<16)
	copy(raw[6:], entropy[:])
	return I(raw)
}

// Time is the instant the identifier was made, to the millisecond.
func (id ID[K]) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// IsZero reports whether no identifier was set.
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String returns the text form, or "" for the zero identifier.
func (id ID[K]) String() string {
	if id.IsZero() {
		return ""
	}
	text, _ := id.AppendText(nil)
	return string(text)
}

// AppendText appends the text form of the identifier, also of a zero one.
func (id ID[K]) AppendText(b []byte) ([]byte, error) {
	var k K
	b = append(b, k.prefix()...)
	b = append(b, '_')
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for shift := 125; shift >= 0; shift -= 5 {
		b = append(b, alphabet[shiftRight(high, low, shift)&31])
	}
	return b, nil
}

func shiftRight(high, low uint64, by int) uint64 {
	if by >= 64 {
		return high >> (by - 64)
	}
	return low>>by | high<<(64-by)
}

// MarshalText implements encoding.TextMarshaler; a zero identifier is "".
func (id ID[K]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; "" is the zero identifier.
func (id *ID[K]) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID[K]{}
		return nil
	}
	var k K
	body, ok := strings.CutPrefix(string(text), k.prefix()+"_")
	if !ok || len(body) != 26 || body[0] > '7' {
		return fmt.Errorf("%w: want %s_ and 26 characters of base32, have %.40q", ErrID, k.prefix(), text)
	}
	var high, low uint64
	for i := range len(body) {
		digit := strings.IndexByte(alphabet, body[i])
		if digit < 0 {
			return fmt.Errorf("%w: character %q in %.40q", ErrID, body[i], text)
		}
		high = high<<5 | low>>59
		low = low<<5 | uint64(digit)
	}
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return nil
}

// Bytes returns the identifier as a slice of its own, for records.
func (id ID[K]) Bytes() []byte { return append([]byte(nil), id[:]...) }
