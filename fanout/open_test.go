package fanout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// Whoever holds a site's device key can register subscriptions on as many
// hosts with long names as they like: their names must fit into the records
// of the open too, or the shard takes, opens and fails for ever.
func TestAnOpenOverVeryManyHostsFitsItsRecords(t *testing.T) {
	w := newWorld(t)
	w.config.Chunk = 400 << 10
	w.owner()
	const hosts = 3000
	id := w.send(1, &record.Slice{})
	position := w.slices.end() - 2
	for n := range hosts {
		b := roaring.BitmapOf(uint32(n))
		data, _ := b.ToBytes()
		w.audience[position] = append(w.audience[position], &record.Lot{Count: 1, Ordinals: data, Route: &record.Route{
			Provider: uint32(tocsin.WebPush), Credential: []byte{15: 1}, Host: fmt.Sprintf("https://%04d%s.example.com", n, strings.Repeat("x", 220))}})
	}
	w.settle()
	w.want(id, fmt.Sprintf("accepted:%d", hosts))
	for _, data := range w.ledger.data {
		if len(data) > journal.MaxRecord {
			t.Fatalf("a record of %d bytes, the log takes %d", len(data), journal.MaxRecord)
		}
	}
	if chunks := w.ledger.from(t, 0, 3)[1].Envelope.GetOpen().GetChunks(); chunks != 2 {
		t.Errorf("%d chunks, want 2", chunks)
	}
}

// A send to few waits for the grant of the claim that its open carries. Those
// behind it wait at the same time, and the opens keep the order of the slices.
func TestSendsToFewAskTogetherAndOpenInOrder(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	w.settle()
	ids := make([]tocsin.SendID, 3)
	for i := range ids {
		ids[i] = w.send(byte(i+1), &record.Slice{Recipients: []*record.Recipient{{}}}, 1)
	}
	for a.readSlices() || a.lookUp() {
	}
	if len(a.asks) != len(ids) {
		t.Fatalf("%d asks, want one of each of %d sends", len(a.asks), len(ids))
	}
	slices.Reverse(a.asks) // the first slice is granted last
	for range len(ids) - 1 {
		a.grant(1)
	}
	if a.appending != nil {
		t.Fatalf("%d records are appended before the first slice may open", len(a.appending))
	}
	a.grant(1)
	var opened []tocsin.SendID
	for _, e := range a.appending {
		if e.GetOpen().GetClaim() == nil {
			t.Fatalf("not an open with its claim: %v", e)
		}
		opened = append(opened, tocsin.SendID(e.GetOpen().Send))
	}
	if !slices.Equal(opened, ids) {
		t.Errorf("opened %v, want %v", opened, ids)
	}
	w.settle()
	for _, id := range ids {
		w.want(id, "accepted:1")
	}
}
