package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPublishReplacesWhatStandsBetweenTheMarkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	begin, end := markers("send")
	if err := os.WriteFile(file, []byte("# Title\n\n"+begin+"\nold\n"+end+"\n\nthe end\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Section{Name: "send", Title: "The road", Command: "go run ./bench send",
		Tables: []Table{{Head: []string{"", "rate"}, Rows: [][]string{{"a|b <c>", "12"}}}},
		Checks: []Check{atMost("cost", "s", 5, 0, []float64{7})},
		Charts: []Chart{{File: "picture.svg", Title: "A picture"}}}
	for range 2 { // again it changes nothing
		if err := publish(file, []*Section{s}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		document := string(text)
		if !strings.HasPrefix(document, "# Title\n\n"+begin+"\n## The road\n") || !strings.HasSuffix(document, end+"\n\nthe end\n") ||
			strings.Contains(document, "old") || strings.Count(document, "The road") != 1 {
			t.Fatalf("the document is\n%s", document)
		}
		for _, want := range []string{"go run ./bench send", `| a\|b &lt;c> | 12 |`, "![A picture](picture.svg)", "MISSED", "| &lt;= 5.00 |"} {
			if !strings.Contains(document, want) {
				t.Errorf("no %q in\n%s", want, document)
			}
		}
	}
	if err := publish(file, []*Section{{Name: "other"}}); err == nil {
		t.Error("a section without a place is published")
	}
}

// The document has a place for what each measurement finds.
func TestTheDocumentHasEveryMarker(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", document))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measurements() {
		begin, end := markers(m.name)
		if strings.Count(string(text), begin) != 1 || strings.Count(string(text), end) != 1 {
			t.Errorf("want %s and %s once each", begin, end)
		}
	}
}

func TestChartIsWellFormedAndPutsPointsInPlace(t *testing.T) {
	c := Chart{Title: `Drift & "size" <ms>`, X: "recipients", Y: "ms", Series: []Series{
		{"ours", []Point{{10_000, 10}, {1_000_000, 1000}}}, {"theirs", []Point{{10_000, 400}}}}}
	text := c.svg()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
	}
	// The axes run from 10 k to 1 M and from 10 to 1,000: corners of the plot.
	if want := `points="86.0,360.0 576.0,50.0"`; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	// Every tick has its name: 10 k, 100 k and 1 M below, 10, 100 and 1 k beside.
	for _, want := range []string{`<text x="86.0" y="380" text-anchor="middle">10 k</text>`, `>100 k<`, `>1 M<`, `>10<`, `>100<`, `>1 k<`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "%!") {
		t.Errorf("a value is missing in\n%s", text)
	}
	linear := Chart{Linear: true, Series: []Series{{"a", []Point{{0, 0}, {37, 4}}}}}
	if text, want := linear.svg(), `points="86.0,360.0 539.2,50.0"`; strings.Contains(text, "NaN") || !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
}

func TestFiguresAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0123: "0.012", 0.5: "0.50", 12.34: "12.3", 123.4: "123", 4_230_000: "4,230,000", -1234: "-1,234", 999: "999"} {
		if got := figure(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
