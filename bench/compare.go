package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-push/tocsin"
)

const (
	comparePairs = 12
	dearer       = 110 // per cent of the processor time per push of before, at most
)

// Pair is a send by each of two builds, one after the other.
type Pair struct {
	Old RoadRun `json:"old"`
	New RoadRun `json:"new"`
}

// compareBuilds sends alternately with nodes of two binaries of Tocsin to one
// simulator, and judges what a push costs the node.
func compareBuilds(binaries [2]string) func(context.Context, *lab, *Section) error {
	return func(ctx context.Context, l *lab, s *Section) error {
		both, err := l.builds(ctx, binaries)
		if err != nil {
			return err
		}
		var pairs []Pair
		for l.more(len(pairs)) {
			var p Pair
			for i := range both {
				turn := (i + len(pairs)) % 2 // who begins alternates
				n := both[turn]
				if err := l.quiet(ctx); err != nil {
					return err
				}
				run, err := n.measure(ctx, news, n.people.size)
				if err != nil {
					return n.town.failure(err)
				}
				*[]*RoadRun{&p.Old, &p.New}[turn] = run
			}
			pairs = append(pairs, p)
			progress("  %.3f against %.3f CPU-s/M", p.New.Sender, p.Old.Sender)
		}
		s.Title = "This build against the one before"
		s.Text = []string{fmt.Sprintf("%s recipients over APNs, %d pairs of sends in turn to one simulator.", whole(float64(both[0].people.size)), len(pairs))}
		t := Table{Head: append(sidesHead[:len(sidesHead):len(sidesHead)], "last push, ms")}
		for i, name := range []string{"before", "this build"} {
			runs := of(pairs, func(p *Pair) RoadRun { return *[]*RoadRun{&p.Old, &p.New}[i] })
			t.add(append(sides(name, of(runs, func(r *RoadRun) Side { return r.Side })), ranged(of(runs, func(r *RoadRun) float64 { return r.Drift.Last })))...)
		}
		s.Tables, s.Rounds = []Table{t}, pairs
		s.Checks = []Check{
			atMost("node's CPU per push, of that before", "%", dearer, 0, of(pairs, func(p *Pair) float64 { return 100 * p.New.Sender / p.Old.Sender })),
			shown("pushes/s, of those before", "%", of(pairs, func(p *Pair) float64 { return 100 * p.New.Rate / p.Old.Rate })),
		}
		return nil
	}
}

// builds starts a node of each binary, with an audience, and warms it.
func (l *lab) builds(ctx context.Context, binaries [2]string) (both [2]*newsroom, err error) {
	shared, err := startSimulator(ctx, l.dir, len(binaries))
	if err != nil {
		return both, err
	}
	l.children = append(l.children, shared.child)
	for i, binary := range binaries {
		t := &town{sim: shared, dir: filepath.Join(l.dir, fmt.Sprint("build-", i)), rooms: map[int]*newsroom{}}
		if err := os.Mkdir(t.dir, 0o700); err != nil {
			return both, err
		}
		data := filepath.Join(t.dir, "data")
		up := nodeReady{AdminKeyFile: filepath.Join(data, "admin.key")}
		t.child, err = startChild(ctx, t.dir, "node", []string{binary, "serve", "--dir", data, "--listen", "127.0.0.1:0"}, func(out io.Reader) error {
			line, err := bufio.NewReader(out).ReadString('\n')
			words := strings.Fields(line)
			if err != nil || len(words) == 0 {
				return errors.Join(errors.New("it does not say where it is"), err)
			}
			up.URL = words[len(words)-1]
			return nil
		})
		if err != nil {
			return both, err
		}
		l.children = append(l.children, t.child)
		if err := t.enter(up); err != nil {
			return both, t.failure(err)
		}
		if both[i], err = t.open(ctx, audience{provider: tocsin.APNs, project: i, size: l.scaled(million)}, 0); err != nil {
			return both, err
		}
		if _, err := both[i].measure(ctx, news, both[i].people.size); err != nil {
			return both, t.failure(err)
		}
	}
	return both, nil
}
