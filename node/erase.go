package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/disk"
	"github.com/tocsin-push/tocsin/record"
)

// forget takes people out of all that can be read, see api.Deps: out of
// snapshots and the log below them, out of what was accepted, and out of the
// recipients of sends, those under way too.
func (t *trimmer) forget(ctx context.Context, people []*api.Erasing, step func(string), log *disk.Journal) error {
	step("waiting until nobody is on the way from one shard to another")
	if err := t.settle(ctx); err != nil {
		return err
	}
	for i, f := range t.followers {
		step(fmt.Sprintf("writing two snapshots of shard %d of %d", i+1, len(t.followers)))
		if err := f.Rewrite(ctx); err != nil {
			return err
		}
	}
	step("waiting until what was accepted before is on its way")
	for i := range t.plans {
		for _, one := range people {
			if err := t.trimmed(ctx, journal.Partition{Topic: journal.Sends, Shard: tocsin.Shard(i)}, journal.Position(one.Sends[i])); err != nil {
				return err
			}
		}
	}
	step("rewriting the recipients of sends")
	for _, one := range people {
		if err := audience.EraseStored(ctx, t.store, one.Project, one.Person); err != nil {
			return err
		}
	}
	for i := range t.plans {
		slices := journal.Partition{Topic: journal.Slices, Shard: tocsin.Shard(i)}
		end, err := t.journal.End(ctx, slices)
		if err == nil {
			err = log.Redact(ctx, slices, end, func(data []byte) []byte { return without(data, people) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settle returns once every shard has applied what is in its log now, and what
// shards owed to others then is applied there.
func (t *trimmer) settle(ctx context.Context) error {
	for _, f := range t.followers {
		if err := t.applied(ctx); err != nil {
			return err
		}
		for owed := f.Shard().Outbox(); ; {
			now := f.Shard().Outbox()
			owed = slices.DeleteFunc(owed, func(one audience.Message) bool {
				return !slices.ContainsFunc(now, func(m audience.Message) bool {
					return m.To == one.To && m.Scope.Project == one.Scope.Project && m.Arrive.Number == one.Arrive.Number
				})
			})
			if len(owed) == 0 {
				break
			}
			select {
			case <-time.After(look):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return t.applied(ctx)
}

func (t *trimmer) applied(ctx context.Context) error {
	for i, f := range t.followers {
		end, err := t.journal.End(ctx, journal.Partition{Topic: journal.Changes, Shard: tocsin.Shard(i)})
		if err == nil {
			err = f.Shard().Await(ctx, uint64(end))
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
