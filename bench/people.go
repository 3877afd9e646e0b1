package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleTime is how long a node is left alone before its memory is looked at.
const idleTime = time.Minute

// Crowd is what a crowd cost and how fast it answered.
type Crowd struct {
	Import Import   `json:"import"`
	Idle   uint64   `json:"idle_bytes"` // resident after the import and a time of rest
	Peak   uint64   `json:"peak_bytes"` // resident at most, the import included
	Five   *Asked   `json:"five_clauses"`
	Fifty  []*Asked `json:"fifty_targets"`
}

func askCrowd(ctx context.Context, l *lab, s *Section) (err error) {
	n, err := l.crowded(ctx, l.scaled(10*million))
	if err != nil {
		return err
	}
	r := &Crowd{}
	if r.Import, err = n.enter(ctx, &crowdStream{crowd: &n.crowd, to: n.crowd.size, attributes: traitCount, tags: true}, 0); err != nil {
		return n.town.failure(err)
	}
	progress("  imported %s people in %.1f s, %.0f a second, %.1f us of the node and %.1f us of the client each", whole(float64(r.Import.People)),
		r.Import.Targetable, r.Import.rate(), r.Import.Node, r.Import.Client)
	peers, err := l.openPeers(ctx, &n.crowd)
	defer func() { err = errors.Join(err, closePeers(peers)) }()
	if err != nil {
		return err
	}
	if err := pause(ctx, l.lasting(idleTime)); err != nil {
		return err
	}
	if r.Idle, err = residentMemory(n.town.pid); err == nil {
		r.Peak, err = peakMemory(n.town.pid)
	}
	if err != nil {
		return err
	}
	progress("  %d bytes resident a subscription, %d at most", r.Idle/uint64(n.crowd.size), r.Peak/uint64(n.crowd.size))
	if r.Five, r.Fifty, err = n.answers(ctx, peers); err != nil {
		return n.town.failure(err)
	}
	crowdSection(s, r, n.crowd.size, peers)
	return nil
}

func crowdSection(s *Section, r *Crowd, size int, peers []*database) {
	s.Title = fmt.Sprintf("An audience of %s, and the same questions to PostgreSQL, DuckDB and SQLite", whole(float64(size)))
	s.Command = "scripts/bench-audience"
	s.Tables, s.Rounds = askedTable(r.Five, r.Fifty, peers), r
	var medians, worst []float64
	for _, a := range r.Fifty {
		medians, worst = append(medians, median(a.Ours)), append(worst, a.Ours...)
	}
	perPerson := func(bytes uint64) []float64 { return []float64{float64(bytes) / float64(size)} }
	s.Checks = []Check{
		atMost("five clauses counted, over HTTP", "ms", 20, 3, r.Five.Ours),
		atMost("median of fifty targets", "ms", 20, 0, []float64{median(medians)}),
		atMost("worst answer of fifty targets", "ms", 150, 0, []float64{spread(worst).Max}),
		atMost("resident memory after a minute of rest", "bytes a subscription", 500, 300, perPerson(r.Idle)),
		shown("resident memory at most, importing", "bytes a subscription", perPerson(r.Peak)),
		atLeast("imported with 20 attributes, durable and targetable", "a second", 100_000, 200_000, []float64{r.Import.rate()}),
	}
}
