package api

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
)

// bundle gathers changes of one project by shard into records of a good size.
// It keeps them encoded: an import lives by the cost of each.
type bundle struct {
	project tocsin.ProjectID
	at      time.Time       // when all of it is written
	open    []*shardChanges // by shard; nil when there is none
	ready   []*shardChanges
	change  []byte // room to encode one
	room    int    // of a record that is begun
	waiting []*appending
	moves   []tocsin.SubscriptionID // that it asks for
}

type shardChanges struct {
	shard   tocsin.Shard
	edition uint64 // of the names in them
	count   int
	changes []byte // of a record.Changes
}

// A record of changes is closed at this many changes or bytes. One change is
// far smaller than what is left to journal.MaxRecord.
const (
	bundleChanges = 1024
	bundleBytes   = 256 << 10
)

func newBundle(project tocsin.ProjectID, shards int, at time.Time) *bundle {
	return &bundle{project: project, at: at, open: make([]*shardChanges, shards)}
}

// add takes a change that was placed, and the move that stands behind it. Its
// names were let pass in an edition.
func (b *bundle) add(u *record.Upsert, at audience.Placed, edition uint64) {
	b.addEncoded(u, nil, at, edition)
}

// addEncoded is add where all that appendKnown writes is encoded already, if it
// is not nil.
func (b *bundle) addEncoded(u *record.Upsert, known []byte, at audience.Placed, edition uint64) {
	b.change = appendPlaced(b.change[:0], u)
	if known == nil {
		b.change = appendKnown(b.change, u)
	} else {
		b.change = append(b.change, known...)
	}
	b.append(at.Shard, changeUpsert, edition)
	if at.Move != nil {
		b.change = appendMove(b.change[:0], at.Move)
		b.append(at.Shard, changeMove, edition)
		b.moves = append(b.moves, tocsin.SubscriptionID(at.Move.Subscription))
	}
}

func (b *bundle) addEvent(e *record.Event, edition uint64) {
	b.change = slices.Grow(b.change[:0], e.SizeVT())[:e.SizeVT()]
	if _, err := e.MarshalToSizedBufferVT(b.change); err != nil {
		panic(err) // strings were checked, and nothing else can be wrong
	}
	b.append(tocsin.ShardOf(b.project, e.Profile, len(b.open)), changeEvent, edition)
}

// append takes the encoded change, of the kind that has this field.
func (b *bundle) append(shard tocsin.Shard, kind protowire.Number, edition uint64) {
	now := b.open[shard]
	if now == nil || now.edition != edition || now.count == bundleChanges || len(now.changes)+len(b.change) > bundleBytes {
		now = &shardChanges{shard: shard, edition: edition, changes: make([]byte, 0, b.room)}
		b.open[shard] = now
		b.ready = append(b.ready, now)
	}
	now.changes = appendChange(now.changes, kind, b.change)
	now.count++
}

// send hands the records over in order, and does not wait for them.
func (b *bundle) send(ctx context.Context, s *Server, in record.Scope) {
	for _, r := range b.ready {
		b.waiting = append(b.waiting, s.changes[r.shard].enqueueChanges(ctx, appendEdition(r.changes, r.edition), b.at, in))
	}
	b.open, b.ready = nil, nil
}

// wait returns once everything that was sent is durable.
func (b *bundle) wait(ctx context.Context) error {
	for _, w := range b.waiting {
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
	b.waiting = nil
	return nil
}
