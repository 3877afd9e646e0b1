package cassandra

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// Columns of a row, beside its place and its key:
//
//	plain     cell of Write: when it expires, 8 bytes, then the value. One cell and
//	          not several: of two writes with one version all is of the same one.
//	put       cell of PutIf: the value
//	expires   cell of PutIf: when it expires; not null while the row is there
//
// Instants are Unix nanoseconds, the largest number for never.
//
// No row has a marker of its own: all are written by UPDATE, so that a row is
// gone when its cells are.

const (
	head  = 8
	never = math.MaxInt64
)

// A version is a timestamp with its highest bit turned around: versions have no
// sign and timestamps have one, and their order must be the same. Version 0,
// which nobody writes, would be the one that the database keeps for itself.

func timestamp(version uint64) int64 { return int64(version ^ 1<<63) }
func version(timestamp int64) uint64 { return uint64(timestamp) ^ 1<<63 }

// cells are what a query returns of a row. They are new for each row: what the
// driver finds in a slice it overwrites.
type cells struct {
	key     []byte
	plain   []byte
	written *int64 // timestamp of plain
	put     []byte
	expires *int64
}

var errBoth = errors.New("a row was written by Write and by PutIf")

// row is the live row that the cells make; not there: none.
func (c *cells) row(key string, now time.Time) (r store.Row, there bool, err error) {
	if c.written != nil {
		if len(c.plain) < head {
			return r, false, errors.New("a row of the database is too short")
		}
		r = store.Row{Key: key, Value: c.plain[head:], Version: version(*c.written), Expires: at(int64(binary.BigEndian.Uint64(c.plain)))}
		there = live(r.Expires, now)
	}
	if c.expires != nil {
		put := store.Row{Key: key, Value: c.put, Expires: at(*c.expires)}
		if put.Value == nil { // the driver's empty value
			put.Value = []byte{}
		}
		if live(put.Expires, now) {
			if there {
				return store.Row{}, false, errBoth
			}
			return put, true, nil
		}
	}
	if !there {
		return store.Row{}, false, nil
	}
	return r, true, nil
}

func live(expires, now time.Time) bool { return expires.IsZero() || now.Before(expires) }

func at(nanos int64) time.Time {
	if nanos == never {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}

// plainCell is the cell of a value.
func plainCell(w store.Write) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, head+len(w.Value)), uint64(nanos(w.Expires)))
	return append(b, w.Value...)
}

// The database keeps no expiry beyond 2038 unless its files are of the newest
// kind. What expires later stays in it; readers look at the row's own instant.
var lastExpiry = time.Unix(math.MaxInt32, 0).Add(-24 * time.Hour)

// ttl is after how many seconds the database may drop a live row, 0 for never.
// It counts whole seconds on a clock of its own, so it is given a minute more.
func ttl(expires, now time.Time) int {
	if expires.IsZero() || expires.After(lastExpiry) {
		return 0
	}
	return int(expires.Sub(now)/time.Second) + 60
}
