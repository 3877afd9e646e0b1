package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// many is a send to the most recipients that there may be, with five values of
// a hundred bytes for each.
func many() client.SendRequest {
	r := hello()
	r.Target = client.Target{}
	for i := range maxRecipients {
		values := map[string]string{"first_name": fmt.Sprint("name ", i)}
		for n := range 5 {
			values[fmt.Sprint("text_", n)] = strings.Repeat("x", 100)
		}
		r.Target.Recipients = append(r.Target.Recipients, client.Recipient{User: fmt.Sprint("user-", i), Values: values})
	}
	return r
}

// lists counts writes of recipients, and can lose them.
type lists struct {
	store.Store
	writes atomic.Int64
	lost   atomic.Bool
}

func (l *lists) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	if at.Table == "recipients" {
		l.writes.Add(1)
		if l.lost.Load() {
			return errors.New("the disk is gone")
		}
	}
	return l.Store.Write(ctx, at, batch...)
}

// lists reads all recipients of a send out of the store.
func (w *world) lists(project tocsin.ProjectID, send *record.Send) (all []*record.Recipient, err error) {
	for shard := range tocsin.Shard(testShards) {
		list, err := audience.StoredExplicit(context.Background(), w.store, project, send.Stored, shard)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if tocsin.ShardOf(project, r.Profile, testShards) != shard {
				return nil, fmt.Errorf("%s is not on shard %d", r.Profile, shard)
			}
		}
		all = append(all, list...)
	}
	return all, nil
}

// watched looks at every append.
type watched struct {
	journal.Journal
	look func(journal.Partition, [][]byte) error
}

func (j watched) Append(ctx context.Context, p journal.Partition, data ...[]byte) ([]journal.Position, error) {
	if err := j.look(p, data); err != nil {
		return nil, err
	}
	return j.Journal.Append(ctx, p, data...)
}

// 10,000 recipients with values stand in the store before the record that names
// them is written, once for all requests with a key.
func TestManyRecipientsStandInTheStoreFirst(t *testing.T) {
	var kept *lists
	var w *world
	var appends, lose atomic.Int64
	w = newWorld(t, func(_ *Config, d *Deps) {
		kept = &lists{Store: d.Store}
		d.Store = kept
		d.Journal = watched{d.Journal, func(p journal.Partition, data [][]byte) error {
			if p.Topic != journal.Sends {
				return nil
			}
			for _, bytes := range data {
				e, err := record.Decode(bytes)
				if err != nil {
					return err
				}
				if all, err := w.lists(record.Of(e).Project, e.GetSend()); err != nil || len(all) != maxRecipients || len(bytes) > 4096 {
					t.Errorf("a record of %d bytes names %d recipients, %v", len(bytes), len(all), err)
				}
			}
			if appends.Add(1); lose.Add(-1) >= 0 {
				return errors.New("the log is gone")
			}
			return nil
		}}
	})
	ctx := t.Context()
	p, c := w.newProject("a")
	dry, err := c.DryRun(ctx, many())
	if err != nil || kept.writes.Load() != 0 {
		t.Fatalf("a dry run: %v, wrote %d times, %+v", err, kept.writes.Load(), dry)
	}
	kept.lost.Store(true)
	if _, err := c.Send(ctx, many(), "key"); err == nil || appends.Load() != 0 {
		t.Fatalf("accepted without its recipients: %v", err)
	}
	kept.lost.Store(false)
	lose.Store(1)
	if _, err := c.Send(ctx, many(), "key"); err == nil {
		t.Fatal("accepted without its record")
	}
	first, err := c.Send(ctx, many(), "key")
	if err != nil || appends.Load() != 2 {
		t.Fatalf("%v, %d appends", err, appends.Load())
	}
	writes := kept.writes.Load()
	if again, err := c.Send(ctx, many(), "key"); err != nil || again.ID != first.ID || kept.writes.Load() != writes || appends.Load() != 2 {
		t.Fatalf("a repeat: %+v, %v, wrote %d times more", again, err, kept.writes.Load()-writes)
	}

	sends := w.logged(journal.Sends)
	if len(sends) != 1 || len(sends[0].GetSend().Recipients) != 0 {
		t.Fatalf("%d records", len(sends))
	}
	all, err := w.lists(p.ID, sends[0].GetSend())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Values["first_name"] != "name "+strings.TrimPrefix(r.Profile, "u:user-") || len(r.Values) != 6 {
			t.Fatalf("%v", r)
		}
	}
	if _, row := rowOf(sends[0], testShards); len(row.Shards) != testShards {
		t.Errorf("the send is listed for shards %v", row.Shards)
	}
	now, err := c.GetSend(ctx, first.ID)
	if err != nil || now.Status != client.SendAccepted {
		t.Errorf("%+v, %v", now, err)
	}
}

// The same key resumed by another request finds people elsewhere, perhaps: each
// record names the lists that were written with it.
func TestResumedSendHasListsOfItsOwn(t *testing.T) {
	var lose atomic.Int64
	var named [][]byte
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Journal = watched{d.Journal, func(p journal.Partition, data [][]byte) error {
			if p.Topic == journal.Sends {
				e, err := record.Decode(data[0])
				if err != nil {
					return err
				}
				named = append(named, e.GetSend().Send, e.GetSend().Stored.GetId())
				if lose.Add(-1) >= 0 {
					return errors.New("nobody knows whether it is there")
				}
			}
			return nil
		}}
	})
	_, c := w.newProject("a")
	lose.Store(1)
	if _, err := c.Send(t.Context(), many(), "key"); err == nil {
		t.Fatal("accepted without its record")
	}
	if _, err := c.Send(t.Context(), many(), "key"); err != nil {
		t.Fatal(err)
	}
	if len(named) != 4 || string(named[0]) != string(named[2]) || string(named[1]) == string(named[3]) {
		t.Fatalf("sends and lists: %x", named)
	}
}

// What fits stays in the record; rows of what does not outlive the send.
func TestFewRecipientsStayInTheRecord(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	few := many()
	few.Target.Recipients = few.Target.Recipients[:300]
	if _, err := c.Send(t.Context(), few, ""); err != nil {
		t.Fatal(err)
	}
	if send := w.logged(journal.Sends)[0].GetSend(); len(send.Recipients) != 300 || send.Stored != nil {
		t.Fatalf("%d recipients in the record, %v", len(send.Recipients), send.Stored)
	}
	project, due := tocsin.ProjectID{1}, time.Now().Add(48*time.Hour)
	_, _, recipients, err := targetRecord(nil, &client.Target{Recipients: many().Target.Recipients})
	if err != nil {
		t.Fatal(err)
	}
	send := &record.Send{Send: []byte{1}, Due: due.UnixNano(), Scheduled: true, Recipients: recipients, Options: &record.Options{Ttl: int64(time.Hour)}}
	rows := w.server.setApart(project, send)
	if len(rows) < 2 || send.Recipients != nil {
		t.Fatalf("%d batches", len(rows))
	}
	for _, b := range rows {
		for _, row := range b.Writes {
			if !row.Expires.After(due.Add(time.Hour)) {
				t.Fatalf("%s expires at %v, the send at %v", row.Key, row.Expires, due.Add(time.Hour))
			}
		}
	}
}
