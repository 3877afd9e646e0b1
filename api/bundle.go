package api

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// bundle gathers changes of one project by shard into records of a good size.
type bundle struct {
	project tocsin.ProjectID
	open    []*record.Changes // by shard; nil when there is none
	bytes   []int
	ready   []shardChanges
	waiting []*appending
}

type shardChanges struct {
	shard   tocsin.Shard
	changes *record.Changes
}

// A record of changes is closed at this many changes or bytes. One change is
// far smaller than what is left to journal.MaxRecord.
const (
	bundleChanges = 1024
	bundleBytes   = 256 << 10
)

func newBundle(project tocsin.ProjectID, shards int) *bundle {
	return &bundle{project: project, open: make([]*record.Changes, shards), bytes: make([]int, shards)}
}

func (b *bundle) add(u *record.Upsert) {
	shard := tocsin.ShardOf(b.project, u.Profile, len(b.open))
	size := proto.Size(u) + 8
	now := b.open[shard]
	if now != nil && (len(now.Changes) == bundleChanges || b.bytes[shard]+size > bundleBytes) {
		now = nil
	}
	if now == nil {
		now = new(record.Changes)
		b.open[shard], b.bytes[shard] = now, 0
		b.ready = append(b.ready, shardChanges{shard, now})
	}
	now.Changes = append(now.Changes, upsert(u))
	b.bytes[shard] += size
}

// send hands the records over in order, and does not wait for them.
func (b *bundle) send(ctx context.Context, s *Server, in record.Scope) {
	for _, r := range b.ready {
		e := &record.Envelope{Body: &record.Envelope_Changes{Changes: r.changes}}
		b.waiting = append(b.waiting, s.changes[r.shard].enqueue(ctx, e, s.Now(), in))
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
	return nil
}
