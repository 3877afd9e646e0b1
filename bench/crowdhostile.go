package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

const (
	hostileCounts = 1000        // asked at once
	hostileAhead  = time.Second // of the send
)

// Hostile is a full send beside targets that are meant to hurt it, and the same
// send alone. Times are milliseconds.
type Hostile struct {
	Pairs  []HostilePair             `json:"pairs"`
	Kinds  map[string]map[string]int `json:"kinds"`  // of target: how many were answered, refused why, or let go
	Before uint64                    `json:"before"` // resident bytes
	Peak   uint64                    `json:"peak"`
}

// HostilePair is the 99th percentile of the drift of two sends.
type HostilePair struct {
	Alone  float64 `json:"alone"`
	Beside float64 `json:"beside"`
}

// hostile are targets up to the limits of the language.
var hostile = []question{
	{"deepest: 12 levels", func(a *asker) clause {
		c := a.is("spent", "$gt")
		for i := range 5 {
			c = none([]func(...clause) clause{all, some}[i%2](a.is("visits", "$lt"), c))
		}
		return c
	}},
	{"widest: 256 clauses", func(a *asker) clause {
		var clauses []clause
		for range 255 {
			clauses = append(clauses, a.between("customer"))
		}
		return none(some(clauses...))
	}},
	{"costliest: 32 events with fields, counted", func(a *asker) clause {
		var clauses []clause
		for range 32 {
			clauses = append(clauses, none(a.did("read", deedParts{since: a.crowd.firstDay(), least: 2, section: a.section()})))
		}
		return all(clauses...)
	}},
	{"10,000 values", func(a *asker) clause { return a.among("customer", "$in", 10_000) }},
	{"255 prefixes of a letter or two", func(a *asker) clause {
		var clauses []clause
		for i := range 255 {
			clauses = append(clauses, only(fmt.Sprintf(`{"%s":{"$startsWith":"%c%c"}}`, []string{"town", "page", "device"}[i%3], 'a'+i%26, "aeiou"[i%5])))
		}
		return none(some(clauses...))
	}},
	{"a prefix that all have", func(*asker) clause { return none(only(`{"page":{"$startsWith":"https://news.example/"}}`)) }},
}

// beset compares sends with hostile targets beside them to sends without, in
// interleaved pairs. A second asker draws the targets before the first send.
func (n *crowdRoom) beset(ctx context.Context, l *lab) (r *Hostile, err error) {
	people := min(l.scaled(million), n.crowd.size)
	r = &Hostile{Kinds: map[string]map[string]int{}}
	var drawn []string
	a := n.crowd.asker(3)
	for i := range 10 * len(hostile) {
		q := hostile[i%len(hostile)]
		drawn = append(drawn, q.draw(a).json)
	}
	if r.Before, err = residentMemory(n.town.pid); err != nil {
		return nil, err
	}
	if err := resetPeak(n.town.pid); err != nil {
		return nil, err
	}
	for i := range leastPairs {
		var p HostilePair
		for turn := range 2 {
			if err := l.quiet(ctx); err != nil {
				return nil, err
			}
			beside := turn != i%2 // who begins alternates
			end := func() error { return nil }
			if beside {
				end = n.besiege(ctx, drawn, r.Kinds)
				if err := pause(ctx, hostileAhead); err != nil {
					return nil, err
				}
			}
			last, err := n.sendTo(ctx, people, 0)
			if err := errors.Join(err, end()); err != nil {
				return nil, err
			}
			if beside {
				p.Beside = last.Drift.P99
			} else {
				p.Alone = last.Drift.P99
			}
		}
		r.Pairs = append(r.Pairs, p)
		progress("  p99 of a send %.0f ms alone, %.0f ms beside hostile targets", p.Alone, p.Beside)
	}
	r.Peak, err = peakMemory(n.town.pid)
	return r, err
}

// besiege asks all counts at once, and again and again, what was refused when it may
// be asked again; end lets go of what has no answer yet. An answer other than a count
// or a refusal is an error.
func (n *crowdRoom) besiege(ctx context.Context, targets []string, kinds map[string]map[string]int) (end func() error) {
	ctx, stop := context.WithCancel(ctx)
	transport := &http.Transport{MaxIdleConnsPerHost: hostileCounts}
	asker, err := client.New(client.Config{URL: n.town.url, Key: n.project.Key, HTTP: &http.Client{Transport: transport}, Retries: -1})
	var group sync.WaitGroup
	var lock sync.Mutex
	failed := []error{err}
	for i := range hostileCounts {
		if err != nil {
			break
		}
		group.Go(func() {
			for {
				_, err := asker.Count(ctx, client.Target{Query: []byte(targets[i%len(targets)])})
				became := "counted"
				var problem *client.Problem
				switch {
				case ctx.Err() != nil:
					became = "let go"
				case errors.As(err, &problem) && slices.Contains([]int{http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable}, problem.Status):
					became = strconv.Itoa(problem.Status) + " " + problem.Code
				}
				lock.Lock()
				name := hostile[i%len(hostile)].name
				if kinds[name] == nil {
					kinds[name] = map[string]int{}
				}
				if kinds[name][became]++; err != nil && became == "counted" {
					failed = append(failed, fmt.Errorf("%s: %w", name, err))
				}
				lock.Unlock()
				if ctx.Err() != nil {
					return
				}
				if problem != nil { // it says when to come again; not all at the same instant
					pause(ctx, time.Duration((1+rand.Float64())*float64(max(problem.RetryAfter, time.Second))))
				}
			}
		})
	}
	return func() error {
		stop()
		group.Wait()
		transport.CloseIdleConnections()
		return errors.Join(failed...)
	}
}

func hostileTable(r *Hostile, n *crowdRoom) Table {
	t := Table{Head: []string{"targets meant to hurt a send, asked " + whole(hostileCounts) + " at once", "what became of them"}}
	for _, q := range hostile {
		var parts []string
		for _, became := range slices.Sorted(maps.Keys(r.Kinds[q.name])) {
			parts = append(parts, fmt.Sprintf("%s %s", whole(float64(r.Kinds[q.name][became])), became))
		}
		t.add(q.name, strings.Join(parts, ", "))
	}
	t.add("p99 of the send alone, ms", ranged(of(r.Pairs, func(p *HostilePair) float64 { return p.Alone })))
	t.add("beside them, ms", ranged(of(r.Pairs, func(p *HostilePair) float64 { return p.Beside })))
	t.add("bytes resident a subscription before, and at most", fmt.Sprintf("%.0f, %.0f", n.each(r.Before), n.each(r.Peak)))
	return t
}
