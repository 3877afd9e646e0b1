package api

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// fullStore takes no writes for a while.
type fullStore struct {
	store.Store
	refuse int
}

func (f *fullStore) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	if f.refuse--; f.refuse >= 0 {
		return store.ErrFull
	}
	return f.Store.Write(ctx, at, batch...)
}

// A node whose disk is nearly full refuses sends; it must not end over the list
// of those that it took.
func TestAFullStoreDoesNotEndTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, full := journalmem.New(), &fullStore{storemem.New(time.Now), 50}
		project, now := tocsin.ProjectID{1}, time.Now()
		id := tocsin.MakeID[tocsin.SendID](now, [10]byte{1})
		e := record.NewWriter(1).Next(&record.Envelope{Body: &record.Envelope_Send{Send: &record.Send{Send: id.Bytes(), Due: now.UnixNano(), Query: []byte("{}")}}},
			now, record.Scope{Project: project})
		if _, err := j.Append(t.Context(), journal.Partition{Topic: journal.Sends}, record.Encode(e)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		f := newFollower(j, full)
		go func() { ended <- f.run(ctx) }()
		<-time.After(time.Minute) // of the bubble
		if _, err := f.listing.get(ctx, project, id); err != nil {
			t.Errorf("not listed: %v", err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func newFollower(j journal.Journal, s store.Store) *follower {
	return &follower{listing: listing{s}, steering: steering{s}, journal: j, shards: 1, log: slog.New(slog.DiscardHandler)}
}

// What is durable in the log of sends comes to be shown, though the process
// ended before it wrote the rows; and a log that was cut off below the cursor is
// an error and not jumped over.
func TestTheLogOfSendsIsListedInOrder(t *testing.T) {
	j, s := journalmem.New(), storemem.New(time.Now)
	project, now := tocsin.ProjectID{1}, time.Now()
	id := tocsin.MakeID[tocsin.SendID](now, [10]byte{1})
	writer, partition := record.NewWriter(1), journal.Partition{Topic: journal.Sends}
	for _, e := range []*record.Envelope{
		{Body: &record.Envelope_Send{Send: &record.Send{Send: id.Bytes(), Due: now.UnixNano(), Query: []byte("{}"), Steer: &record.Steer{Rate: 90}}}},
		steered{Version: 2, Rate: 60, Paused: true}.record(id),
		steered{Version: 1, Rate: 30}.record(id),
		steered{Version: 9}.record(tocsin.SendID{7}), // of a send that is not listed any more
	} {
		if _, err := j.Append(t.Context(), partition, record.Encode(writer.Next(e, now, record.Scope{Project: project}))); err != nil {
			t.Fatal(err)
		}
	}
	end, err := j.End(t.Context(), partition)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		f := newFollower(j, s)
		go f.run(ctx)
		if err := f.await(ctx, end); err != nil {
			t.Fatal(err)
		}
		row, err := f.listing.get(ctx, project, id)
		if err != nil || row.Rate != 90 {
			t.Fatalf("%+v, %v", row, err)
		}
		if now, err := f.steering.obeyed(ctx, project, row); err != nil || now.Version != 2 || now.Rate != 60 || !now.Paused || now.At == 0 {
			t.Fatalf("%+v, %v", now, err)
		}
		if have, err := Listed(ctx, s, f.shard); err != nil || have != uint64(end) {
			t.Fatalf("listed up to %d of %d, %v", have, end, err)
		}
		stop()
	})
	if err := j.Trim(t.Context(), partition, end); err != nil {
		t.Fatal(err)
	}
	if err := newFollower(j, storemem.New(time.Now)).run(t.Context()); !errors.Is(err, journal.ErrTrimmed) {
		t.Fatalf("a log without its beginning gives %v", err)
	}
}
