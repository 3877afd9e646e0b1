package api

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
)

// delivered writes by hand, as fanout would, that a send was accepted for the
// subscriptions of some users.
func (w *world) delivered(p tocsin.ProjectID, send tocsin.SendID, users ...string) {
	w.t.Helper()
	on := map[tocsin.Shard]*roaring.Bitmap{}
	for _, user := range users {
		key := audience.UserKey(user)
		shard := tocsin.ShardOf(p, key, testShards)
		if on[shard] == nil {
			on[shard] = roaring.New()
		}
		on[shard].Add(w.shards[shard].FindProfile(p, key)[0].Ordinal)
	}
	for shard, rows := range on {
		ordinals, err := rows.ToBytes()
		if err != nil {
			w.t.Fatal(err)
		}
		n := uint32(rows.GetCardinality())
		term := w.append(shard, p, &record.Envelope{Body: &record.Envelope_Take{Take: &record.Take{Incarnation: 1}}})
		stamp := func(seq uint64) *record.Stamp { return &record.Stamp{Term: term, Seq: seq} }
		w.append(shard, p, &record.Envelope{Body: &record.Envelope_Open{Open: &record.Open{Stamp: stamp(1), Send: send.Bytes(), Slice: 1, Chunks: 1,
			OnDoubt: uint32(tocsin.Resend), Attempts: 3, Due: time.Now().UnixNano(),
			Lots: []*record.Lot{{Route: &record.Route{Provider: uint32(tocsin.FCM)}, Ordinals: ordinals, Count: n}}}}})
		w.append(shard, p, &record.Envelope{Body: &record.Envelope_Claim{Claim: &record.Claim{Stamp: stamp(2), Send: send.Bytes(), To: n, Attempt: 1}}})
		w.append(shard, p, &record.Envelope{Body: &record.Envelope_Settle{Settle: &record.Settle{Stamp: stamp(3), Send: send.Bytes(), Claim: 2,
			Runs: []*record.Run{{Count: n, Result: uint32(tocsin.Accepted)}}}}})
		for accepted := uint64(0); accepted != uint64(n); {
			c, err := w.server.Ask[shard].Counters(w.t.Context(), send)
			if err != nil {
				w.t.Fatal(err)
			}
			if c != nil {
				accepted = receipt.Merge(c).Outcomes[tocsin.Accepted]
			}
		}
	}
}

// opens has users open a send.
func (w *world) opens(p tocsin.ProjectID, send tocsin.SendID, users ...string) {
	w.t.Helper()
	for _, user := range users {
		key := audience.UserKey(user)
		e := &record.Event{Profile: key, Name: "opened", At: time.Now().UnixNano(), Send: send.Bytes()}
		changes := &record.Changes{Changes: []*record.Change{{Change: &record.Change_Event{Event: e}}}}
		if err := w.server.changes[tocsin.ShardOf(p, key, testShards)].append(w.t.Context(), &record.Envelope{Body: &record.Envelope_Changes{Changes: changes}},
			time.Now(), record.Scope{Project: p, Environment: tocsin.Development}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A send of another project, and one of too long ago, cannot be asked for.
func TestEarlierSendsOfOneProject(t *testing.T) {
	var later atomic.Int64
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	p, c := w.newProject("a")
	_, stranger := w.newProject("b")
	enrol(t, c, "anna", "ben")
	enrol(t, stranger, "anna", "ben")
	earlier, err := c.Send(t.Context(), hello(), "")
	if err != nil {
		t.Fatal(err)
	}
	w.delivered(p.ID, earlier.ID, "anna")
	sent := fmt.Sprintf(`{"sent":"%s"}`, earlier.ID)
	if got := finds(t, c, sent); got != "anna" {
		t.Error(got)
	}
	w.opens(p.ID, earlier.ID, "anna")
	if got := finds(t, c, fmt.Sprintf(`{"opened":{"$ne":"%s"}}`, earlier.ID)); got != "ben" {
		t.Error(got)
	}
	// Whoever tells of a send that the project does not have has opened none.
	told, err := c.PutEvents(t.Context(), client.EventBatch{Events: []client.Event{
		{User: "ben", Name: "opened", Send: tocsin.MakeID[tocsin.SendID](time.Now(), [10]byte{1})}, {User: "ben", Name: "opened", Send: earlier.ID}}})
	if err != nil || told.Accepted != 2 {
		t.Error(told, err)
	}
	if told, err = stranger.PutEvents(t.Context(), client.EventBatch{Events: []client.Event{{User: "anna", Name: "opened", Send: earlier.ID}}}); err != nil || told.Accepted != 1 {
		t.Error(told, err)
	}
	if got := finds(t, c, fmt.Sprintf(`{"opened":"%s"}`, earlier.ID)); got != "anna ben" {
		t.Error(got)
	}
	about := 0
	for _, e := range w.logged(journal.Changes) {
		for _, change := range e.GetChanges().Changes {
			if len(change.GetEvent().GetSend()) > 0 {
				about++
			}
		}
	}
	if about != 2 {
		t.Errorf("%d events name a send", about)
	}
	if got := refusal(t, stranger, sent); got != fmt.Sprintf(`target.query.sent: found "%s", want a send of this project`, earlier.ID) {
		t.Error(got)
	}
	later.Store(int64(30*24*time.Hour - time.Hour))
	if got := finds(t, c, sent); got != "anna" {
		t.Error(got)
	}
	later.Store(int64(30 * 24 * time.Hour))
	if got, want := refusal(t, c, sent), fmt.Sprintf(`target.query.sent: found "%s", due on %s, want one of the last 30 days: who got or opened what is kept for so long`,
		earlier.ID, earlier.DueAt.Format(time.DateOnly)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
