package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
)

// What a project has no room for is a bad line, with its number and reason, and
// nothing of the others is left out.
func TestAnImportBeyondTheCeilingsReportsBadLines(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	const lines, most = 300, 200
	var b strings.Builder
	for n := range lines {
		fmt.Fprintf(&b, `{"provider":"fcm","token":"t%d","attributes":{"name%d":true}}`+"\n", n, n)
	}
	got := w.imported(p, b.String())
	if got.Imported != most || got.Bad != lines-most || len(got.BadLines) != lines-most {
		t.Fatalf("%d imported, %d bad, %d told", got.Imported, got.Bad, len(got.BadLines))
	}
	for i, line := range got.BadLines {
		if line.Line != int64(most+i+1) || line.Field != fmt.Sprintf("attributes.name%d", most+i) || !strings.Contains(line.Reason, "200 attributes of 200") {
			t.Fatalf("%+v", line)
		}
	}
	if n := everybody(t, c); int64(n) != got.Imported {
		t.Errorf("%d subscriptions of %d", n, got.Imported)
	}
	for n := range most {
		found, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(fmt.Sprintf(`{"name%d":true}`, n))})
		if err != nil || found.Count != 1 {
			t.Fatalf("name%d is of %d, %v", n, found.Count, err)
		}
	}
}

// imported runs an import of NDJSON.
func (w *world) imported(p client.Project, lines string) (got client.Import) {
	w.t.Helper()
	_, text := w.raw("POST", "/v1/imports", p.Key, lines, "Content-Type", "application/x-ndjson")
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Status != client.ImportFinished {
		w.t.Fatal(text)
	}
	return got
}
