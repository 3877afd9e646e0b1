package main

import (
	"context"
	"fmt"

	"github.com/tocsin-push/tocsin"
)

// Projects of the town called press, which has one audience a provider.
const (
	pressAPNs = iota
	pressPeer // an Apple account for whoever is not Tocsin
	pressFCM
	pressLimited // FCM under a quota
	pressProjects
)

const (
	million    = 1_000_000
	smallSend  = 100_000
	peerPushes = 30_000

	// leastPeer is what apns2 must reach for a round to count.
	leastPeer = 25_000
)

// readers opens the project of press with a million APNs subscriptions.
func (l *lab) readers(ctx context.Context) (*newsroom, error) {
	t, err := l.town(ctx, "press", pressProjects)
	if err != nil {
		return nil, err
	}
	return t.open(ctx, audience{provider: tocsin.APNs, project: pressAPNs, size: l.scaled(million), cohorts: []int{l.scaled(smallSend)}}, 0)
}

// Round is one run of each, one after the other.
type Round struct {
	Wire    Side      `json:"wire"`
	Frames  Side      `json:"frames"`
	Road    RoadRun   `json:"tocsin"`
	Small   RoadRun   `json:"tocsin_100k"`
	APNs2   []PeerRun `json:"apns2"`
	NetHTTP PeerRun   `json:"nethttp"`
}

// best is the fastest number of clients.
func (r *Round) best() PeerRun {
	best := r.APNs2[0]
	for _, p := range r.APNs2[1:] {
		if p.Rate > best.Rate {
			best = p
		}
	}
	return best
}

// send compares the whole road with its limits and its peers.
func send(ctx context.Context, l *lab, s *Section) error {
	n, err := l.readers(ctx)
	if err != nil {
		return err
	}
	if _, err := n.measure(ctx, news, n.people.size); err != nil { // one earlier send
		return err
	}
	var rounds []Round
	for l.more(len(rounds)) {
		r, err := sendRound(ctx, l, n)
		if err != nil {
			return err
		}
		if r.best().Rate < leastPeer {
			if l.repeat("apns2 under %d", leastPeer) {
				s.Wire = s.Wire[:len(s.Wire)-1]
				continue
			}
			s.Unfit++
		}
		rounds = append(rounds, *r)
	}
	sendSection(s, rounds, n.people.size, n.people.cohorts[0])
	return nil
}

func sendRound(ctx context.Context, l *lab, n *newsroom) (r *Round, err error) {
	r = &Round{}
	if r.Wire, err = l.steady(ctx); err != nil {
		return nil, err
	}
	if r.Road, err = n.measure(ctx, news, n.people.size); err != nil {
		return nil, n.town.failure(err)
	}
	progress("  tocsin            %11.0f pushes/s, last push after %.0f ms", r.Road.Rate, r.Road.Drift.Last)
	if err := l.quiet(ctx); err != nil {
		return nil, err
	}
	if r.Small, err = n.measure(ctx, news, n.people.cohorts[0]); err != nil {
		return nil, n.town.failure(err)
	}
	progress("  tocsin, a tenth   %11.0f pushes/s, last push after %.0f ms", r.Small.Rate, r.Small.Drift.Last)
	if err := l.quiet(ctx); err != nil {
		return nil, err
	}
	if r.Frames, err = measureFrames(ctx, n.town.sim, pressPeer, l.scaled(framesPushes)); err != nil {
		return nil, fmt.Errorf("frames: %w", err)
	}
	progress("  frames alone      %11.0f pushes/s", r.Frames.Rate)
	for _, clients := range peerClients {
		run, err := measureAPNs2(ctx, n.town.sim, pressPeer, clients, l.scaled(peerPushes))
		if err != nil {
			return nil, err
		}
		r.APNs2 = append(r.APNs2, run)
	}
	r.NetHTTP, err = measureNetHTTP(ctx, n.town.sim, pressPeer, 4, l.scaled(peerPushes))
	return r, err
}

func measureAPNs2(ctx context.Context, s *simulator, project, clients, n int) (PeerRun, error) {
	p, err := newAPNs2(s, project, clients)
	if err != nil {
		return PeerRun{}, err
	}
	run, err := p.measure(ctx, s, n)
	if err != nil {
		return run, fmt.Errorf("apns2, %d clients: %w", clients, err)
	}
	progress("  apns2, %d clients  %11.0f pushes/s", clients, run.Rate)
	return run, nil
}

