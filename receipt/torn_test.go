package receipt

import (
	"errors"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// A take tears an open of three chunks after its second; the open that counts
// has one. Whom only the torn one named was never targeted.
func TestATornOpenTargetsNobody(t *testing.T) {
	row := func(position uint64, chunk, chunks, ordinal uint32) store.Row {
		data, err := roaring.BitmapOf(ordinal).ToBytes()
		if err != nil {
			t.Fatal(err)
		}
		e := &record.Envelope{Writer: 1, Number: position, Body: &record.Envelope_Open{Open: &record.Open{
			Chunk: chunk, Chunks: chunks, Lots: []*record.Lot{{Ordinals: data, Count: 1}}}}}
		return store.Row{Key: openKey(chunk), Value: record.Encode(e), Version: position}
	}
	rows := []store.Row{row(20, 0, 1, 5), row(11, 1, 3, 7)} // chunk 0 was written over
	if l := (Live{next: 30}); l.find(5, rows) != nil || l.page != 0 || l.index != 0 {
		t.Errorf("a recipient is on page %d at %d", l.page, l.index)
	}
	if l := (Live{next: 30}); !errors.Is(l.find(7, rows), ErrNotTargeted) {
		t.Errorf("of the torn open: page %d", l.page)
	}
	end := store.Row{Key: endKey(0), Value: marshal(&record.PageEnd{Runs: []*record.PushRun{{Count: 1, Outcome: 1}}}), Version: 30}
	if reached, err := ReadReached(tocsin.ProjectID{}, append(rows, end)); err != nil || reached.Len() != 1 || !reached.Has(5) {
		t.Errorf("of the torn open %v were reached, %v", reached, err)
	}
	rows = []store.Row{row(20, 0, 2, 5), row(21, 1, 2, 7)}
	if l := (Live{next: 30}); l.find(7, rows) != nil || l.page != 1 {
		t.Errorf("the second chunk: page %d", l.page)
	}
}
