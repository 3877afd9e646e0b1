package audience

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Explicit recipients that would fill the record of their send stand in table
// recipients: a partition for each record.Stored, a list for each shard, in
// parts. They are written once, before the record that names them; a request
// that is repeated writes its own under another identifier, which nothing names
// when the first was the one that counts. Rows go by expiring. A partition for
// each project lists them, for whoever erases a person.
const (
	storedTable = "recipients"

	// storedLife is how long lists stay after the time to live of their send: for
	// a node that was down meanwhile, and accounts for whom it did not reach.
	storedLife = 24 * time.Hour
)

// ErrNotStored says that a list is not there, or not whole.
var ErrNotStored = errors.New("audience: the recipients of a send are not in the store")

func storedPlace(project tocsin.ProjectID, id []byte) store.Place {
	return store.Place{Table: storedTable, Partition: fmt.Sprintf("%s/%x", project, id)}
}

func storedLists(project tocsin.ProjectID) store.Place {
	return store.Place{Table: storedTable, Partition: project.String()}
}

func storedKey(shard tocsin.Shard) string { return fmt.Sprintf("%04d", shard) }

// StoreExplicit makes the rows of recipients by shard, to be saved in order, and
// what names them. The identifier is one that no other call was given. expiry is
// when the time to live of the send ends.
func StoreExplicit(project tocsin.ProjectID, id []byte, recipients map[tocsin.Shard][]*record.Recipient, shards int, expiry time.Time) (*record.Stored, []store.Batch) {
	at := &record.Stored{Id: id, Counts: make([]uint32, shards)}
	var writes []store.Write
	for i := range at.Counts {
		list := &record.Recipients{Recipients: recipients[tocsin.Shard(i)]}
		if len(list.Recipients) == 0 {
			continue
		}
		at.Counts[i] = uint32(len(list.Recipients))
		value, err := list.MarshalVT()
		if err != nil {
			panic(err) // bytes and strings only
		}
		put, _ := store.PutParts(storedKey(tocsin.Shard(i)), 1, value, store.Parts{})
		for _, w := range slices.Concat(put...) {
			w.Expires = expiry.Add(storedLife)
			writes = append(writes, w)
		}
	}
	value, err := at.MarshalVT()
	if err != nil {
		panic(err) // bytes and numbers only
	}
	listed := store.Batch{Place: storedLists(project), Writes: []store.Write{{Key: fmt.Sprintf("%x", id), Value: value, Version: 1, Expires: expiry.Add(storedLife)}}}
	return at, append([]store.Batch{listed}, store.Batches(storedPlace(project, id), writes)...)
}

// StoredOn is how many recipients of a shard stand in the store; at may be nil.
func StoredOn(at *record.Stored, shard tocsin.Shard) int {
	if counts := at.GetCounts(); int(shard) < len(counts) {
		return int(counts[shard])
	}
	return 0
}

// StoredExplicit reads the list of a shard. It is the one that was written,
// without those erased since, or an error; ErrNotStored when reading again would
// not help.
func StoredExplicit(ctx context.Context, s store.Store, project tocsin.ProjectID, at *record.Stored, shard tocsin.Shard) ([]*record.Recipient, error) {
	list, _, _, err := readStored(ctx, s, project, at, shard)
	if errors.Is(err, ErrNotStored) { // it may have been rewritten while it was read
		list, _, _, err = readStored(ctx, s, project, at, shard)
	}
	return list, err
}

// readStored tells too where the list stands, and until when.
func readStored(ctx context.Context, s store.Store, project tocsin.ProjectID, at *record.Stored, shard tocsin.Shard) ([]*record.Recipient, store.Parts, time.Time, error) {
	name := storedKey(shard)
	rows, err := store.All(ctx, s, storedPlace(project, at.GetId()), name, name+"~")
	if err != nil {
		return nil, store.Parts{}, time.Time{}, err
	}
	value, parts, err := store.JoinParts(name, rows)
	list := new(record.Recipients)
	if err == nil {
		err = list.UnmarshalVT(value)
	}
	if err != nil {
		return nil, parts, time.Time{}, fmt.Errorf("%w: shard %d: %w", ErrNotStored, shard, err)
	}
	if want := StoredOn(at, shard); len(list.Recipients) != want {
		return nil, parts, time.Time{}, fmt.Errorf("%w: %d of %d on shard %d", ErrNotStored, len(list.Recipients), want, shard)
	}
	var expires time.Time
	if len(rows) > 0 {
		expires = rows[0].Expires
	}
	return list.Recipients, parts, expires, nil
}

// EraseStored takes a person out of all lists of a project: nobody stands where
// the person stood, and counts as unknown. It may be repeated, by one at a time.
func EraseStored(ctx context.Context, s store.Store, project tocsin.ProjectID, e *record.Erase) error {
	lists, err := store.All(ctx, s, storedLists(project), "", "")
	if err != nil {
		return err
	}
	for _, row := range lists {
		at := new(record.Stored)
		if err := at.UnmarshalVT(row.Value); err != nil {
			return fmt.Errorf("audience: list %s: %w", row.Key, err)
		}
		for shard := range at.Counts {
			if err := eraseStored(ctx, s, project, at, tocsin.Shard(shard), e); err != nil {
				return err
			}
		}
	}
	return nil
}

func eraseStored(ctx context.Context, s store.Store, project tocsin.ProjectID, at *record.Stored, shard tocsin.Shard, e *record.Erase) error {
	if StoredOn(at, shard) == 0 {
		return nil
	}
	list, parts, expires, err := readStored(ctx, s, project, at, shard)
	switch {
	case errors.Is(err, ErrNotStored): // it was never whole, or expires now
		return nil
	case err != nil:
		return err
	case !slices.ContainsFunc(list, e.Names):
		return nil
	}
	for i, r := range list {
		if e.Names(r) {
			list[i] = &record.Recipient{}
		}
	}
	value, err := (&record.Recipients{Recipients: list}).MarshalVT()
	if err != nil {
		panic(err) // bytes and strings only
	}
	steps, _ := store.PutParts(storedKey(shard), parts.Version+1, value, parts)
	for _, writes := range steps {
		for i := range writes {
			writes[i].Expires = expires
		}
	}
	return store.Save(ctx, s, store.InSteps(storedPlace(project, at.Id), steps...))
}
