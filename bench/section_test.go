package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRoundsAreJudgedByTheirBestPeer(t *testing.T) {
	r := Round{APNs2: []PeerRun{{Clients: 1, Side: Side{Rate: 10}}, {Clients: 4, Side: Side{Rate: 30}}, {Clients: 8, Side: Side{Rate: 20}}}}
	if r.best().Clients != 4 {
		t.Errorf("best is %v", r.best())
	}
}

// A report names the bounds that do not hold, and shows nothing in the document
// of a run on a machine that was too slow.
func TestReportNamesWhatIsMissed(t *testing.T) {
	rounds := make([]Round, 3)
	for i := range rounds {
		r := &rounds[i]
		r.Wire, r.APNs2 = Side{Rate: 4_000_000}, []PeerRun{{Clients: 4, Side: Side{Rate: 20_000}}, {}, {}}
		r.Road.Side = Side{Rate: 700_000, Sender: 1.5, Server: 0.4}
		r.Road.Drift.Last, r.Small.Drift.Last, r.Small.Drift.First = 1400, 150, 20
	}
	s := &Section{Name: "send", Wire: []float64{4e6}}
	sendSection(s, rounds, million, smallSend)
	report := Report{[]*Section{s}}
	if len(report.fit()) != 1 {
		t.Error("a good run is not fit for the document")
	}
	err := report.missed()
	if err == nil || !strings.HasSuffix(err.Error(), "send: beyond the bound: Tocsin of raw TLS, node") {
		t.Errorf("missed: %v", err)
	}
	s.Unfit = 1
	if len(report.fit()) != 0 {
		t.Error("a run on a slow machine is fit for the document")
	}
	var text bytes.Buffer
	s.print(&text)
	for _, want := range []string{"TOO SLOW OR TOO BUSY in 1", "700,000", "MISSED", "holds", ">= 20.0"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in the report:\n%s", want, &text)
		}
	}
}

// Each cohort holds as many people as it says, and contains the smaller ones.
func TestCohortsAreSizes(t *testing.T) {
	a := audience{size: 1000, cohorts: []int{10, 100}}
	for size, want := range map[int]string{10: `{"cohort":{"$in":["first-10"]}}`, 100: `{"cohort":{"$in":["first-10","first-100"]}}`, 1000: `{}`} {
		if got := a.target(size); got != want {
			t.Errorf("target of %d is %s", size, got)
		}
	}
	found := map[string]int{}
	for n := range a.size {
		found[a.cohort(n)]++
	}
	if found["first-10"] != 10 || found["first-100"] != 90 || found["rest"] != 900 {
		t.Errorf("cohorts: %v", found)
	}
}
