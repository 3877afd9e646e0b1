package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
)

// What the audience has no room for is a bad line, with its number and reason,
// and nothing of the others is left out.
func TestAnImportBeyondTheLimitsReportsBadLines(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	const lines = (testShards + 1) * audience.MaxAttributes
	var b strings.Builder
	for n := range lines {
		fmt.Fprintf(&b, `{"provider":"fcm","token":"t%d","attributes":{"name%d":true}}`+"\n", n, n)
	}
	_, text := w.raw("POST", "/v1/imports", p.Key, b.String(), "Content-Type", "application/x-ndjson")
	var got client.Import
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Status != client.ImportFinished {
		t.Fatal(text)
	}
	most := int64(testShards * audience.MaxAttributes)
	if got.Imported+got.Bad != lines || got.Imported > most || got.Imported < most-8*testShards || len(got.BadLines) == 0 {
		t.Fatalf("%d imported, %d bad, %d told", got.Imported, got.Bad, len(got.BadLines))
	}
	bad := map[int64]bool{}
	for _, line := range got.BadLines {
		bad[line.Line] = true
		if line.Field != fmt.Sprintf("attributes.name%d", line.Line-1) || !strings.Contains(line.Reason, "512 attributes") {
			t.Fatalf("%+v", line)
		}
	}
	if n := everybody(t, c); int64(n) != got.Imported {
		t.Errorf("%d subscriptions of %d", n, got.Imported)
	}
	for n := range int64(300) {
		found, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(fmt.Sprintf(`{"name%d":true}`, n))})
		if want := int64(1); err != nil || !bad[n+1] && found.Count != want {
			t.Fatalf("name%d is of %d, %v", n, found.Count, err)
		}
	}
}
