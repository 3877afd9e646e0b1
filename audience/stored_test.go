package audience

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

// Lists are read as they were written, whatever their size, until their send is
// long over; what is not there whole is an error and never a shorter list.
func TestStoredRecipients(t *testing.T) {
	ctx, now := t.Context(), noon
	s := mem.New(func() time.Time { return now })
	lists := map[tocsin.Shard][]*record.Recipient{}
	for i := range 10_000 {
		shard := tocsin.Shard(i % 3)
		if shard == 1 {
			shard = 3 // nobody is on 1
		}
		lists[shard] = append(lists[shard], &record.Recipient{Profile: fmt.Sprintf("u:%d", i), Values: map[string]string{"text": strings.Repeat("x", 500)}})
	}
	expiry := noon.Add(time.Hour)
	at, batches := StoreExplicit(news, []byte{1}, lists, 4, expiry)
	other, more := StoreExplicit(news, []byte{2}, map[tocsin.Shard][]*record.Recipient{0: lists[0][:1]}, 4, expiry)
	for _, b := range append(batches, more...) {
		if err := store.CheckBatch(b.Place, b.Writes); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Save(ctx, s, append(batches, more...)); err != nil {
		t.Fatal(err)
	}
	for now = range map[time.Time]bool{noon: true, expiry.Add(storedLife - 1): true} {
		for shard := range tocsin.Shard(4) {
			have, err := StoredExplicit(ctx, s, news, at, shard)
			if err != nil || len(have) != len(lists[shard]) || StoredOn(at, shard) != len(have) {
				t.Fatalf("%d of %d on shard %d, %v", len(have), len(lists[shard]), shard, err)
			}
			for i, r := range have {
				if !proto.Equal(r, lists[shard][i]) {
					t.Fatalf("%v became %v", lists[shard][i], r)
				}
			}
		}
		if have, err := StoredExplicit(ctx, s, news, other, 0); err != nil || len(have) != 1 {
			t.Fatalf("%d, %v", len(have), err)
		}
	}
	if StoredOn(nil, 0) != 0 || StoredOn(at, 9) != 0 {
		t.Error("somebody stands nowhere")
	}

	now = expiry.Add(storedLife)
	if have, err := StoredExplicit(ctx, s, news, at, 0); !errors.Is(err, ErrNotStored) {
		t.Errorf("expired: %d, %v", len(have), err)
	}
	now = noon
	if have, err := StoredExplicit(ctx, s, news, &record.Stored{Id: at.Id, Counts: []uint32{7}}, 0); !errors.Is(err, ErrNotStored) {
		t.Errorf("another number of recipients: %d, %v", len(have), err)
	}
	if err := s.Write(ctx, batches[1].Place, store.Write{Key: batches[1].Writes[1].Key, Version: 2, Delete: true}); err != nil {
		t.Fatal(err)
	}
	if have, err := StoredExplicit(ctx, s, news, at, 0); !errors.Is(err, ErrNotStored) {
		t.Errorf("a part is missing: %d, %v", len(have), err)
	}
}

// Whoever is erased is in no list any more, and the others are where they were.
func TestErasedFromStoredRecipients(t *testing.T) {
	ctx, now := t.Context(), noon
	s := mem.New(func() time.Time { return now })
	anna, phone := &record.Erase{Profile: "u:anna", Subscriptions: [][]byte{{15: 7}}}, tocsin.SubscriptionID{15: 7}
	list := []*record.Recipient{{Profile: "u:ben"}, {Profile: "u:anna", Values: map[string]string{"name": "Anna"}},
		{Profile: "s:x", Subscription: phone.Bytes()}, {Profile: "u:carla"}}
	for len(list) < 20_000 { // three parts
		list = append(list, &record.Recipient{Profile: fmt.Sprintf("u:%050d", len(list))})
	}
	var all []*record.Stored
	for i, project := range []tocsin.ProjectID{news, news, {99}} {
		at, batches := StoreExplicit(project, []byte{byte(i)}, map[tocsin.Shard][]*record.Recipient{1: list}, 2, noon.Add(time.Hour))
		all = append(all, at)
		if err := store.Save(ctx, s, batches); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // a repeat finds nothing
		if err := EraseStored(ctx, s, news, anna); err != nil {
			t.Fatal(err)
		}
	}
	for i, project := range []tocsin.ProjectID{news, news, {99}} {
		have, err := StoredExplicit(ctx, s, project, all[i], 1)
		if err != nil || len(have) != len(list) {
			t.Fatalf("%d of %d, %v", len(have), len(list), err)
		}
		for n, r := range have {
			want := list[n]
			if project == news && anna.Names(want) {
				want = &record.Recipient{}
			}
			if !proto.Equal(r, want) {
				t.Fatalf("list %d, place %d: %v, want %v", i, n, r, want)
			}
		}
		rows, err := store.All(ctx, s, storedPlace(project, all[i].Id), "", "")
		if err != nil || len(rows) != 4 || slices.ContainsFunc(rows, func(r store.Row) bool { return !r.Expires.Equal(noon.Add(time.Hour + storedLife)) }) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
	}
	now = noon.Add(time.Hour + storedLife)
	if lists, err := store.All(ctx, s, storedLists(news), "", ""); err != nil || len(lists) != 0 {
		t.Errorf("%d lists are named for ever, %v", len(lists), err)
	}
}
