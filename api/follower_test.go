package api

import (
	"context"
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
		j, l := journalmem.New(), listing{&fullStore{storemem.New(time.Now), 50}}
		project, now := tocsin.ProjectID{1}, time.Now()
		id := tocsin.MakeID[tocsin.SendID](now, [10]byte{1})
		e := record.NewWriter(1).Next(&record.Envelope{Body: &record.Envelope_Send{Send: &record.Send{Send: id.Bytes(), Due: now.UnixNano(), Query: []byte("{}")}}},
			now, record.Scope{Project: project})
		if _, err := j.Append(t.Context(), journal.Partition{Topic: journal.Sends}, record.Encode(e)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.follow(ctx, j, 0, 1, slog.New(slog.DiscardHandler)) }()
		<-time.After(time.Minute) // of the bubble
		if _, err := l.get(ctx, project, id); err != nil {
			t.Errorf("not listed: %v", err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
