package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

const (
	flatBound, flatAim = 20, 5 // per cent
	mostAlone          = 20    // sends of the smallest audience, each after the end of the one before
)

// SizeRun is a row of sends to an audience of one size.
type SizeRun struct {
	Recipients int       `json:"recipients"`
	Node       float64   `json:"node_cpu_s_per_million"`
	Simulator  float64   `json:"simulator_cpu_s_per_million"`
	Last       []float64 `json:"last"`   // ms, of each send
	Memory     uint64    `json:"memory"` // greatest resident size of the node
}

// Sizes is a round: every size, and the peers where they can.
type Sizes struct {
	Runs    []SizeRun `json:"runs"`
	APNs2   []PeerRun `json:"apns2"`
	NetHTTP []PeerRun `json:"nethttp"`
	Peers   []int     `json:"peers"` // their sizes
}

func sizes(ctx context.Context, l *lab, s *Section) error {
	n, err := l.large(ctx)
	if err != nil {
		return err
	}
	var rounds []Sizes
	for l.more(len(rounds)) {
		if _, err := l.steady(ctx); err != nil {
			return err
		}
		var r Sizes
		for _, size := range append(slices.Clone(n.people.cohorts), n.people.size) {
			run, err := l.size(ctx, n, size)
			if err != nil {
				return n.town.failure(err)
			}
			progress("  %8d recipients: node %.2f CPU-s/M, last push after %.0f ms, %d MiB", size, run.Node, median(run.Last), run.Memory>>20)
			r.Runs = append(r.Runs, *run)
		}
		for _, size := range n.people.cohorts[:2] {
			r.Peers = append(r.Peers, size)
			run, err := measureAPNs2(ctx, n.town.sim, nationPeer, 4, size)
			if err != nil {
				return err
			}
			r.APNs2 = append(r.APNs2, run)
			if run, err = measureNetHTTP(ctx, n.town.sim, nationPeer, 4, size); err != nil {
				return err
			}
			r.NetHTTP = append(r.NetHTTP, run)
		}
		rounds = append(rounds, r)
	}
	sizesSection(s, rounds)
	return nil
}

// size sends to an audience of one size: alone for the drift, and in a row of a
// million pushes for the cost. A single small send costs what waking an idle
// machine does, whatever it sends.
func (l *lab) size(ctx context.Context, n *newsroom, size int) (*SizeRun, error) {
	run := &SizeRun{Recipients: size}
	for range min(mostAlone, max(1, l.scaled(million)/size)) {
		one, err := n.measure(ctx, news, size)
		if err != nil {
			return nil, err
		}
		run.Node, run.Simulator, run.Memory = one.Sender, one.Server, max(run.Memory, one.Memory)
		run.Last = append(run.Last, one.Drift.Last)
	}
	if err := l.quiet(ctx); err != nil {
		return nil, err
	}
	if times := l.scaled(million) / size; times > 1 {
		side, err := n.row(ctx, size, times)
		if err != nil {
			return nil, err
		}
		run.Node, run.Simulator = side.Sender, side.Server
	}
	return run, l.quiet(ctx)
}

// row sends to the same people several times, each send begun as soon as the
// one before is accepted.
func (n *newsroom) row(ctx context.Context, size, times int) (side Side, err error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	t := n.town
	if err := t.sim.reset(ctx); err != nil {
		return side, err
	}
	work, err := startWork(t.pid, t.sim.pid)
	if err != nil {
		return side, err
	}
	made := make([]client.Send, times)
	for i := range made {
		if made[i], err = n.api.Send(ctx, client.SendRequest{Class: tocsin.Urgent, Target: n.everybody(size), Message: news}, ""); err != nil {
			return side, err
		}
	}
	for _, send := range made {
		last, err := n.ended(ctx, send.ID)
		if err != nil {
			return side, err
		}
		if err := balanced(last, size); err != nil {
			return side, err
		}
	}
	if side, err = work.side(size*times, time.Since(work.begin)); err != nil {
		return side, err
	}
	accounts, err := t.sim.accounts(ctx)
	if err != nil {
		return side, err
	}
	if a := accounts[n.people.provider]; a == nil || a.Accepted != size*times || a.Distinct != size {
		return side, fmt.Errorf("simulator: want %d pushes to %d devices, have %+v", size*times, size, a)
	}
	return side, nil
}

func sizesSection(s *Section, rounds []Sizes) {
	s.Title = "Drift and cost by size of the audience"
	s.Text = []string{"A send to a part of one large project, whose subscriptions have three attributes each, provider answering at once, warm. The last push is that of a send alone; the cost of sends below a million is that of as many as are a million together, each begun as soon as the one before was accepted. Peers have four clients with 1,000 pushes in flight each. " +
		"Memory is the greatest resident size of the node, which keeps the whole project in memory."}
	t := Table{Head: []string{"recipients", "last push, ms", "node CPU-s per million", "simulator", "memory of the node, MiB"}}
	ours := Series{Name: "Tocsin"}
	cost := make([]float64, len(rounds[0].Runs))
	for i := range rounds[0].Runs {
		var last []float64
		for _, r := range rounds {
			last = append(last, r.Runs[i].Last...)
		}
		size := float64(rounds[0].Runs[i].Recipients)
		node := of(rounds, func(r *Sizes) float64 { return r.Runs[i].Node })
		cost[i] = median(node)
		t.add(whole(size), ranged(last), ranged(node), ranged(of(rounds, func(r *Sizes) float64 { return r.Runs[i].Simulator })),
			ranged(of(rounds, func(r *Sizes) float64 { return float64(r.Runs[i].Memory >> 20) })))
		ours.Points = append(ours.Points, Point{size, median(last)})
	}
	peers := Table{Head: []string{"last push, ms", "sideshow/apns2", "net/http"}}
	apns2, nethttp := Series{Name: "sideshow/apns2"}, Series{Name: "net/http"}
	for i, size := range rounds[0].Peers {
		a, h := of(rounds, func(r *Sizes) float64 { return r.APNs2[i].Last }), of(rounds, func(r *Sizes) float64 { return r.NetHTTP[i].Last })
		peers.add(whole(float64(size)), ranged(a), ranged(h))
		apns2.Points = append(apns2.Points, Point{float64(size), median(a)})
		nethttp.Points = append(nethttp.Points, Point{float64(size), median(h)})
	}
	s.Charts = []Chart{{File: "bench-drift.svg", Title: "Drift of the last push", X: "recipients", Y: "milliseconds", Series: []Series{ours, nethttp, apns2}}}
	s.Tables, s.Rounds = []Table{t, peers}, rounds
	s.Checks = []Check{atMost(fmt.Sprintf("cost per push from %s to %s recipients, dearest over cheapest", t.Rows[0][0], t.Rows[len(t.Rows)-1][0]), "% more",
		flatBound, flatAim, []float64{100 * (slices.Max(cost)/slices.Min(cost) - 1)})}
}
