package main

import (
	"context"
	"errors"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// idleTime is how long a node is left alone before its memory is looked at.
const idleTime = time.Minute

// Crowd is what a crowd cost and how fast it answered.
type Crowd struct {
	Import  Import       `json:"import"`
	Deeds   Deeds        `json:"events"`
	Few     Import       `json:"import_of_few_attributes"`
	Idle    uint64       `json:"idle_bytes"` // resident after the imports and a time of rest
	Peak    uint64       `json:"peak_bytes"` // resident at most, importing
	Stats   client.Stats `json:"stats"`      // as the node told then
	Five    *Asked       `json:"five_clauses"`
	Fifty   []*Asked     `json:"fifty_targets"`
	Peered  *Peered      `json:"beside_databases"`
	Living  *Living      `json:"updates"`
	Held    *Living      `json:"updates_during_a_send"`
	Fresh   *Fresh       `json:"freshness"`
	Sent    int64        `json:"sent"`       // by the send at full speed
	Send    float64      `json:"send_rate"`  // pushes a second
	Sends   uint64       `json:"send_bytes"` // resident at most, sending
	Hostile *Hostile     `json:"hostile"`
	Restart *Restart     `json:"restart"`
}

// Peered is a crowd, smaller, that databases were asked about too.
type Peered struct {
	People int      `json:"people"`
	Events int      `json:"events"`
	Five   *Asked   `json:"five_clauses"`
	Fifty  []*Asked `json:"fifty_targets"`
}

func askCrowd(ctx context.Context, l *lab, s *Section) (err error) {
	n, err := l.crowded(ctx, crowdAll, l.scaled(10*million))
	if err != nil {
		return err
	}
	r := &Crowd{}
	if err := n.fill(ctx, l, r); err != nil {
		return n.town.failure(err)
	}
	progress("measuring answers")
	if r.Five, r.Fifty, err = n.answers(ctx, nil); err != nil {
		return n.town.failure(err)
	}
	progress("measuring changes")
	if err := n.change(ctx, l, r); err != nil {
		return n.town.failure(err)
	}
	progress("measuring sends beside hostile targets")
	if r.Hostile, err = n.beset(ctx, l); err != nil {
		return n.town.failure(err)
	}
	if r.Restart, err = n.restart(ctx, l); err != nil {
		return n.town.failure(err)
	}
	few, err := l.crowded(ctx, crowdFew, l.scaled(million))
	if err != nil {
		return err
	}
	if r.Few, err = few.enter(ctx, &crowdStream{crowd: &few.crowd, to: few.crowd.size, attributes: fewAttributes}); err != nil {
		return n.town.failure(err)
	}
	peers, err := l.beside(ctx, r)
	if err != nil {
		return n.town.failure(err)
	}
	crowdSection(s, r, n, peers)
	return nil
}

// fill imports everything, and looks at the memory that it takes.
func (n *crowdRoom) fill(ctx context.Context, l *lab, r *Crowd) (err error) {
	if r.Import, err = n.enter(ctx, &crowdStream{crowd: &n.crowd, to: n.crowd.size, attributes: traitCount, tags: true}); err != nil {
		return err
	}
	if r.Deeds, err = n.tell(ctx); err != nil {
		return err
	}
	if r.Peak, err = peakMemory(n.town.pid); err != nil {
		return err
	}
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	if r.Idle, err = residentMemory(n.town.pid); err != nil {
		return err
	}
	r.Stats, err = n.town.admin.Stats(ctx)
	progress("  %.0f bytes resident a subscription, %.0f at most while importing", n.each(r.Idle), n.each(r.Peak))
	return err
}

// beside asks the databases that are there, and the node, about a crowd that the
// databases load in minutes.
func (l *lab) beside(ctx context.Context, r *Crowd) (peers []*database, err error) {
	if l.peers == "" {
		progress("  no databases beside it: scripts/bench-audience starts them")
		return nil, nil
	}
	n, err := l.crowded(ctx, crowdPeered, l.scaled(million))
	if err != nil {
		return nil, err
	}
	if _, err := n.enter(ctx, &crowdStream{crowd: &n.crowd, to: n.crowd.size, attributes: traitCount, tags: true}); err != nil {
		return nil, err
	}
	did, err := n.tell(ctx)
	if err != nil {
		return nil, err
	}
	peers, err = l.openPeers(ctx, &n.crowd)
	defer func() { err = errors.Join(err, closePeers(peers)) }()
	if err != nil {
		return nil, err
	}
	r.Peered = &Peered{People: n.crowd.size, Events: did.Events}
	r.Peered.Five, r.Peered.Fifty, err = n.answers(ctx, peers)
	return peers, err
}

// fewAttributes is the smaller of the two imports.
const fewAttributes = 5

// each is bytes a subscription.
func (n *crowdRoom) each(bytes uint64) float64 { return float64(bytes) / float64(n.crowd.size) }

// change sends at full speed, then changes people with and without a send at
// half of that, then looks how soon changes are seen.
func (n *crowdRoom) change(ctx context.Context, l *lab, r *Crowd) (err error) {
	people := min(million, n.crowd.size)
	for range 2 { // the first one warms
		if err := resetPeak(n.town.pid); err != nil {
			return err
		}
		last, err := n.sendTo(ctx, people, 0)
		if err != nil {
			return err
		}
		r.Sent, r.Send = last.Counters.Accepted, float64(last.Counters.Accepted)/(last.Drift.Last/1000)
	}
	if r.Sends, err = peakMemory(n.town.pid); err != nil {
		return err
	}
	progress("  %s sent at %s a second, %.0f bytes resident a subscription at most", whole(float64(r.Sent)), whole(r.Send), n.each(r.Sends))
	if r.Living, err = n.updates(ctx, updateRate, l.lasting(updating), 0, 0); err != nil {
		return err
	}
	progress("  %s changes a second, counts p99 %.1f ms", whole(r.Living.Rate), r.Living.P99)
	if r.Held, err = n.updates(ctx, updateRate, l.lasting(updating), people, r.Send/2); err != nil {
		return err
	}
	progress("  %s changes a second, counts p99 %.1f ms, a send held at %s a second went at %s", whole(r.Held.Rate), r.Held.P99, whole(r.Held.Held), whole(r.Held.Kept))
	if r.Fresh, err = n.fresh(ctx, freshRate, l.lasting(freshening)); err != nil {
		return err
	}
	progress("  %s changes a second, seen after %.1f ms (p99 of %d), %d sends had who was just registered", whole(r.Fresh.Changes), r.Fresh.P99, r.Fresh.Probes, r.Fresh.Sends)
	return nil
}
