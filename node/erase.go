package node

import (
	"context"
	"fmt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// forget takes people out of all that can be read, see api.Deps: out of
// snapshots and the log below them, out of what was accepted, and out of the
// recipients of sends, those under way too.
func (n *node) forget(ctx context.Context, people []*api.Erasing, step func(string)) error {
	step("waiting until nobody is on the way from one shard to another")
	if err := n.arrived(ctx); err != nil {
		return err
	}
	for shard := range tocsin.Shard(n.config.Shards) {
		step(fmt.Sprintf("writing two snapshots of shard %d of %d", shard+1, n.config.Shards))
		if err := n.shards[shard].Rewrite(ctx); err != nil {
			return err
		}
	}
	step("waiting until what was accepted before is on its way")
	for shard := range tocsin.Shard(n.config.Shards) {
		for _, one := range people {
			if err := n.trims.trimmed(ctx, journal.Partition{Topic: journal.Sends, Shard: shard}, journal.Position(one.Sends[shard])); err != nil {
				return err
			}
		}
	}
	step("rewriting the recipients of sends")
	for _, one := range people {
		if err := audience.EraseStored(ctx, n.store, one.Project, one.Person); err != nil {
			return err
		}
	}
	for shard := range tocsin.Shard(n.config.Shards) {
		slices := journal.Partition{Topic: journal.Slices, Shard: shard}
		end, err := n.journal.End(ctx, slices)
		switch {
		case err != nil:
		case n.redact == nil:
			err = n.trims.trimmed(ctx, slices, end)
		default:
			err = n.redact(ctx, slices, end, func(data []byte) []byte { return without(data, people) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// arrived returns once every shard has applied what is in its log now, and what
// shards owed to others then is applied there.
func (n *node) arrived(ctx context.Context) error {
	for shard := range tocsin.Shard(n.config.Shards) {
		if err := n.applied(ctx); err != nil {
			return err
		}
		if err := n.shards[shard].Paid(ctx); err != nil {
			return err
		}
	}
	return n.applied(ctx)
}

func (n *node) applied(ctx context.Context) error {
	for shard := range tocsin.Shard(n.config.Shards) {
		end, err := n.journal.End(ctx, journal.Partition{Topic: journal.Changes, Shard: shard})
		if err == nil {
			err = n.shards[shard].Await(ctx, uint64(end))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// without is the record of a slice with nobody where somebody stood who is
// erased; nil when none of them is in it, and when it is no record of ours.
func without(data []byte, people []*api.Erasing) []byte {
	e, err := record.Decode(data)
	if err != nil || e.GetSlice() == nil {
		return nil
	}
	found := false
	for i, r := range e.GetSlice().Recipients {
		for _, one := range people {
			if one.Project == tocsin.ProjectID(e.Project) && one.Person.Names(r) {
				e.GetSlice().Recipients[i], found = &record.Recipient{}, true
			}
		}
	}
	if !found {
		return nil
	}
	data, err = e.MarshalVT()
	if err != nil {
		return nil
	}
	return data
}
