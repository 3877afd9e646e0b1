package audience

import (
	"errors"
	"fmt"
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
	if err := s.Write(ctx, batches[0].Place, store.Write{Key: batches[0].Writes[1].Key, Version: 2, Delete: true}); err != nil {
		t.Fatal(err)
	}
	if have, err := StoredExplicit(ctx, s, news, at, 0); !errors.Is(err, ErrNotStored) {
		t.Errorf("a part is missing: %d, %v", len(have), err)
	}
}
