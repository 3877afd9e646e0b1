package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tocsin-push/tocsin"
)

// Topic names one of the four logs.
type Topic string

const (
	Changes Topic = "changes" // what happens to the audience
	Sends   Topic = "sends"   // requests acknowledged by the API
	Slices  Topic = "slices"  // work cut by plan for a shard
	Ledger  Topic = "ledger"  // who may send what, and what became of it
)

// Topics lists every topic.
var Topics = [...]Topic{Changes, Sends, Slices, Ledger}

// Partition is one shard's part of a topic: the unit of order.
type Partition struct {
	Topic Topic
	Shard tocsin.Shard
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Shard) }

// Position orders the records of one partition. The first record ever is at 1
// or above, so 0 stands before everything. Positions rise, but not by one: an
// engine may leave gaps. Never compute with them; compare.
type Position uint64

// Record is one record as it was appended.
type Record struct {
	Position Position
	Data     []byte // the reader may keep it and must not change it
}

// MaxRecord is the greatest size of one record in bytes.
const MaxRecord = 512 << 10

var (
	// ErrTrimmed: the position lies below the first kept record. The reader has
	// missed records and must start from a snapshot; it is never skipped ahead.
	ErrTrimmed = errors.New("journal: position is trimmed")
	// ErrTooLarge: a record exceeds MaxRecord; nothing was appended.
	ErrTooLarge = errors.New("journal: record is larger than 512 KiB")
	// ErrFull: the disk is nearly full; nothing was appended.
	ErrFull = errors.New("journal: storage is nearly full")
	// ErrLost: the engine holds less than it has acknowledged. The reader knows
	// what is not there any more, and repeating does not help: whoever runs the
	// installation must decide.
	ErrLost = errors.New("journal: acknowledged records are gone")
	// ErrClosed: the journal was closed.
	ErrClosed = errors.New("journal: closed")
)

// Check refuses a partition that cannot exist and records that are too large.
// Every engine calls it before it does anything.
func Check(p Partition, data ...[]byte) error {
	if !slices.Contains(Topics[:], p.Topic) || p.Shard >= tocsin.MaxShards {
		return fmt.Errorf("journal: no partition %.40q of shard %d: topics are %v, shards are below %d", p.Topic, p.Shard, Topics, tocsin.MaxShards)
	}
	for _, d := range data {
		if len(d) > MaxRecord {
			return fmt.Errorf("%w: %d bytes for %s", ErrTooLarge, len(d), p)
		}
	}
	return nil
}

// Journal is implemented by every engine. All methods may be called at once
// from any number of goroutines.
type Journal interface {
	// Append adds the records in the order given and returns their positions
	// once all are durable: they survive kill and power loss (embedded), or the
	// loss of any one machine (cluster). Records of other callers may come
	// between them. On an error other than ErrTooLarge, ErrFull and ErrClosed
	// any of them may have been appended or may still appear later, each at
	// most in the order given: a caller that repeats them makes repeats, which
	// readers drop by the record's identity. Data is not kept after return.
	Append(ctx context.Context, p Partition, data ...[]byte) ([]Position, error)

	// First is the lowest position that Read accepts: above every trimmed
	// record, not above any kept one, and End when none is kept.
	First(ctx context.Context, p Partition) (Position, error)

	// End is a position above every record whose append had returned when End
	// was called, and not above any record appended after End returned.
	End(ctx context.Context, p Partition) (Position, error)

	// Read returns records from position from on, in order, durable ones only,
	// and the position to read next. It returns at once: with no record when
	// there is none yet. It stops after about limit bytes, but returns at least
	// one record where there is one. A reader has caught up when next is not
	// below End, never by looking at the last record. from 0 is the same as
	// First where nothing was trimmed; below First it returns ErrTrimmed, and
	// above End ErrLost: a position that was read once is never above it.
	Read(ctx context.Context, p Partition, from Position, limit int) (records []Record, next Position, err error)

	// Wait returns nil once Read(from) would return a record or one of these errors.
	Wait(ctx context.Context, p Partition, from Position) error

	// Trim forgets records below before. It is the only retention; repeating it
	// or lowering it does nothing, and above End it means End: it never reaches
	// records yet to come. Space is given back in the engine's time. Positions
	// go on rising when everything was trimmed, also after a restart.
	Trim(ctx context.Context, p Partition, before Position) error

	// Close waits for calls under way. Every later call returns ErrClosed.
	Close() error
}
