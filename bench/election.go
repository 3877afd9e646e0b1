package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

const (
	electionRooms  = 200
	electionPeople = 5_000_000
	electionLeast  = 1000
	bulkRooms      = 4 // that send in bulk beside them, a million each

	unfairBound, unfairAim = 1.5, 1.1
	togetherBound          = 90 // per cent of the rate of one project alone
)

// electionCounts are how many projects send at once: the largest ones.
var electionCounts = [...]int{1, 2, 4, 24, electionRooms}

// newsrooms opens the projects that send on election night; the last ones send
// in bulk beside them.
func (l *lab) newsrooms(ctx context.Context) (rooms, bulk []*newsroom, err error) {
	t, err := l.nation(ctx)
	if err != nil {
		return nil, nil, err
	}
	least := max(1, int(electionLeast*l.scale))
	sizes := audienceSizes(electionRooms, least, max(2*least, l.scaled(million)), max(400*least, l.scaled(electionPeople)))
	for range bulkRooms {
		sizes = append(sizes, l.scaled(million))
	}
	opened := make([]*newsroom, len(sizes))
	var group errgroup.Group
	group.SetLimit(2)
	var mu sync.Mutex // of the town's map
	for i, size := range sizes {
		group.Go(func() (err error) {
			n, err := t.make(ctx, audience{provider: tocsin.APNs, project: nationFirst + i, size: size}, 0)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			opened[i], t.rooms[n.people.project] = n, n
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return opened[:electionRooms], opened[electionRooms:], nil
}

// Night is one run of many projects at once.
type Night struct {
	Projects   int     `json:"projects"`
	Bulk       int     `json:"bulk"` // projects that sent in bulk beside them
	Pushes     int     `json:"pushes"`
	Rate       float64 `json:"pushes_per_second"` // bulk included
	Unfairness float64 `json:"unfairness"`
	FirstWorst float64 `json:"first_worst"` // ms: the project whose first push left last
	Last       float64 `json:"last"`        // ms from the first due to the last push of all but bulk
	Side
}

func election(ctx context.Context, l *lab, s *Section) error {
	rooms, bulk, err := l.newsrooms(ctx)
	if err != nil {
		return err
	}
	var nights []Night
	for round := 0; l.more(round); round++ {
		if _, err := l.steady(ctx); err != nil {
			return err
		}
		for _, n := range electionCounts {
			one, err := l.night(ctx, rooms[:n], nil)
			if err != nil {
				return fmt.Errorf("%d projects: %w", n, err)
			}
			nights = append(nights, *one)
		}
		one, err := l.night(ctx, rooms, bulk)
		if err != nil {
			return fmt.Errorf("beside bulk: %w", err)
		}
		nights = append(nights, *one)
	}
	electionSection(s, nights)
	return nil
}

// night lets all projects send at once, those in bulk a moment before.
func (l *lab) night(ctx context.Context, rooms, bulk []*newsroom) (*Night, error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	t := rooms[0].town
	if err := l.quiet(ctx); err != nil {
		return nil, err
	}
	if err := t.sim.reset(ctx); err != nil {
		return nil, err
	}
	work, err := startWork(t.pid, t.sim.pid)
	if err != nil {
		return nil, err
	}
	all := append(append([]*newsroom(nil), bulk...), rooms...)
	made := make([]client.Send, len(all))
	send := func(from, to int, class tocsin.Class) error {
		var group errgroup.Group
		group.SetLimit(32)
		for i := from; i < to; i++ {
			group.Go(func() (err error) {
				made[i], err = all[i].api.Send(ctx, client.SendRequest{Class: class, Target: client.Target{Query: json.RawMessage(`{}`)}, Message: news}, "")
				return err
			})
		}
		return group.Wait()
	}
	if err := send(0, len(bulk), tocsin.Normal); err != nil {
		return nil, err
	}
	if len(bulk) > 0 {
		if err := pause(ctx, 300*time.Millisecond); err != nil { // they are under way
			return nil, err
		}
	}
	if err := send(len(bulk), len(all), tocsin.Urgent); err != nil {
		return nil, err
	}
	// One is followed at a time: two hundred event streams would be a load of their own.
	var urgent, everything []job
	night := &Night{Projects: len(rooms), Bulk: len(bulk)}
	for i, n := range all {
		last, err := n.ended(ctx, made[i].ID)
		if err != nil {
			return nil, t.failure(err)
		}
		if err := balanced(last, n.people.size); err != nil {
			return nil, fmt.Errorf("%s: %w", n.project.Name, err)
		}
		due := last.DueAt.Sub(made[0].DueAt).Seconds()
		j := job{due, n.people.size, due + last.Drift.Last/1000}
		everything = append(everything, j)
		night.Pushes += j.pushes
		if i >= len(bulk) {
			urgent = append(urgent, j)
			night.FirstWorst = max(night.FirstWorst, last.Drift.First)
			night.Last = max(night.Last, (j.finish-urgent[0].due)*1000)
		}
	}
	night.Rate, night.Unfairness = rateOf(everything), unfairness(urgent)
	if night.Side, err = work.side(night.Pushes, time.Duration(float64(night.Pushes)/night.Rate*1e9)); err != nil {
		return nil, err
	}
	if _, err := t.sim.arrived(ctx, tocsin.APNs, night.Pushes); err != nil {
		return nil, err
	}
	progress("  %3d projects, %d in bulk  %9.0f pushes/s, unfairness %.2f, last after %.0f ms", night.Projects, night.Bulk, night.Rate, night.Unfairness, night.Last)
	return night, nil
}

func electionSection(s *Section, nights []Night) {
	s.Title = "Election night: many projects in the same second"
	s.Text = []string{fmt.Sprintf("%d projects of 1,000 to 1,000,000 subscriptions, three attributes each; the largest 1, 2, 4, 24 and all of them send urgent at once. "+
		"*Unfairness* is the 99th percentile over the projects of (time to the last push - 20 ms) / the time that ideal equal sharing of the measured total rate would take, from each one's due time; 1 is ideal. "+
		"In the last row four other projects began a normal send to a million each 300 ms before; there the rate shared is that of the urgent pushes.", electionRooms)}
	chosen := func(n, bulk int) (some []Night) {
		for _, night := range nights {
			if night.Projects == n && night.Bulk == bulk {
				some = append(some, night)
			}
		}
		return some
	}
	t := Table{Head: []string{"projects", "pushes", "pushes/s", "unfairness", "last push, ms", "worst first push, ms", "node CPU-s per million"}}
	row := func(name string, some []Night) {
		t.add(name, whole(float64(some[0].Pushes)), ranged(of(some, func(n *Night) float64 { return n.Rate })), ranged(of(some, func(n *Night) float64 { return n.Unfairness })),
			ranged(of(some, func(n *Night) float64 { return n.Last })), ranged(of(some, func(n *Night) float64 { return n.FirstWorst })),
			ranged(of(some, func(n *Night) float64 { return n.Sender })))
	}
	for _, n := range electionCounts {
		row(fmt.Sprint(n), chosen(n, 0))
	}
	alone, together, beside := chosen(1, 0), chosen(electionRooms, 0), chosen(electionRooms, bulkRooms)
	row(fmt.Sprintf("%d beside %d in bulk", electionRooms, bulkRooms), beside)
	share := make([]float64, len(together))
	for i := range together {
		share[i] = 100 * together[i].Rate / alone[i].Rate
	}
	figure := func(n *Night) float64 { return n.Unfairness }
	s.Tables, s.Rounds = []Table{t}, nights
	s.Checks = []Check{
		atMost(fmt.Sprintf("unfairness of %d projects", electionRooms), "times", unfairBound, unfairAim, of(together, figure)),
		atMost("the same beside bulk", "times", unfairBound, unfairAim, of(beside, figure)),
		atLeast(fmt.Sprintf("rate of %d projects of that of one alone", electionRooms), "%", togetherBound, 0, share),
	}
}
