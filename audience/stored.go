package audience

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Explicit recipients that would fill the record of their send stand in table
// recipients: a partition for each record.Stored, a list for each shard, in
// parts. They are written once, before the record that names them; a request
// that is repeated writes its own under another identifier, which nothing names
// when the first was the one that counts. Rows go by expiring.
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
		for _, w := range put {
			w.Expires = expiry.Add(storedLife)
			writes = append(writes, w)
		}
	}
	return at, store.Batches(storedPlace(project, id), writes)
}

// StoredOn is how many recipients of a shard stand in the store; at may be nil.
func StoredOn(at *record.Stored, shard tocsin.Shard) int {
	if counts := at.GetCounts(); int(shard) < len(counts) {
		return int(counts[shard])
	}
	return 0
}

// StoredExplicit reads the list of a shard. It is the one that was written, or
// an error; ErrNotStored when reading again would not help.
func StoredExplicit(ctx context.Context, s store.Store, project tocsin.ProjectID, at *record.Stored, shard tocsin.Shard) ([]*record.Recipient, error) {
	name := storedKey(shard)
	rows, err := store.All(ctx, s, storedPlace(project, at.GetId()), name, name+"~")
	if err != nil {
		return nil, err
	}
	value, _, err := store.JoinParts(name, rows)
	list := new(record.Recipients)
	if err == nil {
		err = list.UnmarshalVT(value)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: shard %d: %w", ErrNotStored, shard, err)
	}
	if want := StoredOn(at, shard); len(list.Recipients) != want {
		return nil, fmt.Errorf("%w: %d of %d on shard %d", ErrNotStored, len(list.Recipients), want, shard)
	}
	return list.Recipients, nil
}
