package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRoundsAreJudgedByTheirBestPeer(t *testing.T) {
	r := Round{Wire: Side{Rate: leastWire}, Peers: []PeerRun{{1, Side{Rate: 10}}, {4, Side{Rate: leastPeer}}, {8, Side{Rate: 20}}}}
	if r.bestPeer().Clients != 4 || !r.fit() {
		t.Errorf("best is %v, fit is %v", r.bestPeer(), r.fit())
	}
	r.Wire.Rate--
	if r.fit() {
		t.Error("a slow wire is fit")
	}
}

func TestReportNamesTheFloorsMissed(t *testing.T) {
	one := func(rate float64) Round {
		return Round{Wire: Side{Rate: 5_000_000}, Peers: make([]PeerRun, len(peerClients)), Road: RoadRun{Side: Side{Rate: rate}}}
	}
	r := Report{Rounds: []Round{one(200_000), one(300_000), one(220_000)}}
	for i := range r.Rounds {
		for j := range r.Rounds[i].Peers {
			r.Rounds[i].Peers[j].Rate = 20_000
		}
	}
	r.judge()
	err := r.missed()
	if err == nil || !strings.Contains(err.Error(), "tocsin of raw TLS, tocsin") {
		t.Errorf("missed: %v", err)
	}
	r.Rounds = []Round{r.Rounds[1]}
	r.judge()
	if err := r.missed(); err != nil {
		t.Error(err)
	}
	var text bytes.Buffer
	r.print(&text)
	for _, want := range []string{"300000", "holds", "TOO SLOW OR TOO BUSY in 1"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in the report:\n%s", want, &text)
		}
	}
}
