package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// A machine on which the wire or the peer is slower than this is too slow, or
// too busy, to judge; the round is repeated.
const (
	leastWire = 3_000_000
	leastPeer = 25_000
)

// Round is one run of each, one after the other.
type Round struct {
	Wire  Side      `json:"wire"`
	Peers []PeerRun `json:"apns2"`
	Road  RoadRun   `json:"tocsin"`
}

func (r *Round) fit() bool { return r.Wire.Rate >= leastWire && r.bestPeer().Rate >= leastPeer }

// bestPeer is the fastest number of clients.
func (r *Round) bestPeer() PeerRun {
	best := r.Peers[0]
	for _, p := range r.Peers[1:] {
		if p.Rate > best.Rate {
			best = p
		}
	}
	return best
}

// rig is everything that runs beside the harness.
type rig struct {
	wire *wireServer
	sim  *simulator
	road *road
}

// measure runs rounds until there are enough fit ones. It repeats at most as
// many as it wants, and then takes what comes.
func measure(ctx context.Context, recipients, repeats int) (report *Report, err error) {
	dir, err := os.MkdirTemp("", "tocsin-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var children []*child
	defer func() {
		for _, c := range children {
			if failed := c.stop(); failed != nil {
				err = errors.Join(err, c.failure(failed))
			}
		}
	}()
	var on rig
	if on.wire, err = startWireServer(ctx, dir); err != nil {
		return nil, err
	}
	children = append(children, on.wire.child)
	if on.sim, err = startSimulator(ctx, dir); err != nil {
		return nil, err
	}
	children = append(children, on.sim.child)
	if on.road, err = startRoad(ctx, dir, on.sim); err != nil {
		return nil, err
	}
	children = append(children, on.road.child)
	report = &Report{Machine: thisMachine(dir), Recipients: recipients}
	if err := on.road.prepare(ctx, dir, recipients); err != nil {
		return nil, on.road.failure(err)
	}
	for len(report.Rounds) < repeats {
		progress("round %d of %d", len(report.Rounds)+1, repeats)
		r, err := on.round(ctx, report.Repeated < repeats)
		switch {
		case err != nil:
			return nil, err
		case r == nil:
			report.Repeated++
		default:
			report.Rounds = append(report.Rounds, *r)
		}
	}
	report.judge()
	return report, nil
}

// round returns nothing when the machine is too slow and mayRepeat.
func (on *rig) round(ctx context.Context, mayRepeat bool) (*Round, error) {
	var r Round
	for _, clients := range peerClients {
		run, err := measurePeer(ctx, on.sim, clients)
		if err != nil {
			return nil, fmt.Errorf("apns2, %d clients: %w", clients, err)
		}
		progress("  apns2, %d clients  %11.0f pushes/s", clients, run.Rate)
		r.Peers = append(r.Peers, run)
	}
	if err := on.quiet(ctx); err != nil {
		return nil, err
	}
	var err error
	if r.Wire, err = measureWire(ctx, on.wire); err != nil {
		return nil, on.wire.failure(err)
	}
	progress("  raw TLS           %11.0f pushes/s", r.Wire.Rate)
	if !r.fit() && mayRepeat {
		progress("  too slow to judge (want %d and %d): once more", leastPeer, leastWire)
		return nil, nil
	}
	if r.Road, err = on.road.measure(ctx); err != nil {
		return nil, on.road.failure(err)
	}
	progress("  tocsin            %11.0f pushes/s, last push after %.0f ms", r.Road.Rate, r.Road.Drift.Last)
	return &r, nil
}

// quiet waits until what an earlier run left to do is done.
func (on *rig) quiet(ctx context.Context) error {
	const (
		look  = 250 * time.Millisecond
		idle  = 0.05 // of one core, each
		limit = 30 * time.Second
	)
	for begin := time.Now(); time.Since(begin) < limit; {
		w, err := startWork(on.road.pid, on.sim.pid)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		now, err := w.read()
		if err != nil {
			return err
		}
		if max(now[0]-w.spent[0], now[1]-w.spent[1]).Seconds() < idle*look.Seconds() {
			return nil
		}
	}
	return nil // a node that is never idle is measured as it is
}

func progress(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
