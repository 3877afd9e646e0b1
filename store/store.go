package store

import (
	"context"
	"errors"
	"time"
)

// Place is a partition of a table: the unit of scans and of atomic batches.
// A partition must stay bounded; nothing is ever listed across partitions.
type Place struct {
	Table     string // at most 48 bytes of [a-z_]
	Partition string // at most 256 bytes
}

// Row is one live row.
type Row struct {
	Key     string
	Value   []byte    // the caller may keep it and must not change it
	Version uint64    // 0 on rows written by PutIf
	Expires time.Time // zero: never
}

// Write is one change of a batch. An expired row counts as deleted when it expired. The highest Version of a row wins, whatever
// the order of arrival. Of two writes with one version one stays, whole and for
// every reader the same once both have returned; which one the engine decides.
// So one version of a row is to mean one value. A deletion leaves its version
// behind for at least 24 h, so that a late older write does not bring the row back.
type Write struct {
	Key     string // 1 to 512 bytes
	Value   []byte
	Version uint64    // above 0
	Expires time.Time // zero: never
	Delete  bool
}

// Limits of the contract, in bytes.
const (
	MaxValue = 1 << 20
	MaxBatch = 4 << 20 // keys and values of one Write call together

	MaxTable     = 48
	MaxPartition = 256
	MaxKey       = 512
	MaxScan      = 10_000 // rows of one Scan
	MaxWrites    = 1000   // rows of one Write call
)

// Keep is how long the version of a deleted or expired row stays, so that a
// late older write does not bring the row back.
const Keep = 24 * time.Hour

var (
	ErrNotFound = errors.New("store: no such row")
	ErrTooLarge = errors.New("store: value, key or batch is over the limit")
	ErrFull     = errors.New("store: storage is nearly full")
	ErrClosed   = errors.New("store: closed")
	// ErrAmbiguous: a PutIf may or may not have taken effect. Read the row
	// again with GetLatest and decide.
	ErrAmbiguous = errors.New("store: outcome of the conditional put is not known")
)

// Store is implemented by every engine. All methods may be called at once from
// any number of goroutines. Expired rows are never returned.
type Store interface {
	// Get returns one row, or ErrNotFound. A row whose write had returned
	// before Get was called is seen, in that version or a higher one; so is one
	// that was read before.
	Get(ctx context.Context, at Place, key string) (Row, error)

	// GetLatest is Get for rows that PutIf writes: linearizable with it.
	GetLatest(ctx context.Context, at Place, key string) (Row, error)

	// Scan returns rows with from <= key < to in key order, at most limit
	// (1 to 10,000); to "" is no bound. Fewer than limit means the end. A row
	// written during the scan may be missed or seen: an engine may read a scan of
	// more than 64 rows, or of more than 4 MiB, in pieces, one after the other.
	Scan(ctx context.Context, at Place, from, to string, limit int) ([]Row, error)

	// Write stores a batch in one partition: durable on nil, and whole or not at
	// all. What is read at once, by a Get or a piece of a Scan, has all of a batch
	// or nothing. Who reads more than once while a batch is written, or after one
	// that failed, may find rows of it and later miss others: what must not be
	// seen before another row is written by a later call. On an error it may have
	// been stored or not, and may be repeated. Rows that PutIf writes are never
	// written by Write; an engine that notices refuses.
	Write(ctx context.Context, at Place, batch ...Write) error

	// PutIf writes one row if its present value is old; old nil means that the
	// row is absent or expired, value nil deletes it. It reports whether it
	// wrote, and if not the row as it stands. The Row is zero when it wrote and
	// when the row is absent.
	// Linearizable a row at a time.
	PutIf(ctx context.Context, at Place, key string, old, value []byte, expires time.Time) (ok bool, now Row, err error)

	// Close waits for calls under way. Every later call returns ErrClosed.
	Close() error
}
