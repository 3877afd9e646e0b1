package fanout

import (
	"fmt"
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