func measureNetHTTP(ctx context.Context, s *simulator, project, clients, n int) (PeerRun, error) {
	p, err := newNetHTTP(s, project, clients)
	if err != nil {
		return PeerRun{}, err
	}
	run, err := p.measure(ctx, s, n)
	if err != nil {
		return run, fmt.Errorf("net/http: %w", err)
	}
	progress("  net/http          %11.0f pushes/s", run.Rate)
	return run, nil
}

// sendSection compares round by round, so that a slow minute slows both sides.
func sendSection(s *Section, rounds []Round, size, small int) {
	s.Title = fmt.Sprintf("The whole road: %s recipients over APNs", whole(float64(size)))
	s.Text = []string{fmt.Sprintf("Tocsin sends to a stored audience with durable claims and every outcome recorded; *frames* is its APNs lane alone, with nothing of that; "+
		"*raw TLS* is 330 bytes up and 56 down a push, TLS 1.3 with AES-128-GCM, 4 connections, large writes, no HTTP: the ceiling. Peers have 1,000 pushes in flight a client and send %s a run. "+
		"Sender and server share the cores. All runs of a round follow each other; %d rounds.", whole(float64(peerPushes)), len(rounds))}
	t := Table{Head: sidesHead}
	line := func(name string, side func(*Round) Side) {
		all := make([]Side, len(rounds))
		for i := range rounds {
			all[i] = side(&rounds[i])
		}
		t.add(sides(name, all)...)
	}
	line("raw TLS, 4 connections", func(r *Round) Side { return r.Wire })
	line("frames without Tocsin", func(r *Round) Side { return r.Frames })
	line("Tocsin, the whole road", func(r *Round) Side { return r.Road.Side })
	line("net/http, 4 clients", func(r *Round) Side { return r.NetHTTP.Side })
	for i, clients := range peerClients {
		line(fmt.Sprintf("sideshow/apns2, %d clients", clients), func(r *Round) Side { return r.APNs2[i].Side })
	}
	drift := Table{Head: []string{"Tocsin, ms after the send was due", whole(float64(small)) + " recipients", whole(float64(size)) + " recipients"}}
	for _, one := range []struct {
		name   string
		figure func(*RoadRun) float64
	}{
		{"answer 202", func(r *RoadRun) float64 { return r.Answered }},
		{"first push left", func(r *RoadRun) float64 { return r.Drift.First }},
		{"half of them", func(r *RoadRun) float64 { return r.Drift.P50 }},
		{"99 %", func(r *RoadRun) float64 { return r.Drift.P99 }},
		{"last push left", func(r *RoadRun) float64 { return r.Drift.Last }},
		{"first at the simulator", func(r *RoadRun) float64 { return r.FirstSeen }},
		{"last at the simulator", func(r *RoadRun) float64 { return r.LastSeen }},
		{"every outcome recorded", func(r *RoadRun) float64 { return r.Finished }},
	} {
		drift.add(one.name, ranged(of(rounds, func(r *Round) float64 { return one.figure(&r.Small) })),
			ranged(of(rounds, func(r *Round) float64 { return one.figure(&r.Road) })))
	}
	s.Tables, s.Rounds = []Table{t, drift}, rounds
	s.Checks = []Check{
		atLeast("Tocsin of raw TLS", "%", 20, 40, of(rounds, func(r *Round) float64 { return 100 * r.Road.Rate / r.Wire.Rate })),
		atLeast("Tocsin against apns2 at its best", "times", 20, 40, of(rounds, func(r *Round) float64 { return r.Road.Rate / r.best().Rate })),
		atMost("node", "CPU-s per million", 1.4, 0.7, of(rounds, func(r *Round) float64 { return r.Road.Sender })),
		atMost("simulator with its ledger", "CPU-s per million", 0.5, 0.3, of(rounds, func(r *Round) float64 { return r.Road.Server })),
		atMost("last push of "+whole(float64(small)), "ms", 200, 100, of(rounds, func(r *Round) float64 { return r.Small.Drift.Last })),
		atMost("last push of "+whole(float64(size)), "ms", 1500, 700, of(rounds, func(r *Round) float64 { return r.Road.Drift.Last })),
		atMost("first push", "ms", 30, 10, of(rounds, func(r *Round) float64 { return r.Small.Drift.First })),
	}
}
