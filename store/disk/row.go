package disk

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// Rows of the database:
//
//	'd' table 0 length(2) partition key       -> kind version(8) instant(8) value
//	'x' instant(8) (a key of the kind above)  -> nothing
//
// The index 'x' has an entry for each instant at which a row may turn out to be
// forgettable. An entry whose row has changed since does nothing.

type kind byte

const (
	plain       kind = iota + 1 // instant: when it expires, 0 never
	deleted                     // instant: when it was deleted; version counts
	conditional                 // instant: when it expires, 0 never
)

// row is a stored row. Its value is part of the buffer it was decoded from.
type row struct {
	kind    kind
	version uint64
	instant time.Time // zero: never
	value   []byte
}

const rowHeader = 1 + 8 + 8

var errRow = errors.New("a row of the database is too short")

func (r row) encode() []byte {
	b := make([]byte, 0, rowHeader+len(r.value))
	b = binary.BigEndian.AppendUint64(append(b, byte(r.kind)), r.version)
	return append(binary.BigEndian.AppendUint64(b, nanos(r.instant)), r.value...)
}

func decode(b []byte) (row, error) {
	if len(b) < rowHeader || b[0] < byte(plain) || b[0] > byte(conditional) {
		return row{}, errRow
	}
	r := row{kind: kind(b[0]), version: binary.BigEndian.Uint64(b[1:]), value: b[rowHeader:]}
	if n := binary.BigEndian.Uint64(b[9:]); n != 0 {
		r.instant = time.Unix(0, int64(n))
	}
	return r, nil
}

// nanos is a time as it is stored: Unix nanoseconds, and 0 for never.
func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.UnixNano(), 1))
}

func (r row) live(now time.Time) bool {
	return r.kind != deleted && (r.instant.IsZero() || now.Before(r.instant))
}

// forget is when the row need not be remembered any more; zero is never.
func (r row) forget() time.Time {
	switch {
	case r.instant.IsZero() || r.kind == conditional:
		return r.instant
	default:
		return r.instant.Add(store.Keep)
	}
}

// public is the row as the contract shows it, in memory of its own.
func (r row) public(key string) store.Row {
	return store.Row{Key: key, Value: append([]byte{}, r.value...), Version: r.version, Expires: r.instant}
}

// prefix is what the database's keys of a place begin with; its key bytes follow.
func prefix(at store.Place, room int) []byte {
	b := make([]byte, 0, 4+len(at.Table)+len(at.Partition)+room)
	b = append(append(append(b, 'd'), at.Table...), 0)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(at.Partition))), at.Partition...)
}

func rowKey(at store.Place, key string) []byte { return append(prefix(at, len(key)), key...) }

// after is the least key above every key with this prefix.
func after(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil // not reached: a prefix begins with 'd'
}

func indexKey(at time.Time, row []byte) []byte {
	b := make([]byte, 0, 9+len(row))
	return append(binary.BigEndian.AppendUint64(append(b, 'x'), nanos(at)), row...)
}
