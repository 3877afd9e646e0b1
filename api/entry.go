package api

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/tocsin-push/tocsin"
)

// entry is the row of one idempotency key.
type entry struct {
	Send     tocsin.SendID
	Body     [32]byte  // SHA-256 of the request's body
	Accepted time.Time // when the request that claimed the key arrived
	Since    time.Time // claimed since; zero: nobody is at it
}

// A row is a version byte, a state byte, then the fields in order. The state
// is 0; earlier builds wrote 1 once the send was durable, which its log tells.
const (
	entryVersion = 1
	entrySize    = 2 + 16 + 32 + 8 + 8
)

var errEntry = errors.New("api: row of an idempotency key is damaged or newer")

func (e entry) marshal() []byte {
	b := make([]byte, 0, entrySize)
	b = append(b, entryVersion, 0)
	b = append(b, e.Send[:]...)
	b = append(b, e.Body[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(nanos(e.Accepted)))
	return binary.BigEndian.AppendUint64(b, uint64(nanos(e.Since)))
}

func parseEntry(b []byte) (e entry, err error) {
	if len(b) != entrySize || b[0] != entryVersion || b[1] > 1 {
		return e, errEntry
	}
	copy(e.Send[:], b[2:])
	copy(e.Body[:], b[18:])
	e.Accepted = fromNanos(int64(binary.BigEndian.Uint64(b[50:])))
	e.Since = fromNanos(int64(binary.BigEndian.Uint64(b[58:])))
	return e, nil
}

// nanos keeps the zero time apart from 1970: records hold 0 for "not set".
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
